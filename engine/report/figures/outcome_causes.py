"""Recipients by outcome, each with its causes and masked examples."""

from collections.abc import Mapping, Sequence

import polars as pl

from engine.ledger.journal import Outcome
from engine.masking import mask_text
from engine.report.accounts import Accounts
from engine.report.figures.cause_texts import name_error
from engine.report.figures.document import Cause, OutcomeFigure
from engine.report.figures.examples import MOST, write_examples
from engine.report.figures.run_data import RunData

MOST_CAUSES = 20
OTHERS = "other causes"
NOT_RECORDED = "no cause is recorded"


def list_outcomes(data: RunData, accounts: Accounts) -> list[OutcomeFigure]:
    """List the outcomes in the order of `Outcome`, each with its causes, the largest first."""
    causes = find_causes(data)
    causes[Outcome.UNSENT] = _explain_unsent(accounts)
    return [OutcomeFigure(str(one), accounts.count(one), causes.get(one, ())) for one in Outcome]


def find_causes(data: RunData) -> dict[str, Sequence[Cause]]:
    """Find why recipients have their outcome: outcome -> causes; of sent recipients only those that are recorded."""
    known = data.scan_outcomes().filter((pl.col("outcome") != Outcome.SENT.value) | pl.col("error").is_not_null())
    named = known.select("outcome", "row", "address", name_error(pl.col("error")).fill_null("").alias("cause"))
    counts = (
        named.group_by("outcome", "cause")
        .agg(pl.len().alias("rows"), pl.col("row").bottom_k(MOST).alias("examples"))
        .collect(engine="streaming")
        .sort(["rows", "cause"], descending=[True, False])
    )
    largest = counts.group_by("outcome", maintain_order=True).head(MOST_CAUSES)
    places = _find_places(data, largest.explode("examples")["examples"])
    result: dict[str, list[Cause]] = {}
    for outcome, cause, rows, examples in largest.select("outcome", "cause", "rows", "examples").iter_rows():
        shown = write_examples(places.filter(pl.col("row").is_in(examples)))
        result.setdefault(outcome, []).append(Cause(mask_text(cause) or NOT_RECORDED, rows, shown))
    for outcome, total in counts.group_by("outcome").agg(pl.col("rows").sum()).iter_rows():
        if left := total - sum(cause.rows for cause in result[outcome]):
            result[outcome].append(Cause(OTHERS, left, ()))
    return dict(result)


def _find_places(data: RunData, rows: pl.Series) -> pl.DataFrame:
    """Find address, file and line of some rows of the plan."""
    wanted = rows.drop_nulls().unique()
    columns = ["row", "address", "file", "line", pl.lit(None, dtype=pl.String).alias("detail")]
    if wanted.is_empty() or not data.recipients:
        schema: Mapping[str, pl.DataType | type[pl.DataType]] = {
            "row": pl.UInt64, "address": pl.String, "file": pl.String, "line": pl.UInt64, "detail": pl.String,
        }  # fmt: skip
        return pl.DataFrame(schema=schema)
    found = data.scan_recipients().filter(pl.col("row").is_in(wanted.implode())).select(columns)
    return found.collect(engine="streaming").sort("row")


def _explain_unsent(accounts: Accounts) -> list[Cause]:
    unsent = accounts.count(Outcome.UNSENT)
    if not unsent:
        return []
    words = mask_text(accounts.reason) if accounts.reason else f"the run is {accounts.state}"
    return [Cause(words, unsent, ())]
