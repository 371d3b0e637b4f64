"""The newest errors of a run that sends: from its open leases, and from a few of its files."""

import io
from collections.abc import Mapping, Sequence

import polars as pl
from msgspec import Struct

from engine.ledger import leases
from engine.ledger.figures.lossy_leases import list_lossy_leases
from engine.ledger.journal import Outcome, Replay
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run
from engine.masking import mask_text
from engine.report.figures.cause_texts import name_error
from engine.report.figures.document import Cause
from engine.report.figures.examples import mask_address
from engine.store.outcomes_files import OutcomesFiles
from engine.workspace import Workspace

MOST_LEASES = 20  # of each kind: a page reads the same number of files for any run
_MOST_CAUSES = 20
_MOST_EXAMPLES = 3
_LOST = [outcome.value for outcome in (Outcome.REFUSED, Outcome.FAILED, Outcome.IN_DOUBT)]
_NO_CAUSE = "no cause is recorded"
_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "row": pl.UInt64, "outcome": pl.String, "error": pl.String, "address": pl.String,
}  # fmt: skip


class RecentErrors(Struct, frozen=True):
    """The newest errors.

    Attributes:
        causes: outcome -> its causes, the largest first.
        recipients: how many they are.
    """

    causes: Mapping[str, Sequence[Cause]]
    recipients: int


def read_recent_errors(workspace: Workspace, run: Run) -> RecentErrors:
    """Read the newest errors of a run."""
    with workspace.ledger.read() as tx:
        settled = list_lossy_leases(tx, run.name, MOST_LEASES)
        begun = leases.list_open_leases(tx, [run.name]).get(run.name, [])[-MOST_LEASES:]
        replays = [leases.replay_lease(tx, run.name, lease.ordinal) for lease in begun]
    files = OutcomesFiles(workspace.store, run.folder)
    frames = [read_settled(files, lease) for lease in settled] + [read_open(each) for each in replays]
    return group_errors(pl.concat([pl.DataFrame(schema=_SCHEMA), *frames]))


def read_settled(files: OutcomesFiles, lease: LeaseState) -> pl.DataFrame:
    """Read the errors of a settled lease; none where its file is missing or was replaced meanwhile."""
    found = lease.settlement
    data = None if found is None else files.read(lease.ordinal, lease.epoch, found.outcomes_file, found.outcomes_digest)
    if data is None:
        return pl.DataFrame(schema=_SCHEMA)
    frame = pl.read_parquet(io.BytesIO(data), columns=list(_SCHEMA)).select(list(_SCHEMA))
    return frame.filter(pl.col("outcome").is_in(_LOST))


def read_open(replay: Replay) -> pl.DataFrame:
    """Read the errors of an open lease; its journal has no addresses."""
    rows = [
        (result.row, result.outcome.value, result.error, None)
        for result in replay.results.values()
        if result.outcome in _LOST
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def group_errors(errors: pl.DataFrame) -> RecentErrors:
    """Group errors by their cause, with masked examples."""
    named = errors.with_columns(name_error(pl.col("error")).fill_null("").alias("cause"))
    groups = named.group_by("outcome", "cause").agg(
        pl.len().alias("rows"), pl.col("row").head(_MOST_EXAMPLES), pl.col("address").head(_MOST_EXAMPLES)
    )
    causes: dict[str, list[Cause]] = {}
    for outcome, cause, count, rows, addresses in groups.sort(["rows", "cause"], descending=[True, False]).iter_rows():
        known = causes.setdefault(outcome, [])
        if len(known) < _MOST_CAUSES:
            examples = [_write_example(row, address) for row, address in zip(rows, addresses, strict=True)]
            known.append(Cause(mask_text(cause) or _NO_CAUSE, count, examples))
    return RecentErrors(causes, errors.height)


def _write_example(row: int, address: str | None) -> str:
    return f"{mask_address(address)}, row {row}" if address else f"row {row}"
