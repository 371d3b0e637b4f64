"""Plan a file of a folder, and read the plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from engine.audience.planning.opened_audience import open_audience
from engine.audience.planning.plan import Lists, Plan, plan_audience
from engine.audience.reading.sources import find_sources
from engine.audience.reading.tables import Reading, open_table, read_batches
from engine.audience.spec import AudienceSpec, SuppressionSpec


def plan(
    folder: Path,
    *,
    source: str | Sequence[str] = "list.csv",
    suppressed: Sequence[str] = (),
    topic: str | None = None,
    kind: Literal["marketing", "transactional"] = "marketing",
    skip_invalid: bool = False,
    columns: frozenset[str] | None = None,
    limit: int | None = None,
    order_key: str = "welcome",
    lenient: bool = False,
    lists: Lists | None = None,
    into: Path | None = None,
    downloads: Path | None = None,
    spec: AudienceSpec | None = None,
    **audience: Any,
) -> Plan:
    """Plan the file of a folder into that folder; other arguments are keys of `[audience]`, unless `spec` is given."""
    into = into or folder
    for old in (*into.glob("recipients-*.parquet"), *into.glob("excluded-*.parquet")):
        old.unlink()
    spec = spec or AudienceSpec.model_validate({"source": source, **audience})
    return plan_audience(
        audience=spec,
        suppression=SuppressionSpec(files=tuple(suppressed), topic=topic, skip_invalid=skip_invalid),
        workspace=folder,
        opened=open_audience(find_sources(spec.source, folder, downloads=downloads), spec, lenient=lenient),
        columns=columns,
        folder=into,
        order_key=order_key,
        limit=limit,
        kind=kind,
        lists=lists,
        downloads=downloads,
    )


def recipients(folder: Path) -> pl.DataFrame:
    """All recipients, in the plan's order."""
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("recipients-*.parquet"))])


def all_excluded(folder: Path) -> pl.DataFrame:
    """All exclusions, sorted by row."""
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("excluded-*.parquet"))])


def excluded(folder: Path) -> list[tuple[int, str, str]]:
    """Line, reason and detail of every exclusion."""
    return all_excluded(folder).select("line", "reason", "detail").rows()


def read_file(path: Path, wanted: Sequence[str] | None = None, **reading: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a file as an audience: the places (`line`, `malformed`) and the cells of all its rows."""
    (source,) = find_sources(str(path), path.parent)
    table = open_table(source, Reading(**reading))
    wanted = list(table.columns) if wanted is None else wanted
    batches = [batch.load() for batch in read_batches([table], wanted, table.columns)]
    places = pl.concat(
        [
            pl.DataFrame(schema={"line": pl.UInt64, "malformed": pl.String}),
            *(b.places.select("line", "malformed") for b in batches),
        ]
    )
    return places, pl.concat([b.cells for b in batches])
