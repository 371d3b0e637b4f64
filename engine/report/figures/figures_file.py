"""The document of a run's figures in the store: written after events were processed, and read by what shows it.

`runs/CAMPAIGN/KEY/report/figures.json` is replaced in one step. Counting may take long, and events arrive all the time:
a run is counted again only after ten times the time that counting took. Until then a mark in `stale-figures/` names the
run, and the next command that processes events counts it.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec

from engine.clock import Clock
from engine.errors import MailrunError
from engine.ledger import snapshots
from engine.ledger.database import Ledger
from engine.ledger.figures.recent_opt_outs import find_last_opt_outs
from engine.ledger.runs import Run
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.progress import step
from engine.report.figures.document import Figures
from engine.store.identity import read_store_identity
from engine.store.port import Store

log = get_logger()

VERSION = 1
REPORT, FILE = "report", "figures.json"
STALE = "stale-figures"
REST = 10  # times the time that counting took
SHORT = timedelta(seconds=1)  # a run that is counted faster is always counted
LONGEST = timedelta(seconds=60)  # of counting in one command; what is left is marked
OPT_OUTS = timedelta(days=7)  # runs with an opt-out by a link since then are counted again, too

_count = OnDemand("engine.report.figures.counting:count_figures")  # Polars is slow to import


def read_figures(store: Store, run: str) -> Figures | None:
    """Read the newest figures of a run; None where there are none, of another version, or damaged.

    Args:
        store: has them.
        run: CAMPAIGN/KEY.

    Raises:
        MailrunError: the store cannot be reached.
    """
    data = store.read(_key(run))
    if data is None:
        return None
    try:
        version = msgspec.json.decode(data, type=_Version).version
        return msgspec.json.decode(data, type=Figures) if version == VERSION else None
    except (msgspec.MsgspecError, RecursionError) as error:
        log.warning("figures.damaged", where=store.describe(_key(run)), what=str(error), note="they are counted again")
        return None


class _Version(msgspec.Struct):
    version: int = 0


def write_figures(store: Store, figures: Figures, now: datetime) -> None:
    """Write the figures of a run, unless newer ones are there.

    Args:
        store: gets them.
        figures: that were counted.
        now: figures that are there from later than now, from a clock that was wrong, are replaced.

    Raises:
        MailrunError: the store cannot be written.
    """
    known = read_figures(store, figures.run)
    if known is None or known.made_at <= figures.made_at or known.made_at > now:
        store.write(_key(figures.run), msgspec.json.encode(figures))


def remove_figures(store: Store, run: str) -> None:
    """Remove the figures of a run: a person was erased from it."""
    store.delete(_key(run))


def renew_figures(ledger: Ledger, store: Store, clock: Clock, run: str) -> Figures:
    """Count the figures of a run, and write them.

    Raises:
        UsageError: there is no such run, or its files were pruned.
        DataError: its files are missing or damaged.
        MailrunError: ledger or store cannot be reached.
    """
    known = snapshots.find_run(ledger, run)
    figures: Figures = _count(ledger, store, clock, run)
    write_figures(store, figures, clock.now())
    now = snapshots.find_run(ledger, run)
    if known is None or now is None or now.pruned_at is not None or now.manifest_digest != known.manifest_digest:
        remove_figures(store, run)  # a person was erased meanwhile, or the run was pruned
    return figures


def refresh_figures(
    ledger: Ledger, store: Store, clock: Clock, runs: Iterable[str], *, is_forced: bool = False
) -> list[str]:
    """Count the figures of runs whose events were processed, of those that are marked, and after opt-outs; never fails.

    Args:
        ledger: has the runs.
        store: has their files, and gets the figures.
        clock: now.
        runs: names; those that are pruned or in another store are skipped.
        is_forced: count them alone, however long it takes, and however short ago they were counted.

    Returns:
        The runs that were counted.
    """
    counted: list[str] = []
    with _logging("all"):
        marked = {name.replace(".", "/") for name in store.list_names(STALE)}
        others = [] if is_forced else [*sorted(marked), *_find_opted_out(ledger, store, clock.now())]
        wanted = list(dict.fromkeys([*runs, *others]))
        with step("counting figures", "runs", len(wanted), is_shown=bool(wanted)) as counting:
            for name in _refresh(ledger, store, clock, wanted, marked, is_forced=is_forced):
                counted.append(name)
                counting.advance()
    return counted


@contextmanager
def _logging(run: str) -> Iterator[None]:
    """Log any failure, also one of Polars that is not an `Exception`: the command has done its work."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - logged
        what = error.what if isinstance(error, MailrunError) else f"{type(error).__name__}: {error}"
        log.warning("figures.not_counted", run=run, what=what, note="the report and the dashboard show earlier figures")


def _refresh(  # noqa: PLR0913 - as refresh_figures
    ledger: Ledger, store: Store, clock: Clock, names: Iterable[str], marked: set[str], *, is_forced: bool
) -> Iterator[str]:
    """Yield the runs as they are counted; mark those that rest, or that are too many for one command."""
    began = clock.monotonic()
    for name in names:
        is_late = clock.monotonic() - began > LONGEST.total_seconds()
        with _logging(name):
            run = snapshots.find_run(ledger, name)
            mark = store.read(_mark(name)) if name in marked else None
            if run is None or not _has_files(run, store):
                _unmark(store, name, mark)
            elif is_forced or not (is_late or _rests(store, name, clock.now())):
                renew_figures(ledger, store, clock, name)
                _unmark(store, name, mark)
                yield name
            else:
                mark_figures(store, name)


def _unmark(store: Store, name: str, mark: bytes | None) -> None:
    """Remove a mark, unless another command has marked the run again meanwhile."""
    if mark is not None and store.read(_mark(name)) == mark:
        store.delete(_mark(name))


def mark_figures(store: Store, run: str) -> None:
    """Mark a run: the next command that processes events counts it; never fails."""
    with _logging(run):
        store.write(_mark(run), uuid.uuid4().hex.encode())


def _find_opted_out(ledger: Ledger, store: Store, now: datetime) -> list[str]:
    """List the runs with an opt-out by a link that is not in their figures yet."""
    with ledger.read() as tx:
        last = find_last_opt_outs(tx, now - OPT_OUTS)
    known = {run: read_figures(store, run) for run in sorted(last)}
    return [run for run, figures in known.items() if figures is not None and figures.made_at < last[run]]


def _has_files(run: Run, store: Store) -> bool:
    return run.pruned_at is None and run.store in (None, read_store_identity(store))


def _rests(store: Store, name: str, now: datetime) -> bool:
    known = read_figures(store, name)
    took = timedelta() if known is None else timedelta(seconds=known.took_seconds)
    return known is not None and took > SHORT and known.made_at <= now < known.made_at + took * REST


def _key(run: str) -> str:
    return f"runs/{run}/{REPORT}/{FILE}"


def _mark(run: str) -> str:
    return f"{STALE}/{run.replace('/', '.')}"
