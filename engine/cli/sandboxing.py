"""What `mailrun sandbox` and `--sandbox` put together: the server, its record, and how to point a client at it."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engine.account.client import Endpoint
from engine.cli import output
from engine.cli.compose import open_store
from engine.cli.options import Common
from engine.sandbox.embedded import run_in_thread
from engine.sandbox.server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, Sandbox, SandboxSettings
from engine.store.folder import Store

UNLIMITED = -1.0
RATE = 10_000.0  # faster than one process sends: the embedded sandbox shows the campaign, not the waiting
RECORD = "sandbox"  # in the store, so that `mailrun sandbox` shows what `launch --sandbox` sent


@contextmanager
def open_embedded(store: Store) -> Iterator[Endpoint]:
    """Run a sandbox beside a launch."""
    settings = SandboxSettings(record_folder=store.root / RECORD, max_send_rate=RATE, max_24_hour_send=UNLIMITED)
    with run_in_thread(settings) as server:
        yield Endpoint(server.url, server.region, server.access_key_id, server.secret_access_key)


def serve(  # noqa: PLR0913 - one for each option
    common: Common,
    *,
    port: int,
    rate: float | None,
    quota: int | None,
    latency: float,
    no_production_access: bool,
    identities: tuple[str, ...],
) -> None:
    """Serve until SIGINT or SIGTERM."""
    settings = SandboxSettings(
        record_folder=open_store(common).root / RECORD,
        port=port,
        max_send_rate=RATE if rate is None else rate,
        max_24_hour_send=UNLIMITED if quota is None else quota,
        production_access=not no_production_access,
        identities=identities or None,
        latency_seconds=latency,
    )
    asyncio.run(_serve(settings, as_json=common.json))


async def _serve(settings: SandboxSettings, *, as_json: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Sandbox(settings) as sandbox:
        environment = {
            "AWS_ENDPOINT_URL_SESV2": sandbox.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }
        if as_json:
            output.print_json({"url": sandbox.url, "record": str(settings.record_folder), "environment": environment})
        else:
            output.print_lines(
                f"inbox:  {sandbox.url}/",
                f"record: {settings.record_folder}/accepted.jsonl",
                "to send here instead of to SES:",
                *(f"  export {name}={value}" for name, value in environment.items()),
                "Ctrl-C stops it",
            )
        sys.stdout.flush()  # whoever started it reads the address now
        await stopped.wait()
