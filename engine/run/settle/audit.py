"""`mailrun audit`: prove the accounts of a run from its files, and compare the ledger with them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import Struct, field

from engine.audience.planning.plan_files import iterate_lease_rows
from engine.errors import UsageError
from engine.ledger import event_flags, snapshots
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome, Replay
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.ledger.snapshots import RunSnapshot
from engine.progress import step
from engine.quantities import format_count
from engine.report.accounts import Accounts
from engine.run.frozen import fetch_run
from engine.run.manifest import Manifest, find_damage, read_manifest
from engine.run.outcomes import finish_changes, hold_open_intents
from engine.run.ownership import refuse_other_owner
from engine.run.restored import describe_behind, find_ahead
from engine.run.settle.comparison import COMPARED_SCHEMA, Comparison, compare
from engine.store.outcomes_files import OutcomesFiles, parse_name
from engine.store.port import Store

_READ_AT_ONCE = 8  # files: a bucket answers each in 20 ms or more


class Audit(Struct):
    """The result of an audit.

    Attributes:
        accounts: added up from the files, and from the journal where a lease is still open.
        problems: a sentence for everything that is damaged or does not add up; empty where all is proved.
        comparison: with the receiving side's list, where one was given.
    """

    accounts: Accounts
    problems: list[str] = field(default_factory=list)
    comparison: Comparison | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `audit --json`: accounts that are not proved are not balanced."""
        balanced = self.accounts.balanced and not self.problems
        compared = {} if self.comparison is None else {"against": self.comparison.to_json()}
        return self.accounts.to_json() | {"balanced": balanced, "problems": self.problems} | compared


def audit_run(ledger: Ledger, run: Run, store: Store, against: pl.DataFrame | None = None) -> Audit:
    """Prove a run's accounts.

    A damaged outcomes file is set aside, so that no reader counts it; the ledger keeps its counts.

    Args:
        ledger: where the run is. It is read once, and again for a lease that changes meanwhile.
        run: which.
        store: where its files are.
        against: the receiving side's own list, as `read_list` gives it.

    Reads the plan's Parquet, every settled lease's outcomes file and the journals of open leases. Each file must have
    the digest that was recorded when it was written, and each recipient of a settled lease exactly one outcome.

    Raises:
        DataError: run.json is missing or damaged, or another ledger's, so that nothing can be proved.
    """
    refuse_other_owner(run, store, ledger)
    folder = fetch_run(run, store, frozen_only=True)
    manifest = read_manifest(folder, run.manifest_digest, run.next_manifest_digest)
    with step("hashing the plan"):
        problems = find_damage(folder / "plan", manifest.plan_files)
        problems += find_damage(folder / "campaign", manifest.campaign_files)
    finish_changes(ledger, run.name, store, run.folder)
    is_readable, ahead = not problems, find_ahead(ledger, run, store)
    if ahead:
        behind = describe_behind(run.name, len(ahead))
        problems.append(f"{behind}: restore a newer backup, or run mailrun resolve {run.name} --after-restore")
    names = store.list_names(f"{run.folder}/outcomes")  # before the ledger is read, which is always ahead of the files
    snapshot = snapshots.read_run(ledger, run.name)
    if snapshot is None:
        raise UsageError(
            f"the run {run.name} was removed at this moment", where="RUN", remedy="list the runs with: mailrun status"
        )
    outcomes: Counter[Outcome] = Counter()
    compared = [pl.DataFrame(schema=COMPARED_SCHEMA)]
    accepted, excluded = 0, dict[str, int]()
    if is_readable:
        accepted, excluded = _count_plan(folder / "plan", manifest, problems)
        files = _Files(ledger, run.name, OutcomesFiles(store, run.folder), keeps_frames=against is not None)
        with step("auditing", "recipients", manifest.accepted) as auditing:
            for counted in _count_leases(files, folder / "plan", manifest, snapshot, ahead):
                outcomes.update(counted.counts)
                problems += counted.problems
                compared.append(counted.frame)
                auditing.advance(counted.counts.total())
    problems += _find_unknown_files(names, snapshot.leases, store, f"{run.folder}/outcomes")
    accounts = Accounts(
        run=run.name,
        state=snapshot.run.state,
        reason=snapshot.run.reason,
        rows_read=run.rows_read,
        accepted=accepted,
        excluded=excluded,
        outcomes=outcomes,
        started_at=snapshot.run.started_at,
        finished_at=snapshot.run.finished_at,
        store=store.describe(run.folder),
        feedback=event_flags.to_shown(snapshot.feedback),
    )
    comparison = None
    if against is not None and not problems:
        comparison = compare(pl.concat(compared), against)
        problems += comparison.problems
    if not problems:
        problems += _check_sums(accounts)
    return Audit(accounts, problems, comparison)


def _check_sums(accounts: Accounts) -> Iterator[str]:
    """Yield what does not add up in accounts whose files are sound: the first problem only."""
    if not accounts.balanced:
        yield f"rows read: {accounts.rows_read:,}, but its parts add up to another number"
    elif accounts.state is RunState.FINISHED and accounts.count(Outcome.UNSENT):
        yield (
            f"the run is finished, and {accounts.count(Outcome.UNSENT):,} of its recipients are unsent:"
            f" run mailrun resolve {accounts.run} --after-restore, then launch again to resume"
        )


def _count_plan(plan: Path, manifest: Manifest, problems: list[str]) -> tuple[int, dict[str, int]]:
    """Count the rows of the plan; report a difference to run.json."""
    accepted = pl.scan_parquet(manifest.list_plan(plan, "recipients")).select(pl.len()).collect().item()
    reasons = pl.scan_parquet(manifest.list_plan(plan, "excluded")).group_by("reason").len().collect()
    excluded = dict(sorted(reasons.iter_rows()))
    if accepted != manifest.accepted:
        problems.append(f"the plan has {format_count(accepted, 'recipient')}, but run.json has {manifest.accepted:,}")
    if excluded != dict(sorted(manifest.excluded.items())):
        problems.append(f"the plan's exclusions are {excluded}, but run.json has {manifest.excluded}")
    in_order = {reason: excluded[reason] for reason in manifest.excluded if reason in excluded}
    return accepted, in_order | excluded


class _Counted(Struct, frozen=True):
    """What was counted of one lease; `frame` (COMPARED_SCHEMA) is empty where nothing is compared."""

    counts: Counter[Outcome]
    frame: pl.DataFrame
    problems: list[str] = field(default_factory=list)


def _count_leases(
    files: "_Files", plan: Path, manifest: Manifest, snapshot: RunSnapshot, ahead: Collection[int]
) -> Iterable[_Counted]:
    """Count every lease; skip the files of leases in `ahead`, whose files are newer than this ledger."""
    for replay in snapshot.replays.values():
        yield _count_replay(replay)
    settled = [
        lease
        for lease in manifest.leases
        if lease.ordinal not in ahead and _is_settled(snapshot.leases.get(lease.ordinal))
    ]
    with ThreadPoolExecutor(_READ_AT_ONCE) as threads:
        for together in iterate_lease_rows(plan, settled):
            yield from threads.map(lambda one: files.count(snapshot.leases[one[0].ordinal], one[1]), together)


def _is_settled(state: LeaseState | None) -> bool:
    return state is not None and state.settlement is not None


def _count_replay(replay: Replay) -> _Counted:
    results = [*replay.results.values(), *hold_open_intents(replay, 0.0).values()]
    columns = {name: [getattr(result, name) for result in results] for name in COMPARED_SCHEMA}
    return _Counted(Counter(result.outcome for result in results), pl.DataFrame(columns, schema=COMPARED_SCHEMA))


class _Files(Struct, frozen=True):
    """Counts settled leases from their files."""

    ledger: Ledger
    run: str
    files: OutcomesFiles
    keeps_frames: bool

    def count(self, state: LeaseState, planned: pl.Series) -> _Counted:
        """Count a settled lease's outcomes from its file; nothing is counted from a damaged one."""
        settlement, none = state.settlement, pl.DataFrame(schema=COMPARED_SCHEMA)
        assert settlement is not None  # noqa: S101 - checked by the caller
        file = settlement.outcomes_file
        data = self.files.read(state.ordinal, state.epoch, file, settlement.outcomes_digest)
        if data is None:
            return self._count_changed(state, planned)
        problems, where = list[str](), self.files.describe(file)
        outcomes = pl.read_parquet(data, columns=["row", "message_id", "outcome"])
        if not outcomes["row"].sort().equals(planned.sort()):
            problems.append(f"{where} does not have exactly one outcome for each recipient of its lease")
        counts = Counter({Outcome(name): n for name, n in outcomes.group_by("outcome").len().iter_rows()})
        if counts != Counter({outcome: n for outcome, n in settlement.counts.items() if n}):
            problems.append(f"{where} adds up to other counts than the ledger has for its lease")
        return _Counted(counts, outcomes.select(*COMPARED_SCHEMA) if self.keeps_frames else none, problems)

    def _count_changed(self, state: LeaseState, planned: pl.Series) -> _Counted:
        """Count a lease that has changed since the snapshot; name its file, and set it aside, where it has not."""
        assert state.settlement is not None  # noqa: S101 - checked by the caller
        now = snapshots.read_lease(self.ledger, self.run, state.ordinal)
        if now.state.settlement is None:
            return _count_replay(now.replay)
        if now.state != state:
            return self.count(now.state, planned)
        file, nothing = state.settlement.outcomes_file, pl.DataFrame(schema=COMPARED_SCHEMA)
        where = self.files.describe(file)
        if not self.files.exists(file):
            return _Counted(Counter(), nothing, [f"{where} is missing"])
        aside = self.files.set_aside(file)
        problem = f"{where} was changed: its digest differs; it was set aside as {aside}"
        return _Counted(Counter(), nothing, [problem])


def _find_unknown_files(names: set[str], states: Mapping[int, LeaseState], store: Store, folder: str) -> list[str]:
    """Name outcomes files without a settled lease; readers of the folder would count them.

    A lease that was opened again keeps its file until it is settled again.
    """
    unknown = []
    for name in sorted(names):
        place = parse_name(name)
        state = None if place is None else states.get(place[0])
        known = state is not None and place is not None and place[1] <= state.epoch
        if state is not None and state.settlement is not None:
            known = name == state.settlement.outcomes_file
        if not known and name.endswith(".parquet"):
            unknown.append(f"{store.describe(folder)}/{name} belongs to no settled lease")
    return unknown
