"""What the figures of a run are counted from: its row and leases in the ledger, its frozen plan, and its outcomes."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import Struct

from engine.audience.planning.lease_range import LeaseRange
from engine.campaign.spec import CampaignSpec, load_campaign
from engine.errors import ConfigurationError, DataError, UsageError
from engine.ledger import snapshots
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome, Replay, Result
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run
from engine.logs import get_logger
from engine.store.outcomes_files import PUBLISHED, STAGED, name_lease
from engine.store.port import Store

log = get_logger()

_FILE = re.compile(r"(?:recipients|excluded)-[0-9-]+\.parquet")
NO_ANSWER = "handed over, no answer yet"
OUTCOME_COLUMNS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt64,
    "address": pl.String,
    "outcome": pl.String,
    "error": pl.String,
    "at": pl.Datetime("ms", "UTC"),
}


class RunData(Struct, frozen=True):
    """The files and records of one run.

    Attributes:
        run: its row in the ledger.
        recipients: the recipients files of its plan.
        excluded: the exclusions files of its plan.
        plan: its row groups, in order.
        spec: its campaign as launched; None where it cannot be read.
        templates: the frozen folder of its campaign.
        files: ordinal of a settled lease -> its outcomes file on this machine.
        replays: ordinal of an open lease -> its replayed journal.
    """

    run: Run
    recipients: Sequence[Path]
    excluded: Sequence[Path]
    plan: Sequence[LeaseRange]
    spec: CampaignSpec | None
    templates: Path
    files: Mapping[int, Path]
    replays: Mapping[int, Replay]

    @property
    def plan_folder(self) -> Path:
        """The folder of the plan's files."""
        return self.templates.parent / "plan"

    def scan_outcomes(self, ordinals: Iterable[int] | None = None) -> pl.LazyFrame:
        """Read the outcomes of leases, settled and open: OUTCOME_COLUMNS; of all leases where none are given."""
        chosen = self.files.keys() | self.replays.keys() if ordinals is None else set(ordinals)
        files = [path for ordinal, path in self.files.items() if ordinal in chosen]
        frames = [_read_replay(replay) for ordinal, replay in self.replays.items() if ordinal in chosen]
        if files:
            settled = pl.scan_parquet(files, glob=False, hive_partitioning=False)
            frames.append(settled.select(pl.col(name).cast(dtype) for name, dtype in OUTCOME_COLUMNS.items()))
        return pl.concat([pl.LazyFrame(schema=OUTCOME_COLUMNS), *frames])

    def scan_recipients(self) -> pl.LazyFrame:
        """Read the plan's recipients."""
        return pl.scan_parquet(list(self.recipients), glob=False, hive_partitioning=False)


def read_run_data(ledger: Ledger, store: Store, name: str) -> RunData:
    """Read what the figures of a run are counted from; the files themselves are read when they are scanned.

    Raises:
        UsageError: there is no such run, or its files were pruned.
        DataError: its files are missing or damaged.
        MailrunError: ledger or store cannot be reached.
    """
    snapshot = snapshots.read_run(ledger, name)
    if snapshot is None or snapshot.run.pruned_at is not None:
        what = f"there is no run {name}" if snapshot is None else f"the files of {name} were pruned"
        raise UsageError(what, where="RUN", remedy="list the runs with: mailrun status")
    folder = store.fetch(snapshot.run.folder)
    manifest = _read_manifest(folder / "run.json")
    files = manifest.files
    return RunData(
        run=snapshot.run,
        recipients=[folder / "plan" / file for file in files if file.startswith("recipients-")],
        excluded=[folder / "plan" / file for file in files if file.startswith("excluded-")],
        plan=manifest.leases,
        spec=_load_spec(folder / "campaign"),
        templates=folder / "campaign",
        files=_find_outcomes(folder, snapshot.leases.values()),
        replays=snapshot.replays,
    )


class _Manifest(Struct, frozen=True):
    """What is needed of run.json: names of the plan's files, and its leases."""

    files: Sequence[str]
    leases: Sequence[LeaseRange]


def _read_manifest(path: Path) -> _Manifest:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        leases = [LeaseRange(**lease) for lease in document["leases"]]
        return _Manifest([file for file in sorted(document["plan_files"]) if _FILE.fullmatch(file)], leases)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        remedy = "restore the run's folder from a backup"
        raise DataError("run.json is missing or damaged", where=str(path), remedy=remedy) from error


def _load_spec(folder: Path) -> CampaignSpec | None:
    try:
        return load_campaign(folder).spec
    except (ConfigurationError, UsageError, DataError) as error:
        log.warning("figures.campaign_damaged", what=error.what, where=error.where)
        return None


def _find_outcomes(folder: Path, leases: Iterable[LeaseState]) -> dict[int, Path]:
    """Find the outcomes file of each settled lease; it may still be staged."""
    found = {}
    for lease in leases:
        if lease.settlement is None:
            continue
        place = folder / PUBLISHED / lease.settlement.outcomes_file
        staged = folder / STAGED / f"{name_lease(lease.ordinal, lease.epoch)}.parquet"
        path = staged if staged.is_file() else place
        if path.is_file():
            found[lease.ordinal] = path
        else:
            log.warning("figures.outcomes_missing", where=str(place), do="run mailrun audit")
    return found


def _read_replay(replay: Replay) -> pl.LazyFrame:
    """Make the outcomes of an open lease; calls without an answer are in doubt."""
    waiting = [
        Result(row, Outcome.IN_DOUBT, None, NO_ANSWER, replay.begun.get(row, 0.0), replay.attempts[row])
        for row in replay.open_intents
    ]
    results = [*replay.results.values(), *waiting]
    columns = {
        "row": [result.row for result in results],
        "address": [None] * len(results),
        "outcome": [result.outcome.value for result in results],
        "error": [result.error for result in results],
        "at": [round(result.at * 1000) for result in results],
    }
    schema = {**OUTCOME_COLUMNS, "at": pl.Int64}
    return pl.LazyFrame(columns, schema=schema).with_columns(pl.col("at").cast(OUTCOME_COLUMNS["at"]))
