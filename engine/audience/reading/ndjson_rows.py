"""Reading NDJSON strictly: each line is an object or a malformed row."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import polars as pl

from engine.audience.reading.text_files.text_blocks import TextBlock, mark_damage
from engine.errors import DataError
from engine.read_limits import DEFAULT_LIMITS, ReadLimits

Schema = Mapping[str, pl.DataType]
_DEEPEST = 64  # levels of a value: Polars handles them by recursion
_NAME_BYTES = 5  # the minimum size of a name and its value, such as "a":1,


def infer_schema(
    blocks: Iterable[TextBlock], name: str, limits: ReadLimits = DEFAULT_LIMITS
) -> tuple[Schema, dict[str, str]]:
    """Read a whole file to find the columns of its objects, and the types that fit all values.

    Returns:
        The columns; and the columns whose values have no common type, which cannot be read, with a description.

    Raises:
        DataError: no line is an object, or there are too many columns.
    """
    united: dict[str, pl.DataType] = {}
    mixed: dict[str, str] = {}
    objects = 0
    for block in blocks:
        lines = _lines(block).filter(pl.col("malformed").is_null())
        objects += lines.height
        _check_names(lines, name, limits)
        schema = _infer_block(lines, mixed)
        limits.check_columns(len(united.keys() | schema.keys()), name)
        for column, dtype in schema.items():
            both = _unite(united.get(column, dtype), dtype)
            if both is None:
                mixed.setdefault(column, _say_mixed(column, int(lines.item(0, "line")), "from line"))
            united[column] = both or pl.String()
    if not objects:
        remedy = "write one JSON object a line (for an array: jq -c '.[]')"
        raise DataError("the file has no JSON objects, one per line", where=name, remedy=remedy)
    return {column: pl.String() if dtype == pl.Null else dtype for column, dtype in united.items()}, mixed


def _check_names(lines: pl.DataFrame, name: str, limits: ReadLimits) -> None:
    """Check the number of names before types are inferred. Most lines are too short to exceed the limit."""
    long = lines.filter(pl.col("text").str.len_bytes() > _NAME_BYTES * limits.columns).get_column("text")
    for text in long:
        limits.check_columns(len(orjson.loads(text)), name)


def _unite(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return the type that fits the values of two blocks, as Polars finds it within one: text fits anything."""
    if pl.String() in (one, other):
        return pl.String()
    is_alike = (one.is_numeric() and other.is_numeric()) or one.base_type() == other.base_type()
    if not is_alike and pl.Null() not in (one, other):
        return None
    frames = [pl.DataFrame(schema={"column": dtype}) for dtype in (one, other)]
    try:
        return pl.concat(frames, how="vertical_relaxed").schema["column"]
    except pl.exceptions.PolarsError:
        return None


def _say_mixed(column: str, line: int, where: str = "the first in line") -> str:
    return f"the values of the column {column} have no type in common with those before, {where} {line}"


def _infer_block(lines: pl.DataFrame, mixed: dict[str, str]) -> Schema:
    if lines.is_empty():
        return {}
    try:
        return _infer(lines.get_column("text"))
    except pl.exceptions.PolarsError:
        return _infer_columns(lines, mixed)


def _infer_columns(lines: pl.DataFrame, mixed: dict[str, str]) -> Schema:
    """Infer each column alone; columns without a common type are reported as mixed."""
    objects = [orjson.loads(text) for text in lines.get_column("text")]
    schema: dict[str, pl.DataType] = {}
    for column in dict.fromkeys(key for one in objects for key in one):
        values = [{column: one.get(column)} for one in objects]
        texts = pl.Series([orjson.dumps(value).decode() for value in values], dtype=pl.String)
        try:
            schema |= _infer(texts)
        except pl.exceptions.PolarsError:
            mixed.setdefault(column, _say_mixed(column, int(lines.item(_first_misfit(texts), "line"))))
            schema[column] = pl.String()
    return schema


def _infer(texts: pl.Series) -> Schema:
    return pl.read_ndjson(texts.str.join("\n").item().encode(), infer_schema_length=None).schema


def _first_misfit(texts: pl.Series) -> int:
    """Return the index of the first line that does not fit those before it."""
    fitting, misfit = 0, texts.len()
    while misfit - fitting > 1:
        middle = (fitting + misfit) // 2
        try:
            _infer(texts.head(middle))
            fitting = middle
        except pl.exceptions.PolarsError:
            misfit = middle
    return misfit - 1


def read_block(block: TextBlock, wanted: Schema, *, name: str, lenient: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a block of lines: places and cells, as `tables.Rows` has them.

    Blank lines are skipped; a line that is not a JSON object is a malformed row.

    Raises:
        DataError: the file ends in the middle of a line (not if `lenient`).
    """
    lines = _lines(block)
    if block.is_last and not lenient and not block.data.endswith(b"\n") and lines.height:
        last = lines.row(-1, named=True)
        if last["malformed"] is not None:
            remedy = "fetch it again, or give --lenient to exclude its last line"
            where = f"{name}, line {last['line']}"
            raise DataError("the file ends in the middle of a line: it looks truncated", where=where, remedy=remedy)
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
    """Return the lines that are not blank: `line` UInt64, `text` String, `malformed` String."""
    data = mark_damage(block.data)
    texts = pl.read_lines(data, name="text") if data else pl.DataFrame(schema={"text": pl.String})
    lines = texts.with_columns(line=pl.int_range(block.first_line, block.first_line + pl.len(), dtype=pl.UInt64))
    lines = lines.filter(pl.col("text").str.strip_chars() != "")
    read = [_read_line(text) for text in lines.get_column("text")]
    found = pl.DataFrame(read, schema={"text": pl.String, "malformed": pl.String}, orient="row")
    return lines.with_columns(found.get_columns())


def _read_line(text: str) -> tuple[str, str | None]:
    """Return a line's object with null for NaN (Python's missing number), and its error or None."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        repaired = _without_nan(text) if "NaN" in text else None
        if repaired is None:
            return text, f"it is not valid JSON: {str(error).split(': line')[0]}"
        text, found = repaired, orjson.loads(repaired)
    if not isinstance(found, dict):
        return text, "it is not a JSON object"
    is_deep = text.count("{") + text.count("[") > _DEEPEST and _is_deep(found)
    return text, f"it is nested more than {_DEEPEST} levels deep" if is_deep else None


def _is_deep(found: Any) -> bool:
    """Whether a value has more levels than are read. Iterates over levels instead of recursing."""
    level = [found]
    for _ in range(_DEEPEST):
        inside = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
        level = [item for item in inside if isinstance(item, dict | list)]
    return bool(level)


def _without_nan(text: str) -> str | None:
    try:
        return json.dumps(json.loads(text, parse_constant={"NaN": None}.__getitem__), ensure_ascii=False)
    except (ValueError, KeyError, RecursionError):
        return None
