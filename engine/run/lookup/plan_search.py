"""Finds the rows of one address in the plans of many runs, the newest first, as far as the time reaches.

Small plans are read together in one query: 1,000 plans with 10 million recipients take about half a second. Large ones
are searched by their order, see hash_search.py. Excluded rows have the address as the audience has it: only those that
contain it, or are not ASCII, are normalised.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import Struct, field

from engine.addresses.parse import judge_addresses
from engine.errors import MailrunError
from engine.ledger.runs import Run
from engine.run.frozen import fetch_run
from engine.run.lookup.hash_search import find_places
from engine.store.port import Store

LARGE_RECIPIENTS = 250_000
_RECIPIENTS_AT_ONCE = 2_000_000
_RUNS_AT_ONCE = 500
_PLACE = {"row": pl.UInt64, "file": pl.String, "line": pl.UInt64, "address": pl.String}
_EXCLUDED = {**_PLACE, "reason": pl.String, "detail": pl.String}


class PlannedRow(Struct, frozen=True):
    """A row of a run's audience that has the address.

    Attributes:
        run: CAMPAIGN/KEY.
        row: its number in the audience.
        file, line: its place; None where they were erased.
        address: as the plan has it.
        reason: why it is excluded, an exclusion reason; None for a recipient.
        detail: of the exclusion.
        part: recipients file of a recipient; empty for an excluded row.
        place: its place in that file, from 0.
    """

    run: str
    row: int
    file: str | None
    line: int | None
    address: str
    reason: str | None = None
    detail: str | None = None
    part: str = ""
    place: int = 0


class PlanSearch(Struct):
    """What a search found.

    Attributes:
        rows: by run in the order of the runs, then by row.
        searched: how many of the runs were searched, from the first.
        unread: run -> why its plan could not be read.
    """

    rows: list[PlannedRow] = field(default_factory=list)
    searched: int = 0
    unread: dict[str, str] = field(default_factory=dict)


def search_plans(store: Store, key: str, runs: Sequence[Run], is_late: Callable[[], bool]) -> PlanSearch:
    """Find the rows of an address in plans.

    Args:
        store: has the plans.
        key: the normalised address.
        runs: with files, in the order in which they are searched.
        is_late: whether to stop; some runs are searched in any case.
    """
    found = PlanSearch()
    for part in _divide(runs):
        some = part
        if found.searched and is_late():
            break
        folders: dict[str, Path] = {}
        for number, run in enumerate(some):
            if number and is_late():  # of a bucket, each plan may have to be copied first
                some = some[:number]
                break
            try:
                folders[run.name] = fetch_run(run, store, frozen_only=True) / "plan"
            except MailrunError as error:
                found.unread[run.name] = str(error)
        excluding = {run.name: folders[run.name] for run in some if run.excluded and run.name in folders}
        rows = [*_find_recipients(key, some, folders, found.unread), *_find_excluded(key, excluding, found.unread)]
        order = {run.name: number for number, run in enumerate(some)}
        found.rows += sorted(rows, key=lambda row: (order[row.run], row.row))
        found.searched += len(some)
    return found


def _divide(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Divide runs so that each part takes about as long."""
    part: list[Run] = []
    for run in runs:
        if part and (
            len(part) >= _RUNS_AT_ONCE
            or sum(min(one.accepted, LARGE_RECIPIENTS) for one in part) + run.accepted > _RECIPIENTS_AT_ONCE
        ):
            yield part
            part = []
        part.append(run)
    if part:
        yield part


def _find_recipients(
    key: str, runs: Sequence[Run], folders: dict[str, Path], unread: dict[str, str]
) -> Iterator[PlannedRow]:
    small: dict[str, list[Path]] = {}
    for run in runs:
        if run.name in folders:
            files = sorted(folders[run.name].glob("recipients-*.parquet"))
            if run.accepted <= LARGE_RECIPIENTS:
                small[run.name] = files
            else:
                yield from _find_in_large(key, run.name, files, unread)
    for run_name, path, _ in _scan(small, {"key": pl.String}, pl.col("key") == key, unread):
        yield from _find_in_small(key, run_name, path, unread)


def _find_in_small(key: str, run: str, path: Path, unread: dict[str, str]) -> Iterator[PlannedRow]:
    try:
        rows = pl.read_parquet(path, columns=[*_PLACE, "key"], glob=False).with_row_index("place")
    except (OSError, pl.exceptions.PolarsError) as error:
        unread[run] = _describe(error)
        return
    for values in rows.filter(pl.col("key") == key).drop("key").iter_rows(named=True):
        yield PlannedRow(run, **values, part=path.name)


def _find_in_large(key: str, run: str, files: Sequence[Path], unread: dict[str, str]) -> Iterator[PlannedRow]:
    try:
        for path in files:
            for place in find_places(path, key, run.partition("/")[0]):
                here = pl.scan_parquet(path, glob=False).select(*_PLACE).slice(place, 1).collect()
                yield PlannedRow(run, **here.row(0, named=True), part=path.name, place=place)
    except (OSError, pl.exceptions.PolarsError) as error:
        unread[run] = _describe(error)


def _find_excluded(key: str, folders: dict[str, Path], unread: dict[str, str]) -> Iterator[PlannedRow]:
    files = {run: sorted(folder.glob("excluded-*.parquet")) for run, folder in folders.items()}
    text = pl.col("address").str.to_lowercase()
    is_foreign = text.str.len_bytes() != text.str.len_chars()
    plain = text.str.normalize("NFKC").str.to_lowercase()
    is_candidate = text.str.contains(key, literal=True) | (
        is_foreign & plain.str.contains(key.rpartition("@")[0], literal=True)
    )
    candidates = list(_scan(files, _EXCLUDED, is_candidate, unread))
    keys = judge_addresses(pl.Series([values["address"] for _, _, values in candidates], dtype=pl.String))["key"]
    for (run, _, values), own in zip(candidates, keys, strict=True):
        if own == key:
            yield PlannedRow(run, **values)


def _scan(
    files: Mapping[str, list[Path]], schema: Mapping[str, type[pl.DataType]], wanted: pl.Expr, unread: dict[str, str]
) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Read the wanted rows of many files in one query; where one is damaged, run by run."""
    owners = {str(path): run for run, paths in files.items() for path in paths}
    try:
        found = _collect(list(owners), schema, wanted)
    except (OSError, pl.exceptions.PolarsError) as error:
        if len(files) == 1:
            unread[next(iter(files))] = _describe(error)
            return
        for run, paths in files.items():
            yield from _scan({run: paths}, schema, wanted, unread)
        return
    for values in found.iter_rows(named=True):
        path = values.pop("_path")
        yield owners[path], Path(path), values


def _collect(paths: list[str], schema: Mapping[str, type[pl.DataType]], wanted: pl.Expr) -> pl.DataFrame:
    if not paths:
        return pl.DataFrame(schema={**schema, "_path": pl.String})
    rows = pl.scan_parquet(paths, glob=False, schema=schema, extra_columns="ignore", include_file_paths="_path")
    return rows.filter(wanted).collect()


def _describe(error: Exception) -> str:
    return str(error).partition("\n")[0]
