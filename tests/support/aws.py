"""AWS for set-ups: moto's server, and the sandbox for SES's API v2, which knows event destinations.

moto 5.2.5 has no event destinations of the API v2, and does not enforce policies.
"""

import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from engine.account.services import AwsServices, open_services
from engine.account.setup.resource import Action, Place, Resource
from engine.errors import ServiceError
from engine.sandbox.embedded import run_in_thread
from engine.sandbox.server import SandboxSettings
from support.credentials import ACCESS_KEY_ID, CREDENTIALS, SECRET_ACCESS_KEY
from support.postgres import free_port
from support.sqs import wait_for

ACCOUNT, REGION = "123456789012", "eu-west-1"
PLACE = Place(ACCOUNT, REGION)
_READS = ("get_", "list_", "describe_", "head_")


@contextmanager
def run_moto_server() -> Iterator[str]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def reset(url: str) -> None:
    """Empty the account."""
    request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")  # noqa: S310 - our own server
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - as above


@contextmanager
def set_up_environment(patch: pytest.MonkeyPatch, url: str, folder: Path) -> Iterator[None]:
    """Point botocore at moto, and at a sandbox for SES's API v2."""
    patch.setenv("AWS_ENDPOINT_URL", url)
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    patch.setenv("AWS_DEFAULT_REGION", REGION)
    with run_in_thread(SandboxSettings(record_folder=folder, credentials=CREDENTIALS)) as sandbox:
        patch.setenv("AWS_ENDPOINT_URL_SESV2", sandbox.url)
        yield


def open_boto(service: str) -> Any:
    """An independent client, with the endpoints of the environment."""
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}))


async def plan(resources: Sequence[Resource]) -> list[Action]:
    async with open_services() as services:
        return [(await resource.compare(services)).action for resource in resources]


async def apply(resources: Sequence[Resource], services: AwsServices | None = None) -> None:
    """Do what the command does: compare, then apply what differs, one after the other."""
    async with open_or_use(services) as opened:
        for resource in resources:
            step = await resource.compare(opened)
            if step.action is not Action.KEEP:
                await resource.apply(opened, step)


@asynccontextmanager
async def open_or_use(services: AwsServices | None) -> AsyncIterator[AwsServices]:
    if services is not None:
        yield services
    else:
        async with open_services() as opened:
            yield opened


class InterruptedServices:
    """Services that fail at the nth change, before or after AWS made it.

    Args:
        services: the real ones.
        at: the number of the change, from 0.
        answered: AWS makes the change, and its answer is lost.
    """

    def __init__(self, services: AwsServices, at: int, *, answered: bool) -> None:
        self._services, self._left, self._answered = services, at, answered
        self.clock = services.clock
        self.was_interrupted = False

    async def open(self, service: str, region: str | None = None) -> Any:
        return _InterruptedClient(await self._services.open(service, region), self)

    async def change(self, call: Any, parameters: dict[str, Any]) -> Any:
        self._left -= 1
        if self._left >= 0:
            return await call(**parameters)
        self.was_interrupted = True
        if self._answered:
            await call(**parameters)
        raise ServiceError("the line broke", remedy="run it again")


class _InterruptedClient:
    def __init__(self, client: Any, owner: InterruptedServices) -> None:
        self._client, self._owner = client, owner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name.startswith(_READS) or not callable(found) or name in ("meta", "exceptions"):
            return found

        async def call(**parameters: Any) -> Any:
            return await self._owner.change(found, parameters)

        return call


async def prove_resumable(resources: Sequence[Resource], empty: Any) -> int:
    """Interrupt an apply at every change, and resume it; the state is the wanted one each time.

    Args:
        resources: in order.
        empty: empties the account.

    Returns:
        The number of changes.
    """
    for answered in (False, True):
        number = 0
        while True:
            empty()
            async with open_services() as services:
                broken = InterruptedServices(services, number, answered=answered)
                try:
                    await apply(resources, broken)  # type: ignore[arg-type] # as far as resources use it
                except ServiceError:
                    assert broken.was_interrupted
                await apply(resources, services)
            assert set(await plan(resources)) == {Action.KEEP}
            if not broken.was_interrupted:
                break
            number += 1
    return number
