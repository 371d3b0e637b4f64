"""The library's entry point: open a workspace, then call the functions that the commands call.

The command line, the servers, the Lambda handler and notebooks all start here:

>>> import tempfile
>>> from engine.report.run_accounts import list_accounts
>>> with tempfile.TemporaryDirectory() as folder, open_workspace(folder) as workspace:
...     list_accounts(workspace.ledger, workspace.store, workspace.clock.now())
[]

Settings come from the arguments, then from `MAILRUN_*` in the environment, then from `mailrun.toml`, as for a command.
docs/guides/analyse-runs-in-a-notebook.md shows more.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from engine.clock import SystemClock
from engine.errors import ConfigurationError
from engine.ledger.database import Ledger, open_ledger
from engine.logs import get_logger
from engine.masking import mask_url
from engine.on_demand import OnDemand
from engine.progress import step
from engine.setting_sources import SETTINGS_FILE
from engine.settings import KEY_BYTES_MINIMUM, Settings, list_variables, load_settings
from engine.store.folder import FolderStore
from engine.store.keys import UNSUBSCRIBE_KEY, read_key
from engine.store.other_writers import describe_other_writers
from engine.store.port import Store
from engine.system.environment import check_environment
from engine.system.temporary import use_scratch
from engine.workspace_folder import find_workspace

_open_s3_store = OnDemand("engine.store.s3:S3Store")  # its client is slow to import


@dataclass(frozen=True, slots=True)
class UnsubscribeKeys:
    """The keys of unsubscribe tokens.

    The store's key stays one of them when keys are set: links of earlier mail were signed with it. Delete its file to
    make these links invalid.

    Attributes:
        configured: those of the settings, newest first.
        stored: the store's own; None where it has none.
        where: the place of the store's own, for people.
    """

    configured: tuple[bytes, ...] = field(repr=False)
    stored: bytes | None = field(repr=False)
    where: str

    @property
    def all(self) -> tuple[bytes, ...]:
        """Every key that verifies; the first signs. Empty where there is none yet."""
        return tuple(dict.fromkeys((*self.configured, *(() if self.stored is None else (self.stored,)))))

    def to_json(self) -> dict[str, Any]:
        """Return `unsubscribe_keys` of --json: how many are set, which signs, and whether the store has its own."""
        signs = "settings" if self.configured else "store" if self.stored else None
        return {"configured": len(self.configured), "signs": signs, "stored": self.stored is not None}

    def describe(self) -> str:
        """Describe which key signs, and which keys only verify."""
        if not self.configured:
            own = f"the store's own ({self.where}) signs and verifies"
            return own if self.stored else f"none yet; the first launch creates the store's own ({self.where})"
        first = f"{len(self.configured)} in the settings, the first signs"
        if self.stored is None:
            return f"{first}; the store has no key"
        return f"{first}; the store's own ({self.where}) still verifies"


class Workspace(Struct, frozen=True):
    """An open workspace; a context manager that closes its ledger.

    Attributes:
        settings: as read when it was opened.
        store: holds plans, outcomes, events and reports.
        ledger: holds runs, workers, leases, journals and suppressions.
        clock: the time, for every decision that depends on it.
    """

    settings: Settings
    store: Store
    ledger: Ledger
    clock: SystemClock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the ledger."""
        self.ledger.close()

    def find_unsubscribe_keys(self) -> UnsubscribeKeys:
        """Find every key that verifies unsubscribe links: those of the settings, and the store's own.

        Raises:
            ConfigurationError: a setting is wrong, or the store's key is damaged.
        """
        own, where = self.store.read(UNSUBSCRIBE_KEY), self.store.describe(UNSUBSCRIBE_KEY)
        if own is not None and len(own.strip()) < KEY_BYTES_MINIMUM:
            raise ConfigurationError(
                "the store's key for unsubscribe links is damaged",
                where=where,
                remedy="restore it from a backup: without it, links in sent mail stop working",
            )
        return UnsubscribeKeys(self.settings.read_unsubscribe_keys(), own.strip() if own is not None else None, where)

    def read_verifying_keys(self) -> UnsubscribeKeys:
        """Read the keys that signed the links of sent mail; never creates a key, which could not verify them.

        Raises:
            ConfigurationError: there is none.
        """
        keys = self.find_unsubscribe_keys()
        if not keys.all:
            raise ConfigurationError(
                "there are no unsubscribe keys in the settings or the store, so no link can be verified",
                where=keys.where,
                remedy="give the store of the campaigns with --store, or set MAILRUN_UNSUBSCRIBE_KEYS to their keys",
            )
        return keys

    def read_signing_keys(self) -> tuple[bytes, ...]:
        """Read the keys of unsubscribe tokens; the first signs. Creates the store's own key where there is no key."""
        found = self.find_unsubscribe_keys()
        if found.all:
            return found.all
        key, made = read_key(self.store, UNSUBSCRIBE_KEY)
        if made:
            note = (
                f"Created the key for unsubscribe links: {found.where}. Keep it; without it, links in sent mail stop"
                " working. To sign with your own from now on, set MAILRUN_UNSUBSCRIBE_KEYS."
            )
            get_logger().warning("unsubscribe.key_made", note=note)
        return (key,)


def open_workspace(path: Path | str | None = None, *, store: str | None = None, ledger: str | None = None) -> Workspace:
    """Open the store and the ledger of a workspace; creates both where they are missing.

    Args:
        path: the workspace's folder. None for the one that MAILRUN_WORKSPACE names, or else the nearest folder upwards
            that has `campaigns/`.
        store: a folder or `s3://BUCKET/PREFIX`; None for what the settings say.
        ledger: an SQLAlchemy URL of SQLite or PostgreSQL; None to use the settings.

    Raises:
        UsageError: there is no workspace.
        ConfigurationError: a setting is wrong or unknown, or store or ledger cannot be used.
        UnreachableError: store or ledger do not answer.
    """
    return connect(read_settings(path, store=store, ledger=ledger))


def connect(settings: Settings) -> Workspace:
    """Open the store and the ledger that settings name.

    Raises:
        ConfigurationError: store or ledger cannot be used.
        UnreachableError: store or ledger do not answer.
    """
    get_logger().info(
        "workspace.open",
        workspace=str(settings.workspace),
        store=settings.store if settings.in_bucket else str(settings.store_folder),
        ledger=mask_url(settings.ledger_url),
    )
    with step("opening the store"):
        store = open_store(settings)
    warn_of_other_writers(settings)
    with step("opening the ledger"):
        ledger = open_ledger(settings.ledger_url)
    return Workspace(settings, store, ledger, SystemClock())


def read_settings(path: Path | str | None = None, *, store: str | None = None, ledger: str | None = None) -> Settings:
    """Read the settings of a workspace; arguments and errors as `open_workspace`."""
    check_environment(os.environ, list_variables())  # reports a misspelt MAILRUN_WORKSPACE
    named = path or os.environ.get("MAILRUN_WORKSPACE")
    folder = (Path(named) if named else find_workspace(None)).absolute()
    settings = load_settings(folder, store=store, ledger=ledger)
    if settings.scratch_folder is not None:
        use_scratch(settings.scratch_folder)
    return settings


def open_store(settings: Settings) -> Store:
    """Open the store alone."""
    if settings.in_bucket:
        store: Store = _open_s3_store(settings.store, settings.store_folder)
        return store
    return FolderStore(settings.store_folder)


def warn_of_other_writers(settings: Settings) -> None:
    """Log how other users of this machine can write the store, the ledger or mailrun.toml."""
    for note in list_other_writers(settings):
        get_logger().warning("store.others_can_write", note=note)


def list_other_writers(settings: Settings) -> list[str]:
    """Describe how other users of this machine can write the store, the ledger or mailrun.toml, and what to do."""
    places = [settings.store_folder, settings.workspace / SETTINGS_FILE]
    if settings.ledger_file is not None:
        places.append(settings.ledger_file)
    return list(dict.fromkeys(n for place in places if place.exists() for n in describe_other_writers(place)))
