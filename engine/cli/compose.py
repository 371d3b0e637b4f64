"""The composition root: from what the command line says to the objects that do the work."""

import gc
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from engine.audience.objects import REMOTE
from engine.campaign.spec import Campaign, change_transport, check_key, format_key, load_campaign
from engine.cli.options import Common
from engine.cli.suggestions import remember_workspace
from engine.cli.workspace_folder import find_workspace
from engine.clock import SystemClock
from engine.environment import check_environment
from engine.given_paths import look_at
from engine.ledger.database import Ledger, open_ledger
from engine.places import mask_url
from engine.process_limits import raise_file_limit
from engine.progress import step
from engine.run.forgotten import make_find_forgotten
from engine.run.planning import PlanRequest
from engine.settings import Settings, list_variables, load_settings
from engine.store.folder import Store
from engine.store.keys import UNSUBSCRIBE_KEY, read_key


@dataclass(frozen=True, slots=True)
class Place:
    """An open workspace."""

    settings: Settings
    store: Store
    ledger: Ledger
    clock: SystemClock


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
    with step("opening the ledger"):
        ledger = open_ledger(settings.ledger_url)
    try:
        yield Place(settings, store, ledger, SystemClock())
    finally:
        ledger.close()


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
    return load_settings(workspace, store=common.store, ledger=common.ledger)


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
    )


def read_signing_keys(place: Place) -> tuple[bytes, ...]:
    """Read the keys that sign unsubscribe tokens from the settings, or the store's own key; the newest first."""
    configured = place.settings.read_unsubscribe_keys()
    if configured:
        return configured
    key, made = read_key(place.store, UNSUBSCRIBE_KEY)
    if made:
        note = (
            f"Created the key for unsubscribe links: {place.store.describe(UNSUBSCRIBE_KEY)}. Keep it; without it,"
            " links in sent mail stop working. To use your own, set MAILRUN_UNSUBSCRIBE_KEYS."
        )
        structlog.get_logger().warning("unsubscribe.key_made", note=note)
    return (key,)
