"""Bounced recipients by diagnosis and receiver."""

from collections.abc import Iterable

import polars as pl

from engine.feedback.events.records import EventKind
from engine.ledger.event_flags import Flag
from engine.masking import mask_text
from engine.report.figures.cause_texts import find_code, name_diagnosis
from engine.report.figures.document import Diagnosis
from engine.report.figures.from_events.run_events import StoredEvents

MOST = 50  # diagnoses; all others are one
MOST_RECEIVERS = 5
OTHERS = "other diagnoses"
_GROUP = ("kind", "code", "text")


def list_diagnoses(events: StoredEvents) -> list[Diagnosis]:
    """List the diagnoses, the largest first; the first hard and the first soft bounce of a recipient count."""
    subtypes = [
        *((subtype, "hard") for subtype in events.find_subtypes(EventKind.BOUNCE, Flag.BOUNCED)),
        *((subtype, "soft") for subtype in events.find_subtypes(EventKind.BOUNCE, Flag.SOFT_BOUNCED)),
    ]
    kinds = pl.DataFrame(subtypes, schema={"subtype": pl.String, "kind": pl.String}, orient="row")
    parts = events.read_parts(EventKind.BOUNCE, ["subtype", "key", "status", "detail"]) if subtypes else ()
    return rank_diagnoses(count_diagnoses(part.join(kinds, on="subtype", maintain_order="left")) for part in parts)


def count_diagnoses(bounces: pl.DataFrame) -> pl.DataFrame:
    """Count the recipients of each diagnosis and receiver: `kind`, `code`, `text`, `receiver`, `recipients`.

    Args:
        bounces: `row`, `kind` (hard or soft), `key`, `status` and `detail`, in order of time.
    """
    first = bounces.unique(["row", "kind"], keep="first", maintain_order=True)
    local, receiver = pl.col("key").str.extract("^(.*)@"), pl.col("key").str.extract("@([^@]*)$").fill_null("")
    named = first.select(
        "kind",
        find_code(pl.col("status"), pl.col("detail")).alias("code"),
        name_diagnosis(pl.col("detail"), local).alias("text"),
        receiver.alias("receiver"),
    )
    return named.group_by(*_GROUP, "receiver").agg(pl.len().cast(pl.Int64).alias("recipients"))


def rank_diagnoses(parts: Iterable[pl.DataFrame]) -> list[Diagnosis]:
    """Add up parts of `count_diagnoses`, and rank the diagnoses; those beyond MOST are one for each kind."""
    found = list(parts)
    if not found:
        return []
    counts = pl.concat(found).group_by(*_GROUP, "receiver").agg(pl.col("recipients").sum())
    sums = counts.group_by(_GROUP).agg(pl.col("recipients").sum().alias("total"))
    order = ["total", *_GROUP]
    largest = sums.sort(order, descending=[True, False, False, False]).head(MOST)
    kept = counts.join(largest, on=_GROUP, how="left").with_columns(
        pl.when(pl.col("total").is_null()).then(pl.lit("")).otherwise("code").alias("code"),
        pl.when(pl.col("total").is_null()).then(pl.lit(OTHERS)).otherwise("text").alias("text"),
    )
    named = kept.group_by(*_GROUP, "receiver").agg(pl.col("recipients").sum())
    ranked = (
        named.sort(["recipients", "receiver"], descending=[True, False])
        .group_by(_GROUP, maintain_order=True)
        .agg(
            pl.col("recipients").sum().alias("total"),
            pl.col("receiver").filter(pl.col("receiver") != "").head(MOST_RECEIVERS),
            pl.col("recipients").filter(pl.col("receiver") != "").head(MOST_RECEIVERS),
        )
        .sort([pl.col("text") == OTHERS, *order], descending=[False, True, False, False, False])
    )
    return [
        Diagnosis(kind, code, mask_text(text), total, dict(zip(receivers, counts, strict=True)))
        for kind, code, text, total, receivers, counts in ranked.iter_rows()
    ]
