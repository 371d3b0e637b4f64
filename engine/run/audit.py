"""`mailrun audit`: prove a run's accounts from its files, and hold the ledger against them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection

from engine.audience.plan import read_lease
from engine.ledger import leases
from engine.ledger.journal import Outcome, replay
from engine.ledger.leases import Settlement
from engine.ledger.runs import Run
from engine.report.accounts import Accounts
from engine.run.manifest import Manifest, find_damage, read_manifest
from engine.store.folder import Store, digest_file


@dataclass(slots=True)
class Audit:
    """What an audit found.

    Attributes:
        accounts: added up from the files, and from the journal where a lease is still open.
        problems: a sentence for everything that is damaged or does not add up; empty where all is proved.
    """

    accounts: Accounts
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `audit --json`: accounts that are not proved are not balanced."""
        balanced = self.accounts.balanced and not self.problems
        return self.accounts.to_json() | {"balanced": balanced, "problems": self.problems}


def audit_run(tx: Connection, run: Run, store: Store) -> Audit:
    """Prove a run's accounts.

    Read are the plan's Parquet, every settled lease's outcome file and the journals of open leases. Each file
    must have the digest that was recorded when it was written; each recipient of a settled lease exactly one outcome.

    Raises:
        DataError: run.json is missing or damaged, so that nothing can be proved.
    """
    folder = store.root / run.folder
    manifest = read_manifest(folder, run.manifest_digest)
    problems = find_damage(folder / "plan", manifest.plan_files)
    problems += find_damage(folder / "campaign", manifest.campaign_files)
    outcomes: Counter[Outcome] = Counter()
    accepted, excluded = 0, dict[str, int]()
    if not problems:
        accepted, excluded = _count_plan(folder / "plan", manifest, problems)
        for state in leases.list_leases(tx, run.name):
            if state.settlement is None:
                outcomes.update(_replay_lease(tx, run.name, state.ordinal))
            else:
                planned = read_lease(folder / "plan", manifest.leases[state.ordinal])
                outcomes.update(_count_outcomes(folder / "outcomes", state.settlement, planned, problems))
    problems += _find_strangers(tx, run, folder / "outcomes")
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
        store=folder,
    )
    if not problems and not accounts.balanced:
        problems.append(f"{accounts.rows_read} rows were read, and the parts add up to something else")
    return Audit(accounts, problems)


def _count_plan(plan: Path, manifest: Manifest, problems: list[str]) -> tuple[int, dict[str, int]]:
    """Count the plan's rows anew; report where run.json says otherwise."""
    accepted = pl.scan_parquet(plan / "recipients-*.parquet").select(pl.len()).collect().item()
    reasons = pl.scan_parquet(plan / "excluded-*.parquet").group_by("reason").len().collect()
    excluded = dict(sorted(reasons.iter_rows()))
    if accepted != manifest.accepted:
        problems.append(f"the plan has {accepted} recipients, and run.json says {manifest.accepted}")
    if excluded != dict(sorted(manifest.excluded.items())):
        problems.append(f"the plan's exclusions are {excluded}, and run.json says {manifest.excluded}")
    in_order = {reason: excluded[reason] for reason in manifest.excluded if reason in excluded}
    return accepted, in_order | excluded


def _replay_lease(tx: Connection, run: str, ordinal: int) -> Counter[Outcome]:
    history = replay(leases.read_journal(tx, run, ordinal))
    counts = Counter(result.outcome for result in history.results.values())
    counts[Outcome.IN_DOUBT] += len(history.open_intents)
    return counts


def _count_outcomes(
    folder: Path, settlement: Settlement, planned: pl.DataFrame, problems: list[str]
) -> Counter[Outcome]:
    """Count a settled lease's outcomes from its file; nothing is counted from a damaged one."""
    path = folder / settlement.outcomes_file
    if not path.is_file():
        problems.append(f"{path} is missing")
        return Counter()
    if digest_file(path) != settlement.outcomes_digest:
        problems.append(f"{path} is not what was written: its digest differs")
        return Counter()
    outcomes = pl.read_parquet(path)
    if not outcomes["row"].sort().equals(planned["row"].sort()):
        problems.append(f"{path} does not have exactly one outcome for each recipient of its lease")
    counts = Counter({Outcome(name): count for name, count in outcomes["outcome"].value_counts().iter_rows()})
    if {k: v for k, v in counts.items() if v} != {k: v for k, v in settlement.counts.items() if v}:
        problems.append(f"{path} adds up to other counts than the ledger has for its lease")
    return counts


def _find_strangers(tx: Connection, run: Run, outcomes: Path) -> list[str]:
    """Name outcome files that no settled lease knows; readers of the folder would count them."""
    known = set()
    for state in leases.list_leases(tx, run.name):
        # A worker writes the file just before it settles the lease.
        being_settled = f"lease-{state.ordinal:05d}-{state.epoch}.parquet"
        known.add(state.settlement.outcomes_file if state.settlement else being_settled)
    found = {path.name for path in outcomes.glob("lease-*.parquet")}
    return [f"{outcomes / name} belongs to no settled lease" for name in sorted(found - known)]
