"""AWS for set-ups: moto's server, and the sandbox for SES's API v2, which knows event destinations.

moto 5.2.5 has no event destinations of the API v2. It enforces policies of buckets alone, without their conditions.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from engine.account.services import AwsServices
from engine.account.session import make_session
from engine.account.setup.resource import Action, Place, Resource
from engine.clock import SystemClock
from engine.errors import ServiceError
from engine.sandbox.embedded import run_in_thread
from engine.sandbox.server import SandboxSettings
from engine.stopping.abandonable import DaemonThread
from support.credentials import ACCESS_KEY_ID, CREDENTIALS, SECRET_ACCESS_KEY
from support.postgres import free_port
from support.sqs import wait_for

ACCOUNT, REGION = "123456789012", "eu-west-1"
PLACE = Place(ACCOUNT, REGION)
SET = "marketing"  # the configuration set of the examples
_READS = ("get_", "list_", "describe_", "head_")
_MOST_INTERRUPTIONS = 100


class TestAccount:
    """An account of moto and the sandbox; its clients are made once, as loading them takes most of a test's time.

    Args:
        url: of moto's server.
        sandbox: URL of the sandbox.
        services: with the endpoints of the environment.
    """

    __test__ = False

    def __init__(self, url: str, sandbox: str, services: AwsServices) -> None:
        self.url, self.sandbox, self.services = url, sandbox, services
        self._clients: dict[str, Any] = {}

    def boto(self, service: str) -> Any:
        """An independent client."""
        if service not in self._clients:
            config = Config(retries={"total_max_attempts": 1})
            self._clients[service] = boto3.client(service, region_name=REGION, config=config)
        return self._clients[service]

    def reset(self) -> None:
        """Empty the account."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")  # noqa: S310 - our own server
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - as above
        ses = self.boto("sesv2")
        for one in ses.get_configuration_set_event_destinations(ConfigurationSetName=SET)["EventDestinations"]:
            ses.delete_configuration_set_event_destination(ConfigurationSetName=SET, EventDestinationName=one["Name"])

    async def plan(self, resources: Sequence[Resource]) -> list[Action]:
        return [(await resource.compare(self.services)).action for resource in resources]

    async def apply(self, resources: Sequence[Resource], services: Any = None) -> None:
        """Do what the command does: compare, then apply what differs, one after the other."""
        for resource in resources:
            await self._apply_one(resource, services or self.services)

    async def _apply_one(self, resource: Resource, services: Any) -> None:
        step = await resource.compare(services)
        if step.action is not Action.KEEP:
            await resource.apply(services)

    async def prove_resumable(self, resources: Sequence[Resource], prepare: Callable[[], None] = lambda: None) -> int:
        """Interrupt an apply at every change, before AWS makes it and after, and apply again each time.

        What is before the interrupted resource is compared again at the end, and not after each interruption.

        Args:
            resources: in order.
            prepare: makes what the resources need in an empty account.

        Returns:
            The number of interruptions before a change.
        """
        interruptions = []
        for answered in (True, False):
            self.reset()
            prepare()
            broken = InterruptedServices(self.services, answered=answered)
            interruptions.append(sum([await self._resume(resource, broken) for resource in resources]))
            assert set(await self.plan(resources)) == {Action.KEEP}
        return interruptions[-1]

    async def _resume(self, resource: Resource, broken: "InterruptedServices") -> int:
        """Apply a resource until it is not interrupted; return the number of interruptions."""
        for count in range(_MOST_INTERRUPTIONS):
            try:
                await self._apply_one(resource, broken)
            except ServiceError:
                continue
            return count
        raise AssertionError(f"{resource} is never done")


@contextmanager
def run_account(folder: Path) -> Iterator[TestAccount]:
    with (
        run_moto_server() as url,
        run_in_thread(SandboxSettings(record_folder=folder, credentials=CREDENTIALS)) as sandbox,
        closing(DaemonThread("services")) as thread,
    ):
        yield TestAccount(url, sandbox.url, AwsServices(make_session(), None, thread, SystemClock()))


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


def point_to(account: TestAccount, patch: pytest.MonkeyPatch) -> None:
    """Point botocore at moto, and at a sandbox for SES's API v2."""
    patch.setenv("AWS_ENDPOINT_URL", account.url)
    patch.setenv("AWS_ENDPOINT_URL_SESV2", account.sandbox)
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    patch.setenv("AWS_DEFAULT_REGION", REGION)


class InterruptedServices:
    """Services that fail at the first attempt of each change.

    Args:
        services: the real ones.
        answered: AWS makes the change, and its answer is lost.
    """

    def __init__(self, services: AwsServices, *, answered: bool) -> None:
        self._services, self._answered = services, answered
        self._tried: set[str] = set()
        self.clock = services.clock

    async def open(self, service: str, region: str | None = None) -> Any:
        return _InterruptedClient(await self._services.open(service, region), self)

    async def change(self, name: str, call: Any, parameters: dict[str, Any]) -> Any:
        change = f"{name} {json.dumps(parameters, sort_keys=True)}"
        if change in self._tried:
            return await call(**parameters)
        self._tried.add(change)
        if self._answered:
            await call(**parameters)
        raise ServiceError("the line broke", remedy="run it again")


class _InterruptedClient:
    def __init__(self, client: Any, owner: InterruptedServices) -> None:
        self._client, self._owner = client, owner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name.startswith(_READS) or name in ("meta", "exceptions"):
            return found

        async def call(**parameters: Any) -> Any:
            return await self._owner.change(name, found, parameters)

        return call
