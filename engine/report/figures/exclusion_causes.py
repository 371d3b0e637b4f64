"""Excluded rows by reason, with masked examples."""

from collections.abc import Mapping, Sequence

import polars as pl

from engine.audience.exclusions import ExclusionReason
from engine.report.figures.document import Cause
from engine.report.figures.examples import MOST, write_examples
from engine.report.figures.run_data import RunData


def list_exclusions(data: RunData) -> list[Cause]:
    """List the reasons in order of precedence, each with its rows and the first examples."""
    counts = data.run.excluded
    examples = find_examples(pl.scan_parquet(list(data.excluded), glob=False)) if data.excluded and counts else {}
    order = {str(reason): place for place, reason in enumerate(ExclusionReason)}
    named = sorted(counts, key=lambda name: (order.get(name, len(order)), name))
    return [Cause(name, counts[name], examples.get(name, ())) for name in named if counts[name]]


def find_examples(excluded: pl.LazyFrame) -> Mapping[str, Sequence[str]]:
    """Find the first rows of each reason that have a file: rows of erased persons have none.

    Args:
        excluded: `row`, `file`, `line`, `address`, `reason`, `detail`.
    """
    kept = excluded.filter(pl.col("file").is_not_null())
    lowest = kept.group_by("reason").agg(pl.col("row").bottom_k(MOST)).collect(engine="streaming")
    rows = lowest.explode("row")["row"]
    found = kept.filter(pl.col("row").is_in(rows.implode())).collect(engine="streaming").sort("row")
    parts = found.partition_by("reason", as_dict=True)
    return {str(reason): write_examples(part) for (reason,), part in parts.items()}
