"""The tokens of a condition, and the error of a rejected one."""

import re
from enum import StrEnum

from msgspec import Struct

MOST_CHARACTERS = 1_000_000  # an IN list of 50,000 addresses


class ConditionKind(StrEnum):
    """The kind of a token."""

    WORD = "word"
    QUOTED = "quoted"
    TEXT = "text"
    HEX = "hex"
    NUMBER = "number"
    SYMBOL = "symbol"
    END = "end"


class ConditionToken(Struct, frozen=True):
    """A token: its kind, its text (without quotation marks), and the position of its first character."""

    kind: ConditionKind
    text: str
    at: int

    @property
    def word(self) -> str:
        """The word in capitals; empty for any other token."""
        return self.text.upper() if self.kind is ConditionKind.WORD else ""


class ConditionFault(StrEnum):
    """The kinds of errors in a condition."""

    SYNTAX = "is not an SQL condition"
    ROWS = "uses more than one row at a time"
    FUNCTION = "uses a function that a condition cannot use"
    SIZE = "is too large"


class ConditionError(ValueError):
    """A condition is rejected.

    Attributes:
        fault: what is wrong.
        at: the position of the character, from 0.
        reason: a description for the error message.
    """

    def __init__(self, fault: ConditionFault, at: int, reason: str) -> None:
        super().__init__(reason)
        self.fault, self.at, self.reason = fault, at, reason


_TOKEN = re.compile(
    r"""
    (?P<space>\s++ | --[^\n]*+)
    | (?P<comment>/\*)
    | (?P<text>'[^']*+(?:''[^']*+)*+')
    | (?P<hex>[xX]'[0-9a-fA-F]*+')
    | (?P<quoted>"[^"]*+(?:""[^"]*+)*+" | `[^`]*+(?:``[^`]*+)*+`)
    | (?P<number>0[xX][0-9a-fA-F]++ | (?:[0-9]++\.?[0-9]*+ | \.[0-9]++)(?:[eE][+-]?[0-9]++)?)
    | (?P<word>(?:[A-Za-z_\#@]|[^\x00-\x7f\s\u2018-\u201f])(?:[A-Za-z0-9_\#@$]|[^\x00-\x7f\s\u2018-\u201f])*+)
    | (?P<symbol><=> | !~~\* | !~~ | !~\* | !~ | ~~\* | ~~ | ~\* | ~ | \^@ | \|\| | ->> | -> | // | :: | <> | <= | >=
        | == | != | [-+*/%&|<>=(),.\[\]])
    """,
    re.VERBOSE,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")


def divide(text: str) -> list[ConditionToken]:
    """Split a condition into tokens, without comments and spaces. The last token is the end.

    Raises:
        ConditionError: it is too long, or has an unknown character or an unclosed quotation mark.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConditionError(
            ConditionFault.SIZE, MOST_CHARACTERS, f"a condition has at most {MOST_CHARACTERS:,} characters"
        )
    tokens: list[ConditionToken] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConditionError(ConditionFault.SYNTAX, at, _say_unknown(text[at]))
        name = str(found.lastgroup)
        if name == "comment":
            at = _end_of_comment(text, at)
            continue
        if name != "space":
            tokens.append(_make_token(ConditionKind(name), found[0], at))
        at = found.end()
    return [*tokens, ConditionToken(ConditionKind.END, "", len(text.rstrip()))]


def _make_token(kind: ConditionKind, text: str, at: int) -> ConditionToken:
    if kind in (ConditionKind.TEXT, ConditionKind.QUOTED):
        mark = text[0]
        text = text[1:-1].replace(mark * 2, mark)
    return ConditionToken(kind, text, at)


def _say_unknown(character: str) -> str:
    if character in "'\"`":
        return f"the quotation mark {character} is not closed"
    if "\u2018" <= character <= "\u201f":
        return "use straight quotation marks: 'text', \"column\""
    return f"unexpected {character!r}"


def _end_of_comment(text: str, begin: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, begin):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    raise ConditionError(ConditionFault.SYNTAX, begin, "the comment is not closed")
