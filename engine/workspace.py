"""The composition root: from what the command line says to the objects that do the work."""

import gc
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from engine.campaign.spec import Campaign, change_transport, check_key, format_key, load_campaign
from engine.cli.options import Common
from engine.cli.suggestions import remember_workspace
from engine.clock import SystemClock
from engine.errors import ConfigurationError
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.forgotten import make_find_forgotten
from engine.masking import mask_url
from engine.progress import step
from engine.run.prepare.planning import PlanRequest
from engine.setting_sources import SETTINGS_FILE
from engine.settings import KEY_BYTES_MINIMUM, Settings, list_variables, load_settings
from engine.store.folder import Store
from engine.store.keys import UNSUBSCRIBE_KEY, read_key
from engine.store.objects import REMOTE
from engine.store.other_writers import describe_other_writers
from engine.system.environment import check_environment
from engine.system.given_paths import look_at
from engine.system.process_limits import raise_file_limit
from engine.system.temporary import use_scratch
from engine.workspace_folder import find_workspace


@dataclass(frozen=True, slots=True)
class Place:
    """An open workspace."""

    settings: Settings
    store: Store
    ledger: Ledger
    clock: SystemClock


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
        """Say which key signs, and which only verify."""
        if not self.configured:
            own = f"the store's own ({self.where}) signs and verifies"
            return own if self.stored else f"none yet; the first launch makes the store's own ({self.where})"
        first = f"{len(self.configured)} in the settings, the first signs"
        if self.stored is None:
            return f"{first}; the store has none of its own"
        return f"{first}; the store's own ({self.where}) still verifies"


@contextmanager
def open_place(common: Common, around: Path | None = None) -> Iterator[Place]:
    """Open store and ledger of a workspace.

    Args:
        common: what the command line says.
        around: a campaign folder whose workspace is meant where none is named.
    """
    settings = read_settings(common, around)
    structlog.get_logger().info(
        "workspace.open",
        workspace=str(settings.workspace),
        store=settings.store if settings.in_bucket else str(settings.store_folder),
        ledger=mask_url(settings.ledger_url),
    )
    with step("opening the store"):
        store = _open_store(settings)
    warn_of_other_writers(settings)
    with step("opening the ledger"):
        ledger = open_ledger(settings.ledger_url)
    try:
        yield Place(settings, store, ledger, SystemClock())
    finally:
        ledger.close()


def warn_of_other_writers(settings: Settings) -> None:
    """Log what lets other users of this machine write the store, the ledger or mailrun.toml."""
    for note in list_other_writers(settings):
        structlog.get_logger().warning("store.others_can_write", note=note)


def list_other_writers(settings: Settings) -> list[str]:
    """Say what lets other users of this machine write the store, the ledger or mailrun.toml, and what to do."""
    places = [settings.store_folder, settings.workspace / SETTINGS_FILE]
    if settings.ledger_file is not None:
        places.append(settings.ledger_file)
    return list(dict.fromkeys(n for place in places if place.exists() for n in describe_other_writers(place)))


def tune_interpreter() -> None:
    """Prepare a process that sends: short pauses of its event loop, whatever its other threads do.

    Sending makes millions of objects and hardly a cycle, so cycles are looked for seldom, and never in what was
    imported: a fifth of a launch's CPU, and its longest pauses (a look at 50,000 new objects takes 10 ms, at 10,000 it
    takes 2). A thread that computes gives way after a millisecond.

    Raises:
        PausedError: the process may not open as many files as sending needs.
    """
    raise_file_limit()
    sys.setswitchinterval(0.001)
    gc.freeze()
    gc.set_threshold(10_000, 500, 10)


def open_store(common: Common) -> Store:
    """Open a workspace's store alone."""
    return _open_store(read_settings(common))


def _open_store(settings: Settings) -> Store:
    if not settings.in_bucket:
        return Store(settings.store_folder)
    from engine.store.s3 import S3Store  # noqa: PLC0415 - a folder does not need boto3

    return S3Store(settings.store, settings.store_folder)


def read_settings(common: Common, around: Path | None = None) -> Settings:
    """Read the settings of a workspace.

    Args:
        common: what the command line says.
        around: a campaign folder whose workspace is meant where none is named.

    Raises:
        UsageError: there is no workspace.
        ConfigurationError: a setting is wrong or unknown.
    """
    check_environment(os.environ, list_variables())  # a misspelt MAILRUN_WORKSPACE, before one is looked for
    workspace = (common.workspace or find_workspace(around)).absolute()
    remember_workspace(workspace)
    settings = load_settings(workspace, store=common.store, ledger=common.ledger)
    if settings.scratch_folder is not None:
        use_scratch(settings.scratch_folder)
    return settings


def find_campaign_folder(given: str, common: Common) -> Path:
    """Find the folder that CAMPAIGN means: a path, or a name under `campaigns/` of the workspace.

    Raises:
        UsageError: the path cannot be looked at, or there is no workspace.
    """
    path = Path(given)
    if _is_folder(path, "CAMPAIGN"):
        return path.absolute()
    workspace = common.workspace or find_workspace(None)
    named = workspace / "campaigns" / given
    return (named if _is_folder(named, "CAMPAIGN") or "/" not in given else path).absolute()


def _is_folder(path: Path, option: str) -> bool:
    state = look_at(path, option)
    return state is not None and stat.S_ISDIR(state.st_mode)


def make_plan_request(  # noqa: PLR0913 - one for each option
    place: Place,
    folder: Path,
    *,
    audience: str | None,
    key: str | None,
    limit: int | None,
    transport: str | None,
    sandbox: bool,
    lenient: bool = False,
) -> PlanRequest:
    """Read a campaign and what the command line changes of it."""
    campaign = load_campaign(folder)
    spec = change_transport(campaign.spec, transport)
    campaign = Campaign(name=campaign.name, folder=campaign.folder, spec=spec)
    if audience is not None:
        given = Path(audience)
        exists = not audience.startswith(REMOTE) and look_at(given, "--audience") is not None
        source = str(given.absolute()) if exists else audience  # a path as the shell completes it
        spec = campaign.spec.model_copy(
            update={"audience": campaign.spec.audience.model_copy(update={"source": (source,)})}
        )
        campaign = Campaign(name=campaign.name, folder=campaign.folder, spec=spec)
    now = place.clock.now()
    return PlanRequest(
        campaign=campaign,
        key=check_key(key if key is not None else format_key(campaign.spec.key, now) + ("-sandbox" if sandbox else "")),
        workspace=place.settings.workspace,
        limit=limit,
        sandbox=sandbox,
        created_at=now,
        find_forgotten=make_find_forgotten(place.ledger, place.store),
        is_key_given=key is not None,
        is_audience_given=audience is not None,
        lenient=lenient,
        ledger=place.ledger,
        store=place.store,
        transport=transport,
        limits=place.settings.limits,
    )


def find_unsubscribe_keys(place: Place) -> UnsubscribeKeys:
    """Find every key that verifies unsubscribe links: those of the settings, and the store's own.

    Raises:
        ConfigurationError: a setting is wrong, or the store's key is damaged.
    """
    own, where = place.store.read(UNSUBSCRIBE_KEY), place.store.describe(UNSUBSCRIBE_KEY)
    if own is not None and len(own.strip()) < KEY_BYTES_MINIMUM:
        raise ConfigurationError(
            "the store's key for unsubscribe links is damaged",
            where=where,
            remedy="restore it from a backup: without it, links in sent mail stop working",
        )
    return UnsubscribeKeys(place.settings.read_unsubscribe_keys(), own.strip() if own is not None else None, where)


def read_signing_keys(place: Place) -> tuple[bytes, ...]:
    """Read the keys of unsubscribe tokens; the first signs. The store's own is made where there is none at all."""
    found = find_unsubscribe_keys(place)
    if found.all:
        return found.all
    key, made = read_key(place.store, UNSUBSCRIBE_KEY)
    if made:
        note = (
            f"Created the key for unsubscribe links: {found.where}. Keep it; without it, links in sent mail stop"
            " working. To sign with your own from now on, set MAILRUN_UNSUBSCRIBE_KEYS."
        )
        structlog.get_logger().warning("unsubscribe.key_made", note=note)
    return (key,)
