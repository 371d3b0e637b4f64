"""Checks the plan's values before a launch: invalid time zones and locales, and words that mean an empty value."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl

from engine.audience.planning.plan_files import stored_name
from engine.audience.reading.blanks import is_blank_text
from engine.campaign.content.templates import LOCALE, CampaignContent, place_of
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.locales import read_locales
from engine.campaign.time_zones import find_zone

UNKNOWN_TIME_ZONE = "unknown_time_zone"  # the code of the finding
MOST_VALUES = 20  # different values of a column that are reported one by one
_MOST_KEPT = 1000  # different values that are counted one by one
_MORE = "many others"
_LONGEST = 60
_FILES = "recipients-*.parquet"
# How exports and programs write an empty value: never a person's data.
NULL_TEXTS = frozenset(
    {
        "\\N", "#N/A", "#N/A N/A", "#NA", "#NULL!", "#VALUE!", "#REF!", "#DIV/0!", "#NAME?", "#NUM!", "N/A",
        "n/a", "N/a", "n.a.", "N.A.", "NaN", "-nan", "NaT", "<NA>", "<null>", "<NULL>", "<none>", "<None>", "(null)",
        "(NULL)", "(none)", "(None)", "(blank)", "(empty)", "(unknown)", "(not set)", "[null]", "[NULL]", "{null}",
        "undefined", "[object Object]", "-", "--", "---", "\u2013", "\u2014", "?", "??",
    }
)  # fmt: skip
# Words that may also be a name or a value of a list: they are reported where they are not written as their column is.
_WORDS = frozenset({"NULL", "null", "NONE", "None", "none", "NAN", "nan", "NA", "UNDEFINED", "nil", "NIL"})


def check_columns(content: CampaignContent, folder: Path, columns: tuple[str, ...]) -> LintFindings:
    """Check the values of all recipients.

    Args:
        content: the compiled templates.
        folder: with plan/.
        columns: of the audience, as the plan carries them.
    """
    plan, findings = folder / "plan", LintFindings()
    for found, row, count in (
        *_find_zones(content, plan, columns),
        *_find_locales(content, plan, columns),
        *_find_null_texts(content, pl.scan_parquet(plan / _FILES), columns),
    ):
        findings.add(found, row, times=count)
    return findings


_Found = tuple[LintFinding, int, int]  # what, the first row, how many recipients


def _find_zones(content: CampaignContent, plan: Path, columns: tuple[str, ...]) -> Iterator[_Found]:
    column = content.campaign.spec.window.column
    if column not in columns:
        return
    where = f"{content.campaign.folder / 'campaign.toml'}, [window] timezone"
    remedy = 'write IANA names, such as "Europe/Berlin"; these recipients fail'
    for value, row, count in _list_wrong(plan, column, lambda value: find_zone(value) is None):
        what = f"{column} is empty, and every recipient needs a time zone"
        if value is not None:
            what = f"{column} has {_quote(value)}, which is not a time zone"
        yield LintFinding(Severity.ERROR, UNKNOWN_TIME_ZONE, what, remedy, where), row, count


def _find_locales(content: CampaignContent, plan: Path, columns: tuple[str, ...]) -> Iterator[_Found]:
    column = content.campaign.spec.content.locale
    if column not in columns:
        return
    where = f"{content.campaign.folder / 'campaign.toml'}, [content] locale"
    remedy = f"write them as vi or vi-VN; these recipients get {content.campaign.spec.content.default_locale}"
    for value, row, count in _list_wrong(plan, column, lambda value: value is not None and not read_locales(value)):
        what = f"{column} has {_quote(value or '')}, which is not a known locale"
        yield LintFinding(Severity.WARNING, "unknown_locale", what, remedy, where), row, count


def _list_wrong(plan: Path, column: str, is_wrong: Callable[[str | None], bool]) -> list[tuple[str | None, int, int]]:
    """List the values of a column that are wrong, the most frequent first: value, first row, recipients.

    File by file, and up to a number of values, so that memory stays flat where everybody has another.
    """
    text = pl.col(stored_name(column)).cast(pl.String, strict=False)
    value = pl.when(~is_blank_text(text)).then(text.str.strip_chars()).alias("value")
    wrong: dict[str | None, tuple[int, int]] = {}
    for file in sorted(plan.glob(_FILES)):
        rows = pl.scan_parquet(file, glob=False).select(value, "row")
        for found, row, count in rows.group_by("value").agg(pl.col("row").min(), pl.len()).collect().iter_rows():
            if is_wrong(found):
                name = found if found in wrong or len(wrong) < _MOST_KEPT else _MORE
                first, before = wrong.get(name, (row, 0))
                wrong[name] = min(first, row), before + count
    ordered = sorted(wrong.items(), key=lambda one: (one[0] == _MORE, -one[1][1], one[1][0]))
    reported, rest = ordered[:MOST_VALUES], ordered[MOST_VALUES:]
    if rest:
        more = f"{len(rest)} more values, such as {rest[0][0]}"
        reported.append((more, (min(row for _, (row, _) in rest), sum(count for _, (_, count) in rest))))
    return [(name, row, count) for name, (row, count) in reported]


def _find_null_texts(content: CampaignContent, rows: pl.LazyFrame, columns: tuple[str, ...]) -> Iterator[_Found]:
    schema = rows.collect_schema()
    printed = {use.name: use for use in reversed(content.uses) if use.is_column and use.template != LOCALE}
    for column in columns if content.columns_used() is None else [name for name in columns if name in printed]:
        use = printed.get(column)
        where = place_of(content.campaign, use) if use else ""
        for label, value in _text_values(column, pl.col(stored_name(column)), schema[stored_name(column)]):
            for text, row, count in _count_null_texts(rows, value):
                what = f"{label} has the text {_quote(text)} as its value, which means an empty value in most exports"
                remedy = "leave these cells empty in the audience, so that defaults and {% if %} apply"
                yield LintFinding(Severity.WARNING, "null_text", what, remedy, where), row, count


def _text_values(label: str, value: pl.Expr, dtype: object) -> Iterator[tuple[str, pl.Expr]]:
    """Yield the column where it is text, or its fields that are."""
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        yield label, value.cast(pl.String)
    elif isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _text_values(f"{label}.{field.name}", value.struct.field(field.name), field.dtype)


def _count_null_texts(rows: pl.LazyFrame, value: pl.Expr) -> Iterator[tuple[str, int, int]]:
    text = value.str.strip_chars()
    known = NULL_TEXTS | _WORDS
    cells = rows.select(text.alias("text"), "row").with_columns(is_known=pl.col("text").is_in(known))
    counts = cells.filter("is_known").group_by("text").agg(pl.col("row").min(), pl.len())
    found = counts.sort("len", "row", descending=[True, False]).collect(engine="streaming")
    if found.is_empty():
        return
    usual = _usual_case(cells.filter(~pl.col("is_known")))
    yield from (one for one in found.iter_rows() if one[0] not in _WORDS or not usual(one[0]))


def _usual_case(others: pl.LazyFrame) -> Callable[[str], bool]:
    """Return whether a word is written as most values of its column are: NULL among capitals may be a surname."""
    text = pl.col("text").filter(pl.col("text").str.contains(r"\pL"))
    capitals = (text == text.str.to_uppercase()).sum().alias("capitals")
    small = (text == text.str.to_lowercase()).sum().alias("small")
    found = others.select(capitals, small, text.len().alias("all")).collect(engine="streaming")
    counts: Mapping[str, int] = found.row(0, named=True)

    def is_usual(word: str) -> bool:
        alike = counts["capitals"] if word.isupper() else counts["small"] if word.islower() else 0
        return alike * 2 > counts["all"]

    return is_usual


def _quote(value: str) -> str:
    return f'"{value}"' if len(value) <= _LONGEST else f'"{value[:_LONGEST]}…"'
