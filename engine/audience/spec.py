"""The audience's part of campaign.toml."""

import codecs
import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from engine.audience.reading.date_formats import read_date_format
from engine.audience.reading.header_names import clean_name

_CONDITION_PARTS = re.compile(r"""'(?:[^']|'')*'?|"[^"]+"|"|[^'"]+""")
MOST_CAP_DAYS = 366  # history is kept for so long


class Section(BaseModel):
    """A table of campaign.toml: frozen, strictly typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# TOML arrays arrive as lists; their items stay strictly typed.
Strings = Annotated[tuple[str, ...], Strict(strict=False)]
Value = str | int | float | bool


class CheckAction(StrEnum):
    """What a check of addresses does with what it finds."""

    OFF = "off"
    WARN = "warn"  # the row stays; a note counts what was found
    EXCLUDE = "exclude"  # the row is excluded as invalid_address


class Dedupe(StrEnum):
    """When two addresses are the same."""

    ADDRESS = "address"  # after normalising, in any case
    PROVIDER = "provider"  # also without what their provider ignores: Gmail's dots, plus-tags


def _check_encoding(name: str) -> str:
    try:
        codecs.lookup(name).incrementaldecoder(errors="strict").decode(b"")
    except (LookupError, TypeError, UnicodeError):
        raise ValueError(
            "is not a known encoding", "use a name such as utf-8, windows-1252, iso-8859-15 or shift_jis"
        ) from None
    return name


def _check_change(text: str) -> str:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,2})?%", text) or parse_percentage(text) == 0:
        raise ValueError("is not a percentage", 'write it as "30%"')
    return text


def parse_percentage(text: str) -> float:
    """Return the fraction that a percentage means.

    >>> parse_percentage("30%")
    0.3
    """
    return float(text.removesuffix("%")) / 100


def _check_order(text: str) -> str:
    for item in text.split(","):
        words = item.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
            raise ValueError(
                f'names "{item.strip()}", which is not a column to order by',
                "write a column, then desc or asc, such as points desc",
            )
    return text


def _as_tuple(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError("is neither a path nor a list of paths", "write a path in quotes, or a list of such paths")  # noqa: TRY004 - pydantic's way
    return value


def _as_columns(value: object) -> object:
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError(
            "is neither a list of names nor a table of renames", 'write text in quotes: first_name = "First name"'
        )
    return value if isinstance(value, dict) else tuple(items)


def _clean_condition(where: str) -> str:
    """Columns are named as people see them; texts in single quotes stay as they are."""
    return _CONDITION_PARTS.sub(lambda part: part[0] if part[0][0] == "'" else _clean_part(part[0]), where)


def _clean_part(part: str) -> str:
    return f'"{clean_name(part[1:-1])}"' if part.startswith('"') else unicodedata.normalize("NFC", part)


# A column's name as people see it.
SeenName = Annotated[str, AfterValidator(clean_name)]
SeenNames = Annotated[tuple[SeenName, ...], Strict(strict=False)]


def _check_date_format(value: object) -> object:
    return _for_columns(value, read_date_format, "a date format", 'write it such as "dd.mm.yyyy"')


def _check_decimal(value: object) -> object:
    return _for_columns(value, lambda _: None, "a decimal mark", 'write "," or "."', marks=(",", "."))


def _for_columns(
    value: object, check: Callable[[str], object], what: str, remedy: str, *, marks: tuple[str, ...] = ()
) -> object:
    """A setting for all columns, or a table of columns and settings."""
    table = value if isinstance(value, dict) else {"": value}
    for setting in table.values():
        if not isinstance(setting, str) or (marks and setting not in marks):
            raise ValueError(f"is neither {what} nor a table with {what} for each column", remedy)
        check(setting)
    return {clean_name(column): setting for column, setting in table.items()} if isinstance(value, dict) else value


# One place, or several.
Places = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Strict(strict=False),
    BeforeValidator(_as_tuple, json_schema_input_type=str | tuple[str, ...]),
    Field(min_length=1),
]
# Strict models take no plain text for an enum, and TOML has nothing else.
LenientAction = Annotated[CheckAction, Strict(strict=False)]


class ChecksSpec(Section):
    """`[audience.checks]`: checks of addresses beyond their grammar; all are off by default."""

    mx: LenientAction = Field(default=CheckAction.OFF, description="domains that accept no mail, by DNS")
    disposable: LenientAction = Field(default=CheckAction.OFF, description="domains of disposable addresses")
    role: LenientAction = Field(default=CheckAction.OFF, description="role addresses such as info@ and postmaster@")
    typo: LenientAction = Field(
        default=CheckAction.OFF, description="domains that look like a mistyped provider, such as gmial.com"
    )
    allow: Strings = Field(default=(), description="domains, or local parts of roles, that no check reports")
    insights: LenientAction = Field(
        default=CheckAction.OFF,
        description="addresses never mailed before that SES does not expect to reach; each lookup costs money",
    )
    insights_budget: int | None = Field(
        default=None, ge=1, le=1_000_000, description="most lookups of insights in a plan; each takes about a second"
    )

    @model_validator(mode="after")
    def _has_a_budget(self) -> "ChecksSpec":
        if self.insights is not CheckAction.OFF and self.insights_budget is None:
            raise ValueError(
                "sets insights without insights_budget",
                "set insights_budget to the number of lookups that a plan may pay for, such as 500",
            )
        return self


class AudienceSpec(Section):
    """`[audience]`: the file(s) a campaign is sent to, and which of their rows."""

    source: Places = Field(
        description="path, glob or folder in the workspace, or s3://BUCKET/KEY; or an array of these"
    )
    address: SeenName = Field(default="email", description="column of the address", min_length=1)
    where: Annotated[str, AfterValidator(_clean_condition)] | None = Field(
        default=None, description="SQL condition on the columns of a row; other rows are filtered"
    )
    required: SeenNames = Field(
        default=(), description="columns that must have a value; other rows are excluded as missing_data"
    )
    defaults: dict[SeenName, Value] = Field(
        default_factory=dict, description="column to the value that is used where it is blank"
    )
    encoding: Annotated[str, AfterValidator(_check_encoding)] | None = Field(
        default=None, description="encoding of text files; detected without it"
    )
    delimiter: Literal[",", ";", "\t", "|"] | None = Field(
        default=None, description="delimiter of CSV; detected without it"
    )
    has_header: bool = Field(
        default=True, description="whether the first line of CSV, or row of a sheet, names the columns"
    )
    header_row: int | None = Field(
        default=None, ge=1, description="line of CSV, or row of a sheet, that names the columns"
    )
    columns: Annotated[Strings | dict[SeenName, SeenName], BeforeValidator(_as_columns)] = Field(
        default=(),
        description="names of the columns where the file has none; or a table: your name to the name in the file",
    )
    sheet: str | None = Field(default=None, description="sheet of a workbook; the first visible sheet without it")
    date_format: Annotated[str | dict[str, str], BeforeValidator(_check_date_format)] | None = Field(
        default=None, description="how text columns write dates, such as dd.mm.yyyy; or a table: column to format"
    )
    decimal: Annotated[str | dict[str, str], BeforeValidator(_check_decimal)] | None = Field(
        default=None, description="decimal mark of numbers in text columns; or a table: column to mark"
    )
    dedupe: Annotated[Dedupe, Strict(strict=False)] = Field(
        default=Dedupe.ADDRESS,
        description=("address: compare normalised addresses; provider: compare mailboxes (no dots and +tags of Gmail)"),
    )
    hold_out: float = Field(
        default=0, ge=0, le=100, description="percentage of recipients that receive nothing, to compare with"
    )
    min_recipients: int = Field(
        default=1, ge=0, description="a plan with fewer recipients is rejected with exit code 65"
    )
    max_change: Annotated[str, AfterValidator(_check_change)] | None = Field(
        default=None, description="largest change of the number of recipients since the last run, such as 30%"
    )
    order_by: Annotated[str, AfterValidator(_check_order)] | None = Field(
        default=None, description="columns to send by, such as points desc; without it, a fair mixture"
    )
    checks: ChecksSpec = ChecksSpec()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names in a file without a header."""
        return () if isinstance(self.columns, dict) else self.columns

    @property
    def renames(self) -> dict[str, str]:
        """Name -> name in the file."""
        return self.columns if isinstance(self.columns, dict) else {}

    @model_validator(mode="after")
    def _names_its_columns_once(self) -> "AudienceSpec":
        if self.names and self.has_header:
            raise ValueError(
                "sets columns, but the header row names the columns", "set has_header = false, or remove columns"
            )
        if self.header_row and not self.has_header:
            raise ValueError("sets header_row with has_header = false", "remove one of them")
        named = list(self.renames.values()) or self.names
        if len(set(named)) < len(named):
            raise ValueError("names a column twice", "give every column a different name")
        return self


class SuppressionSpec(Section):
    """`[suppression]`: addresses that must not be mailed."""

    files: Strings = Field(default=(), description="files of addresses that must not be mailed: paths as in source")
    topic: str | None = Field(
        default=None, description="topic of the campaign, for opt-outs from a topic; the campaign's name without it"
    )
    skip_invalid: bool = Field(
        default=False,
        description="skip entries of the files that cannot match any address; without it they stop the plan",
    )


class CapSpec(Section):
    """`[cap]`: how many messages anybody gets from all campaigns together."""

    messages: int = Field(ge=1, description="most messages that one address receives from all campaigns of the store")
    days: float = Field(
        gt=0, le=MOST_CAP_DAYS, allow_inf_nan=False, description="number of days in which they are counted"
    )
