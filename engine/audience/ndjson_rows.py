"""Reading NDJSON strictly: an object a line, or a malformed row."""

import json
from collections.abc import Iterable, Mapping

import orjson
import polars as pl

from engine.audience.text import TextBlock, mark_damage
from engine.errors import DataError

Schema = Mapping[str, pl.DataType]


def infer_schema(blocks: Iterable[TextBlock], name: str) -> Schema:
    """Read a whole file for the columns that its objects have, and the types that fit all their values.

    Raises:
        DataError: no line is an object, or the values of a column have nothing in common.
    """
    united: Schema | None = None
    for block in blocks:
        schema = _infer_block(block, name)
        if schema is not None:
            united = schema if united is None else _unite(united, schema, f"{name}, from line {block.first_line} on")
    if united is None:
        remedy = "write one JSON object a line (for an array: jq -c '.[]')"
        raise DataError("the file has no JSON objects, one a line", where=name, remedy=remedy)
    return {column: pl.String() if dtype == pl.Null else dtype for column, dtype in united.items()}


def _unite(one: Schema, other: Schema, where: str) -> Schema:
    frames = [pl.DataFrame(schema=schema) for schema in (one, other)]
    try:
        return pl.concat(frames, how="diagonal_relaxed").schema
    except pl.exceptions.PolarsError as error:
        raise _mixed(where, error) from error


def _infer_block(block: TextBlock, name: str) -> Schema | None:
    lines = _lines(block).filter(pl.col("malformed").is_null())
    if lines.is_empty():
        return None
    try:
        return _infer(lines.get_column("text"))
    except pl.exceptions.PolarsError as error:
        line = lines.item(_first_misfit(lines.get_column("text")), "line")
        raise _mixed(f"{name}, line {line}", error) from error


def _infer(texts: pl.Series) -> Schema:
    return pl.read_ndjson(texts.str.join("\n").item().encode(), infer_schema_length=None).schema


def _first_misfit(texts: pl.Series) -> int:
    """The place of the first line that does not fit those before it."""
    fitting, misfit = 0, texts.len()
    while misfit - fitting > 1:
        middle = (fitting + misfit) // 2
        try:
            _infer(texts.head(middle))
            fitting = middle
        except pl.exceptions.PolarsError:
            misfit = middle
    return misfit - 1


def _mixed(where: str, error: Exception) -> DataError:
    what = f"the values of a column have nothing in common: {str(error).splitlines()[0]}"
    return DataError(what, where=where, remedy="give the column the same type in all lines, such as text")


def read_block(block: TextBlock, wanted: Schema, *, name: str, lenient: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a block of lines: places and cells, as `tables.Rows` has them.

    Blank lines are no rows; a line that is no JSON object is a malformed row.

    Raises:
        DataError: the file ends in the middle of a line (not if `lenient`).
    """
    lines = _lines(block)
    if block.is_last and not lenient and not block.data.endswith(b"\n") and lines.height:
        last = lines.row(-1, named=True)
        if last["malformed"] is not None:
            remedy = "fetch it again, or give --lenient to leave out its last line"
            where = f"{name}, line {last['line']}"
            raise DataError("the file ends in the middle of a line: it looks cut", where=where, remedy=remedy)
    sound = lines.get_column("malformed").is_null()
    text = lines.filter(sound).get_column("text")
    cells = pl.DataFrame(schema=wanted)
    if text.len() and wanted:
        cells = pl.read_ndjson(text.str.join("\n").item().encode(), schema=wanted)
    elif not wanted:
        cells = pl.DataFrame(height=text.len())
    position = pl.select(pl.when(sound).then(sound.cum_sum().cast(pl.Int64) - 1)).to_series()
    return lines.select("line", "malformed"), cells if sound.all() else cells.select(pl.all().gather(position))


def _lines(block: TextBlock) -> pl.DataFrame:
    """The lines that are not blank: `line` UInt64, `text` String, `malformed` String."""
    data = mark_damage(block.data)
    texts = pl.read_lines(data, name="text") if data else pl.DataFrame(schema={"text": pl.String})
    lines = texts.with_columns(line=pl.int_range(block.first_line, block.first_line + pl.len(), dtype=pl.UInt64))
    lines = lines.filter(pl.col("text").str.strip_chars() != "")
    read = [_read_line(text) for text in lines.get_column("text")]
    found = pl.DataFrame(read, schema={"text": pl.String, "malformed": pl.String}, orient="row")
    return lines.with_columns(found.get_columns())


def _read_line(text: str) -> tuple[str, str | None]:
    """A line's object, NaN in it as null (Python writes a missing number so), and what is wrong with it, or None."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        repaired = _without_nan(text) if "NaN" in text else None
        if repaired is None:
            return text, f"it is no JSON: {str(error).split(': line')[0]}"
        text, found = repaired, orjson.loads(repaired)
    return text, None if isinstance(found, dict) else "it is no JSON object"


def _without_nan(text: str) -> str | None:
    try:
        return json.dumps(json.loads(text, parse_constant={"NaN": None}.__getitem__), ensure_ascii=False)
    except (ValueError, KeyError, RecursionError):
        return None
