"""Look up one address: what was sent to it and when, its events, and why it is suppressed.

>>> from engine.workspace import open_workspace
>>> def show(address: str) -> None:
...     with open_workspace() as workspace:
...         found = look_up_address(workspace, address)
...         print(found.entries, [(one.row.run, one.outcome) for one in found.messages])
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import polars as pl
from msgspec import Struct, field

from engine.errors import MailrunError
from engine.ledger import event_flags, snapshots
from engine.ledger.event_flags import SoftBounce
from engine.ledger.runs import Run
from engine.ledger.suppressed.suppressions import DOMAIN_MARK, Suppression, list_keys
from engine.run.lookup.event_search import EventSearch, find_events
from engine.run.lookup.outcomes import RecipientOutcome, read_outcome
from engine.run.lookup.plan_search import PlannedRow, PlanSearch, search_plans
from engine.store.history import HISTORY, find_history
from engine.suppression.looking_up import find_entries, find_forgotten, read_entry
from engine.workspace import Workspace

SECONDS = 3.0  # after which a search stops, and says what it did not search
MOST_DETAILED = 50  # messages whose outcomes are read at once


class AddressMessage(Struct, frozen=True):
    """A row of a run that has the address, and what became of it.

    Attributes:
        run: its run.
        row: its place in the plan.
        outcome: of a recipient; None for an excluded row, or where it could not be read.
        problem: why it could not be read; empty where it was.
    """

    run: Run
    row: PlannedRow
    outcome: RecipientOutcome | None = None
    problem: str = ""


class PrunedMessage(Struct, frozen=True):
    """A message of a run whose files were pruned: only that it was handed over, and when."""

    run: str
    at: datetime


class AddressRecord(Struct, frozen=True, kw_only=True):
    """What is known of an address.

    Attributes:
        asked: as it was given.
        key: the normalised address, or a domain as `@example.com`.
        entries: suppressions of the address and of its domains.
        is_forgotten: whether it was erased with `mailrun forget`.
        soft_bounces: transient bounces that a rule still counts, the earliest first.
        messages: rows that have the address, the newest run first; at most MOST_DETAILED.
        more: further runs that have the address.
        pruned: messages of runs without files, the newest first.
        unsearched: runs that the time did not reach; they are older than those that were searched.
        next_run: the run to continue with; None where all were searched and shown.
        unread: run -> why its plan could not be read.
    """

    asked: str
    key: str
    entries: Sequence[Suppression]
    is_forgotten: bool
    soft_bounces: Sequence[SoftBounce] = ()
    messages: Sequence[AddressMessage] = ()
    more: int = 0
    pruned: Sequence[PrunedMessage] = ()
    unsearched: int = 0
    next_run: str | None = None
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def is_domain(self) -> bool:
        """Whether it is a whole domain: then only its suppression is known."""
        return self.key.startswith(DOMAIN_MARK)

    @property
    def is_suppressed(self) -> bool:
        """Whether an entry of the list, or its erasure, blocks mail to it."""
        return bool(self.entries) or self.is_forgotten

    @property
    def has_events(self) -> bool:
        """Whether the ledger has events of one of these messages."""
        return any(one.outcome is not None and one.outcome.events for one in self.messages)


def look_up_address(
    workspace: Workspace, address: str, *, first: str | None = None, seconds: float = SECONDS
) -> AddressRecord:
    """Look up an address or a domain, without its events.

    Args:
        workspace: has plans, outcomes, history and suppressions.
        address: in any spelling.
        first: run to begin with, `next_run` of an earlier call; None for the newest.
        seconds: after which the search of plans stops.

    Raises:
        DataError: it is not an address or a domain.
        MailrunError: store or ledger cannot be read.
    """
    key, _ = read_entry(address)
    entries = find_entries(workspace, set(list_keys(key)))
    is_forgotten = key in find_forgotten(workspace, [key])
    record = AddressRecord(asked=address.strip(), key=key, entries=entries, is_forgotten=is_forgotten)
    if record.is_domain:
        return record
    runs = snapshots.list_runs(workspace.ledger)
    if first is not None:
        names = [run.name for run in runs]
        runs = runs[names.index(first) :] if first in names else runs
    kept = [run for run in runs if run.pruned_at is None]
    is_late = make_deadline(workspace, seconds)
    search = search_plans(workspace.store, key, kept, is_late)
    messages, next_run, more = _add_outcomes(workspace, search, kept)
    with workspace.ledger.read() as tx:
        soft_bounces = event_flags.find_soft_bounces(tx, [key]).get(key, [])
    return AddressRecord(
        asked=record.asked,
        key=key,
        entries=entries,
        is_forgotten=is_forgotten,
        soft_bounces=soft_bounces,
        messages=messages,
        more=more,
        pruned=_find_pruned(workspace, key, [run for run in runs if run.pruned_at is not None]),
        unsearched=len(kept) - search.searched,
        next_run=next_run,
        unread=search.unread,
    )


def find_address_events(
    workspace: Workspace, address: str, *, since: date | None = None, seconds: float = SECONDS
) -> EventSearch:
    """Find the events of an address, which takes longer than the rest.

    Args:
        workspace: has the events.
        address: in any spelling.
        since: the first day; None for the day of the first run that sent anything.
        seconds: after which the search stops.

    Raises:
        DataError: it is not an address.
        MailrunError: the store cannot be read.
    """
    key, _ = read_entry(address)
    if since is None:
        begun = [run.started_at for run in snapshots.list_runs(workspace.ledger) if run.started_at is not None]
        since = min(begun).astimezone(UTC).date() if begun else date.min
    return find_events(workspace.store, key, since, make_deadline(workspace, seconds))


def make_deadline(workspace: Workspace, seconds: float) -> Callable[[], bool]:
    """Return a function that returns whether some seconds have passed."""
    end = workspace.clock.monotonic() + seconds
    return lambda: workspace.clock.monotonic() >= end


def _add_outcomes(
    workspace: Workspace, search: PlanSearch, runs: Sequence[Run]
) -> tuple[list[AddressMessage], str | None, int]:
    """Read the outcomes of the newest runs; return them, the run to continue with, and how many runs have more."""
    by_name = {run.name: run for run in runs}
    names = list(dict.fromkeys(row.run for row in search.rows))
    shown, following = set(names[:MOST_DETAILED]), names[MOST_DETAILED:]
    detailed = [_add_outcome(workspace, by_name[row.run], row) for row in search.rows if row.run in shown]
    unsearched = [run.name for run in runs[search.searched :]]
    return detailed, next(iter([*following, *unsearched]), None), len(following)


def _add_outcome(workspace: Workspace, run: Run, row: PlannedRow) -> AddressMessage:
    if row.reason is not None:
        return AddressMessage(run, row)
    try:
        return AddressMessage(run, row, read_outcome(workspace.ledger, workspace.store, run, row))
    except MailrunError as error:
        return AddressMessage(run, row, problem=str(error))


def _find_pruned(workspace: Workspace, key: str, runs: Sequence[Run]) -> list[PrunedMessage]:
    """Find the messages of runs without plans in the history, which has files by run and lease."""
    if not runs:
        return []
    begun = min(run.started_at or run.created_at for run in runs)
    names = tuple(f"{run.name.replace('/', '--')}-lease-" for run in runs)
    files = [path for path in find_history(workspace.store.fetch(HISTORY).parent, begun) if path.name.startswith(names)]
    if not files:
        return []
    is_theirs = (pl.col("key") == key) & pl.col("run").is_in([run.name for run in runs])
    rows = pl.scan_parquet(files, glob=False, hive_partitioning=False).filter(is_theirs)
    found = rows.select("run", "at").collect().group_by("run").agg(pl.col("at").min()).sort("at", descending=True)
    return [PrunedMessage(run, at) for run, at in found.iter_rows()]
