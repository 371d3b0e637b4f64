"""Open brackets, CASE and calls of a condition, and how much longer a call can make a text."""

from enum import StrEnum

from msgspec import Struct, field

from engine.audience.reading.conditions.condition_tokens import ConditionKind, ConditionToken

# The most times larger than the cells that a text may become, by REPLACE within REPLACE or by a chain of ||.
MOST_GROWTH = 1_000
_ANY_GROWTH = MOST_GROWTH  # of a replacement that is not a literal


class BracketKind(StrEnum):
    """The construct that an open bracket or CASE belongs to."""

    GROUP = "group"
    CALL = "call"
    LIST = "list"
    ARRAY = "array"
    SUBSCRIPT = "subscript"
    CASE = "case"
    CAST = "cast"
    POSITION = "position"
    SUBSTRING = "substring"
    TRIM = "trim"


class OpenBracket(Struct):
    """An open bracket or CASE: its function, its arguments so far, and how much longer it can make a text."""

    context: BracketKind
    token: ConditionToken
    name: str = ""
    arguments: list[list[ConditionToken]] = field(default_factory=lambda: [[]])
    growth: int = 1


FUNCTION_FORMS = {
    "CAST": BracketKind.CAST, "TRY_CAST": BracketKind.CAST, "POSITION": BracketKind.POSITION,
    "SUBSTRING": BracketKind.SUBSTRING, "SUBSTR": BracketKind.SUBSTRING, "TRIM": BracketKind.TRIM,
}  # fmt: skip
WITH_COMMAS = frozenset(
    [BracketKind.CALL, BracketKind.LIST, BracketKind.ARRAY, BracketKind.SUBSTRING, BracketKind.TRIM]
)
CLOSED_BY = {BracketKind.ARRAY: "]", BracketKind.SUBSCRIPT: "]", BracketKind.CASE: "END"}


def find_growth(opened: OpenBracket) -> int:
    """Return how many times longer than its first argument a function's result can be."""
    literals = [argument[0] if len(argument) == 1 else None for argument in opened.arguments]
    if opened.name in ("lpad", "rpad"):
        size = literals[1] if len(literals) > 1 else None
        is_known = size is not None and size.kind is ConditionKind.NUMBER and size.text.isdigit()
        return int(size.text) if size is not None and is_known else _ANY_GROWTH + 1
    if opened.name == "array_to_string":
        return _length(literals, 1) + 1
    if opened.name == "regexp_replace":
        return _length(literals, 2) + 1  # an expression may match between all letters
    if opened.name == "replace":
        replaced, replacement = _length(literals, 1), _length(literals, 2)
        is_known = len(literals) > 1 and literals[1] is not None and literals[1].kind is ConditionKind.TEXT
        if not is_known or not replaced:
            return min(replacement + 1, _ANY_GROWTH)
        return max(1, -(-replacement // replaced))
    return 1


def _length(literals: list[ConditionToken | None], place: int) -> int:
    token = literals[place] if place < len(literals) else None
    return len(token.text) if token is not None and token.kind is ConditionKind.TEXT else _ANY_GROWTH - 1
