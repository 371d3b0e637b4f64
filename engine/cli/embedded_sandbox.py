"""The sandbox inside another command: `--sandbox`, and what `mailrun sandbox` has in common with it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from engine.account.client import Endpoint
from engine.errors import ConfigurationError, docs_page
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.events.behaviour import BEHAVIOUR_FILE, Behaviour
from engine.sandbox.server import SandboxSettings
from engine.store.port import Store

UNLIMITED = -1.0
RATE = 10_000.0  # faster than one process sends, so that the sandbox never slows a run down
RECORD = "sandbox"  # in the store, so that `mailrun sandbox` shows what `launch --sandbox` sent


@contextmanager
def open_embedded(store: Store) -> Iterator[Endpoint]:
    """Run a sandbox for a command that sends."""
    with run_embedded(store) as server:
        yield Endpoint(server.url, server.region, server.access_key_id, server.secret_access_key)


@contextmanager
def run_embedded(store: Store) -> Iterator[EmbeddedSandbox]:
    """Run a sandbox in this process; its queue has the events of every `--sandbox` run until they are deleted."""
    folder = store.local_folder / RECORD
    settings = SandboxSettings(
        record_folder=folder,
        max_send_rate=RATE,
        max_24_hour_send=UNLIMITED,
        multi_region_endpoints=None,
        tenants=None,
        behaviour=replace(load_behaviour(folder, None), envelope="raw"),
    )
    with run_in_thread(settings) as server:
        yield server


def load_behaviour(folder: Path, file: Path | None) -> Behaviour:
    """Read how recipients behave from a JSON file; from behaviour.json in the record's folder if none is named.

    Raises:
        ConfigurationError: it cannot be read, or is not valid.
    """
    path = file or folder / BEHAVIOUR_FILE
    try:
        return Behaviour.from_document(json.loads(path.read_bytes()))
    except FileNotFoundError as problem:
        if file is None:
            return Behaviour()
        raise _describe_unreadable(path, problem) from None
    except (OSError, ValueError) as problem:
        raise _describe_unreadable(path, problem) from None


def _describe_unreadable(path: Path, problem: Exception) -> ConfigurationError:
    what = problem.strerror if isinstance(problem, OSError) else str(problem)
    return ConfigurationError(
        f"the behaviour cannot be read: {what}",
        where=str(path),
        remedy=f"correct it; {docs_page('reference/sandbox.md')} describes it",
    )
