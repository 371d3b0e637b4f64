"""`mailrun sandbox`: the server, its record, and how to point a client at it."""

import asyncio
import shlex
import signal
import sys
from pathlib import Path

from msgspec.structs import replace

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.embedded_sandbox import RATE, RECORD, UNLIMITED, load_behaviour
from engine.cli.opening import read_settings
from engine.sandbox.http.access import make_access_key_id, make_secret, make_token
from engine.sandbox.server import REGION, Sandbox, SandboxSettings
from engine.system.proxies import exempt
from engine.workspace import open_store

FIREHOSE_SECONDS = 10.0


@with_common
def sandbox(  # noqa: PLR0913 - one for each option
    common: Common,
    *,
    port: int,
    rate: float | None,
    quota: int | None,
    latency: float,
    no_production_access: bool,
    identities: tuple[str, ...],
    dedicated_addresses: tuple[str, ...],
    behaviour: Path | None,
    envelope: str | None,
    firehose: Path | None,
    gzip: bool,
    access_key: str | None,
    secret: str | None,
    allow_hosts: tuple[str, ...],
) -> None:
    """Serve until SIGINT or SIGTERM."""
    chosen = read_settings(common)
    access, folder = chosen.sandbox, open_store(chosen).local_folder / RECORD
    behaves = load_behaviour(folder, behaviour)
    settings = SandboxSettings(
        record_folder=folder,
        behaviour=behaves if envelope is None else replace(behaves, envelope=envelope),
        firehose_folder=firehose,
        firehose_gzip=gzip,
        firehose_seconds=FIREHOSE_SECONDS,
        port=port,
        max_send_rate=RATE if rate is None else rate,
        max_24_hour_send=UNLIMITED if quota is None else quota,
        production_access=not no_production_access,
        identities=identities or None,
        dedicated_addresses=dedicated_addresses,
        latency_seconds=latency,
        credentials={
            access_key or access.access_key or make_access_key_id(): (
                secret or access.secret.get_secret_value() or make_secret()
            )
        },
        token=access.token.get_secret_value() or make_token(),
        allowed_hosts=(*access.allow_hosts, *allow_hosts),
    )
    asyncio.run(_serve(settings, as_json=common.json))


async def _serve(settings: SandboxSettings, *, as_json: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Sandbox(settings) as sandbox:
        ((access_key_id, secret),) = settings.credentials.items()
        environment = {
            "AWS_ENDPOINT_URL_SESV2": sandbox.url,
            "AWS_ENDPOINT_URL_SQS": sandbox.url,
            "AWS_ENDPOINT_URL_CLOUDWATCH": sandbox.url,
            "AWS_ACCESS_KEY_ID": access_key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": REGION,
            "MAILRUN_SANDBOX_TOKEN": settings.token,
            **exempt(sandbox.url),
        }
        if as_json:
            print_json(
                {
                    "url": sandbox.url,
                    "inbox": sandbox.inbox_url,
                    "queue": sandbox.queue_url,
                    "record": str(settings.record_folder),
                    "environment": environment,
                }
            )
        else:
            print_lines(
                f"inbox:  {sandbox.inbox_url}",
                f"events: {sandbox.queue_url}",
                f"record: {settings.record_folder}/accepted.jsonl",
                "to send to this sandbox instead of SES:",
                *(f"  export {name}={shlex.quote(value)}" for name, value in environment.items()),
                "press Ctrl-C to stop",
            )
        sys.stdout.flush()  # flushed now, so that the program that started it can read the address
        await stopped.wait()
