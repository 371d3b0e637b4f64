"""`mailrun audit`: prove a run's accounts from its files, and hold the ledger against them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection

from engine.audience.plan import read_lease
from engine.ledger import feedback, leases
from engine.ledger.journal import Outcome, Result
from engine.ledger.leases import Settlement
from engine.ledger.runs import Run
from engine.progress import step
from engine.quantities import format_count
from engine.report.accounts import Accounts
from engine.run.against import Comparison, compare
from engine.run.frozen import fetch_run
from engine.run.manifest import Manifest, find_damage, read_manifest
from engine.run.open_lease import decode_outcomes, hold_open_intents, parse_name
from engine.store.folder import Store, digest_bytes


@dataclass(slots=True)
class Audit:
    """What an audit found.

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


def audit_run(tx: Connection, run: Run, store: Store, against: pl.DataFrame | None = None) -> Audit:
    """Prove a run's accounts.

    A damaged outcomes file is set aside, so that nobody counts it; the ledger keeps its counts.

    Args:
        tx: a read transaction.
        run: which.
        store: where its files are.
        against: the receiving side's own list, as `read_list` gives it.

    Read are the plan's Parquet, every settled lease's outcome file and the journals of open leases. Each file
    must have the digest that was recorded when it was written; each recipient of a settled lease exactly one outcome.

    Raises:
        DataError: run.json is missing or damaged, so that nothing can be proved.
    """
    folder = fetch_run(run, store)
    manifest = read_manifest(folder, run.manifest_digest, run.next_manifest_digest)
    with step("hashing the plan"):
        problems = find_damage(folder / "plan", manifest.plan_files)
        problems += find_damage(folder / "campaign", manifest.campaign_files)
    outcomes: Counter[Outcome] = Counter()
    told: dict[int, Result] = {}
    accepted, excluded = 0, dict[str, int]()
    if not problems:
        accepted, excluded = _count_plan(folder / "plan", manifest, problems)
        with step("auditing", "recipients", manifest.accepted) as auditing:
            for state in leases.list_leases(tx, run.name):
                if state.settlement is None:
                    counts, results = _replay_lease(tx, run.name, state.ordinal)
                else:
                    planned = read_lease(folder / "plan", manifest.leases[state.ordinal])
                    outcomes_file = _OutcomesFile(store, f"{run.folder}/outcomes/{state.settlement.outcomes_file}")
                    counts, results = _count_outcomes(outcomes_file, state.settlement, planned, problems)
                outcomes.update(counts)
                auditing.advance(manifest.leases[state.ordinal].rows)
                if against is not None:
                    told |= results
    problems += _find_strangers(tx, run, store)
    accounts = Accounts(
        run=run.name,
        state=run.state,
        reason=run.reason,
        rows_read=run.rows_read,
        accepted=accepted,
        excluded=excluded,
        outcomes=outcomes,
        started_at=run.started_at,
        finished_at=run.finished_at,
        store=store.describe(run.folder),
        feedback=feedback.to_shown(feedback.sum_feedback(tx, run.name)),
    )
    comparison = None
    if against is not None and not problems:
        comparison = compare(told, against)
        problems += comparison.problems
    if not problems and not accounts.balanced:
        problems.append(f"rows read: {accounts.rows_read:,}, but the parts have another sum")
    return Audit(accounts, problems, comparison)


def _count_plan(plan: Path, manifest: Manifest, problems: list[str]) -> tuple[int, dict[str, int]]:
    """Count the plan's rows anew; report where run.json says otherwise."""
    accepted = pl.scan_parquet(manifest.list_plan(plan, "recipients")).select(pl.len()).collect().item()
    reasons = pl.scan_parquet(manifest.list_plan(plan, "excluded")).group_by("reason").len().collect()
    excluded = dict(sorted(reasons.iter_rows()))
    if accepted != manifest.accepted:
        problems.append(f"the plan has {format_count(accepted, 'recipient')}, but run.json says {manifest.accepted:,}")
    if excluded != dict(sorted(manifest.excluded.items())):
        problems.append(f"the plan's exclusions are {excluded}, and run.json says {manifest.excluded}")
    in_order = {reason: excluded[reason] for reason in manifest.excluded if reason in excluded}
    return accepted, in_order | excluded


def _replay_lease(tx: Connection, run: str, ordinal: int) -> tuple[Counter[Outcome], dict[int, Result]]:
    history = leases.replay_lease(tx, run, ordinal)
    results = {**history.results, **hold_open_intents(history, 0.0)}
    return Counter(result.outcome for result in results.values()), results


@dataclass(frozen=True, slots=True)
class _OutcomesFile:
    store: Store
    key: str

    def __str__(self) -> str:
        return self.store.describe(self.key)


def _count_outcomes(
    file: _OutcomesFile, settlement: Settlement, planned: pl.DataFrame, problems: list[str]
) -> tuple[Counter[Outcome], dict[int, Result]]:
    """Count a settled lease's outcomes from its file; nothing is counted from a damaged one."""
    data = file.store.read(file.key)
    if data is None:
        problems.append(f"{file} is missing")
        return Counter(), {}
    if digest_bytes(data) != settlement.outcomes_digest:
        aside = file.store.set_aside(file.key)
        problems.append(f"{file} is not what was written: its digest differs; it was set aside as {aside}")
        return Counter(), {}
    outcomes = pl.read_parquet(data)
    if not outcomes["row"].sort().equals(planned["row"].sort()):
        problems.append(f"{file} does not have exactly one outcome for each recipient of its lease")
    results = decode_outcomes(outcomes)
    counts = Counter(result.outcome for result in results.values())
    if {k: v for k, v in counts.items() if v} != {k: v for k, v in settlement.counts.items() if v}:
        problems.append(f"{file} adds up to other counts than the ledger has for its lease")
    return counts, results


def _find_strangers(tx: Connection, run: Run, store: Store) -> list[str]:
    """Name outcome files that no settled lease knows; readers of the folder would count them.

    A worker writes the file just before it settles the lease, and clears earlier ones away just after: such files of an
    epoch that the lease has had are no strangers while it is open or has just been settled.
    """
    states = {state.ordinal: state for state in leases.list_leases(tx, run.name)}
    folder = f"{run.folder}/outcomes"
    strangers = []
    for name in sorted(store.list_names(folder)):
        place = parse_name(name)
        state = None if place is None else states.get(place[0])
        known = state is not None and place is not None and place[1] <= state.epoch
        if state is not None and state.settlement is not None and known:
            known = name == state.settlement.outcomes_file or place[1] == state.epoch  # type: ignore[index] # known
        if not known and name.endswith(".parquet"):
            strangers.append(f"{store.describe(folder)}/{name} belongs to no settled lease")
    return strangers
