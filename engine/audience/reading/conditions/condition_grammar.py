"""The grammar of `[audience] where`: read word by word before Polars sees any of it.

Polars' SQL knows table functions and queries, and opens the files and URLs that these name while it parses. So a
condition is divided into tokens here, each of which must be an operator, a literal, a column or a function of the
lists below; and what Polars gets is written from these tokens, never the text: every name of a column is in quotation
marks, so that no word can mean anything else to it. The work is linear in the text's length.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

MOST_CHARACTERS = 1_000_000  # an IN list of 50,000 addresses
# Polars 2.1 visits operators and brackets by recursion, and where the stack ends so does the process: 8 MB end with a
# chain of 500 ||, and of some thousands of other operators. Its parser refuses 50 levels of brackets itself.
MOST_OPERATORS = 500
MOST_JOINED = 100
MOST_DEPTH = 40
# How many times larger than the cells a text may become, by REPLACE within REPLACE or by a chain of ||.
MOST_GROWTH = 1_000
_ANY_GROWTH = MOST_GROWTH  # of a replacement that is not a literal


class ConditionKind(StrEnum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted"
    TEXT = "text"
    HEX = "hex"
    NUMBER = "number"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class ConditionToken:
    """A token: what it is, how it is written (quoted names and texts without their marks), and its first character."""

    kind: ConditionKind
    text: str
    at: int

    @property
    def word(self) -> str:
        """A word in capitals; empty for anything else."""
        return self.text.upper() if self.kind is ConditionKind.WORD else ""


class ConditionFault(StrEnum):
    """What is wrong with a condition."""

    SYNTAX = "is not an SQL condition"
    ROWS = "looks at more than one row at a time"
    FUNCTION = "uses a function that a condition cannot use"
    SIZE = "is too large"


class ConditionError(ValueError):
    """A condition is refused.

    Attributes:
        fault: what is wrong.
        at: the character where, from 0.
        reason: words about the place.
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
    """Divide a condition into tokens; comments and spaces are none. The last one is the end.

    Raises:
        ConditionError: it is too long, or has a character or an open quotation mark that no token has.
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
        return "write quotation marks straight: 'text', \"column\""
    return f"unexpected {character!r}"


def _end_of_comment(text: str, begin: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, begin):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    raise ConditionError(ConditionFault.SYNTAX, begin, "the comment is not closed")


_COMPARISONS = frozenset(["=", "==", "<>", "!=", "<", "<=", ">", ">=", "<=>"])
_SYMBOLS = _COMPARISONS | frozenset(
    ["+", "-", "*", "/", "//", "%", "&", "|", "||", "^@", "->", "->>",
     "~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*"]
)  # fmt: skip
_JOINING = frozenset(["AND", "OR", "XOR", "BETWEEN", "LIKE", "ILIKE", "REGEXP", "RLIKE"])
_AFTER_NOT = frozenset(["IN", "BETWEEN", "LIKE", "ILIKE", "REGEXP", "RLIKE"])
_CONSTANTS = frozenset(["NULL", "TRUE", "FALSE"])
_TIMES = frozenset(["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"])
_TYPED_LITERALS = frozenset(["DATE", "TIME", "TIMESTAMP", "DATETIME"])
_UNITS = frozenset(
    f"{unit}{plural}"
    for unit in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND",
                 "NANOSECOND")
    for plural in ("", "S")
)  # fmt: skip
_FIELDS = _UNITS | frozenset(
    ["CENTURY", "DECADE", "MILLENNIUM", "ISOYEAR", "ISOWEEK", "ISODOW", "DOW", "DOY", "DAYOFWEEK", "DAYOFYEAR", "EPOCH",
     "TIME"]
)  # fmt: skip
# A column of such a name is written in double quotes.
_RESERVED = _JOINING | frozenset(["NOT", "IN", "IS", "WHEN", "THEN", "ELSE", "END", "AS"])
_QUERIES = frozenset(
    ["SELECT", "WITH", "FROM", "TABLE", "VALUES", "UNION", "INTERSECT", "EXCEPT", "EXISTS", "JOIN", "HAVING", "GROUP",
     "LATERAL", "WHERE"]
)  # fmt: skip
_TYPES = frozenset(
    ["INT", "INTEGER", "INT1", "INT2", "INT4", "INT8", "INT16", "INT32", "INT64", "INT128", "TINYINT", "SMALLINT",
     "MEDIUMINT", "BIGINT", "HUGEINT", "UINT8", "UINT16", "UINT32", "UINT64", "UINT128", "UINT1", "UINT2", "UINT4",
     "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UNSIGNED", "SIGNED", "FLOAT", "FLOAT2", "FLOAT4", "FLOAT8",
     "FLOAT16", "FLOAT32", "FLOAT64", "DOUBLE", "PRECISION", "REAL", "DEC", "DECIMAL", "NUMERIC", "BOOL", "BOOLEAN",
     "CHAR", "CHARACTER", "VARYING", "VARCHAR", "TEXT", "STRING", "BYTES", "BYTEA", "BLOB", "BINARY", "VARBINARY",
     "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "INTERVAL", "UUID"]
)  # fmt: skip
# Functions of the row alone. Not among them: what looks at other rows, reads anything, or depends on chance.
FUNCTIONS = frozenset(
    ["abs", "acos", "acosd", "array_contains", "array_get", "array_length", "array_lower", "array_mean",
     "array_reverse", "array_sum", "array_to_string", "array_unique", "array_upper", "asin", "asind", "atan", "atan2",
     "atan2d", "atand", "bit_and", "bit_count", "bit_length", "bit_not", "bit_or", "bit_xor", "bitand", "bitcount",
     "bitnot", "bitor", "bitxor", "cbrt", "ceil", "ceiling", "char_length", "character_length", "coalesce", "concat",
     "concat_ws", "cos", "cosd", "cot", "cotd", "date", "date_part", "datetime", "day", "dayofweek", "degrees", "div",
     "ends_with", "exp", "floor", "greatest", "hour", "if", "ifnull", "initcap", "least", "left", "length", "ln",
     "log", "log10", "log1p", "log2", "lower", "lpad", "ltrim", "minute", "mod", "month", "normalize", "nullif",
     "octet_length", "pow", "power", "radians", "regexp_like", "regexp_replace", "replace", "reverse", "right",
     "round", "rpad", "rtrim", "second", "sign", "sin", "sind", "split_part", "sqrt", "starts_with", "strftime",
     "string_to_array", "strpos", "strptime", "tan", "tand", "time", "timestamp", "trunc", "truncate", "upper", "week",
     "xor", "year"]
)  # fmt: skip
FUNCTIONS_WITHOUT_ARGUMENTS = frozenset(["now", "pi", *(name.lower() for name in _TIMES)])
_OF_SEVERAL_ROWS = frozenset(
    ["array_agg", "avg", "corr", "count", "covar", "covar_pop", "covar_samp", "cume_dist", "dense_rank", "first",
     "first_value", "lag", "last", "last_value", "lead", "max", "mean", "median", "min", "mode", "nth_value", "ntile",
     "percent_rank", "quantile", "quantile_cont", "quantile_disc", "rank", "row_number", "std", "stddev",
     "stddev_samp", "stdev", "stdev_samp", "string_agg", "sum", "unnest", "explode", "var", "var_samp", "variance",
     "over", "filter", "within"]
)  # fmt: skip


class _Context(StrEnum):
    """What an open bracket, or CASE, belongs to."""

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


@dataclass(slots=True)
class _Open:
    context: _Context
    token: ConditionToken
    name: str = ""
    arguments: list[list[ConditionToken]] = field(default_factory=lambda: [[]])
    growth: int = 1


_FORMS = {
    "CAST": _Context.CAST, "TRY_CAST": _Context.CAST, "POSITION": _Context.POSITION, "SUBSTRING": _Context.SUBSTRING,
    "SUBSTR": _Context.SUBSTRING, "TRIM": _Context.TRIM,
}  # fmt: skip
_COMMAS = frozenset([_Context.CALL, _Context.LIST, _Context.ARRAY, _Context.SUBSTRING, _Context.TRIM])
_CLOSED_BY = {_Context.ARRAY: "]", _Context.SUBSCRIPT: "]", _Context.CASE: "END"}


def rewrite(text: str) -> str:
    """Write a condition for Polars, from its tokens alone.

    Raises:
        ConditionError: it has anything but operators, literals, columns and allowed functions of one row.
    """
    return " ".join(_Reader(divide(text)).read())


class _Reader:
    """Reads tokens: an operand, then an operator or an end, and so on; brackets are kept on a stack."""

    def __init__(self, tokens: list[ConditionToken]) -> None:
        self._tokens = tokens
        self._place = 0
        self._written: list[str] = []
        self._open: list[_Open] = []
        self._operators = 0
        self._joined = 1
        self._growth = 1

    def read(self) -> list[str]:
        state: Callable[[], bool] = self._operand  # whether an operand is complete
        while True:
            if state == self._operator and self._now.kind is ConditionKind.END:
                break
            state = self._operator if state() else self._operand
        if self._open:
            opened = self._open[-1]
            what = "CASE needs its END" if opened.context is _Context.CASE else "the bracket is not closed"
            raise ConditionError(ConditionFault.SYNTAX, opened.token.at, what)
        return self._written

    # Tokens.

    @property
    def _now(self) -> ConditionToken:
        return self._tokens[self._place]

    @property
    def _before(self) -> str:
        return self._tokens[self._place - 1].text if self._place else ""

    @property
    def _next(self) -> ConditionToken:
        return self._tokens[min(self._place + 1, len(self._tokens) - 1)]

    def _take(self, written: str | None = None) -> ConditionToken:
        token = self._now
        self._written.append(token.text.upper() if written is None else written)
        self._place += 1
        return token

    def _is(self, *texts: str) -> bool:
        token = self._now
        return token.word in texts or (token.kind is ConditionKind.SYMBOL and token.text in texts)

    def _want(self, *texts: str) -> None:
        if not self._is(*texts):
            self._refuse(f"expected {' or '.join(texts)}")
        self._take()

    def _refuse(self, expected: str) -> NoReturn:
        token = self._now
        if token.kind is ConditionKind.END:
            raise ConditionError(ConditionFault.SYNTAX, token.at, f"{expected}, found its end")
        if token.word in _QUERIES or (token.word.lower() in _OF_SEVERAL_ROWS and self._next.text == "("):
            raise ConditionError(ConditionFault.ROWS, token.at, f"unexpected {token.text}")
        raise ConditionError(ConditionFault.SYNTAX, token.at, f"{expected}, found {token.text}")

    # Brackets.

    def _push(self, context: _Context, name: str = "") -> None:
        if len(self._open) >= MOST_DEPTH:
            what = f"brackets and CASE are nested at most {MOST_DEPTH} deep"
            raise ConditionError(ConditionFault.SIZE, self._now.at, what)
        self._note_argument()
        self._open.append(_Open(context, self._now, name))

    def _close(self) -> bool:
        opened = self._open.pop()
        growth = opened.growth * _factor(opened)
        if growth > MOST_GROWTH:
            what = f"it may make a text more than {MOST_GROWTH:,} times as long as it is"
            raise ConditionError(ConditionFault.SIZE, opened.token.at, what)
        if self._open:
            self._open[-1].growth = max(self._open[-1].growth, growth)
        self._grow(growth, opened.token)
        self._take()
        return True

    def _grow(self, growth: int, token: ConditionToken, joined: int = 0) -> None:
        self._growth, self._joined = max(self._growth, growth), self._joined + joined
        if self._joined > MOST_JOINED:
            raise ConditionError(
                ConditionFault.SIZE, token.at, f"at most {MOST_JOINED} texts are joined by || and CONCAT"
            )
        if self._growth * self._joined > MOST_GROWTH:
            what = f"it may make a text more than {MOST_GROWTH:,} times as long as it is"
            raise ConditionError(ConditionFault.SIZE, token.at, what)

    def _note_argument(self) -> None:
        """Remember the tokens of an argument, as far as it is a single literal."""
        if self._open and len(self._open[-1].arguments[-1]) < 2:
            self._open[-1].arguments[-1].append(self._now)

    # The two states.

    def _operand(self) -> bool:
        kind = self._now.kind
        if kind is ConditionKind.END:
            self._refuse("expected a column or a value")
        if kind is ConditionKind.SYMBOL:
            return self._operand_symbol()
        if kind in (ConditionKind.WORD, ConditionKind.QUOTED):
            return self._word()
        return self._literal()

    def _word(self) -> bool:
        token, is_call = self._now, self._next.kind is ConditionKind.SYMBOL and self._next.text == "("
        if token.word == "NOT":
            self._count_operator()
            self._take()
            return False
        if token.word == "CASE" and (
            is_call or self._next.kind is not ConditionKind.SYMBOL or self._next.text in "+-["
        ):
            self._push(_Context.CASE)
            self._take()
            if self._is("WHEN"):
                self._take()
            return False
        if token.word == "ARRAY" and self._next.text == "[":
            self._take()
            return False
        if is_call and (token.word not in _RESERVED or token.text.lower() in FUNCTIONS):
            return self._call()
        return self._constant() or self._column()

    def _constant(self) -> bool:
        """Read NULL, TRUE, the time, or a literal with its type; whether there is one."""
        token = self._now
        if token.word in _CONSTANTS or token.word in _TIMES:
            self._note_argument()
            self._take()
            return True
        if token.word in _TYPED_LITERALS and self._next.kind is ConditionKind.TEXT:
            self._take()
            return self._literal()
        if token.word == "INTERVAL" and self._next.kind in (ConditionKind.TEXT, ConditionKind.NUMBER):
            self._take()
            self._literal()
            if self._now.word in _UNITS:
                self._take()
            return True
        return False

    def _literal(self) -> bool:
        token = self._now
        self._note_argument()
        quoted = "'" + token.text.replace("'", "''") + "'"
        self._take(quoted if token.kind is ConditionKind.TEXT else token.text)
        return True

    def _column(self) -> bool:
        token = self._now
        if token.word in _RESERVED:
            self._refuse("expected a column or a value (a column of this name is written in double quotes)")
        if token.word in _QUERIES and not (
            self._next.kind in (ConditionKind.SYMBOL, ConditionKind.END) or self._next.word in _RESERVED
        ):
            raise ConditionError(ConditionFault.ROWS, token.at, f"unexpected {token.text}")
        return self._name()

    def _name(self) -> bool:
        self._note_argument()
        self._take('"' + self._now.text.replace('"', '""') + '"')
        return True

    def _operand_symbol(self) -> bool:
        if self._before == "," and self._is_closed_by():
            return self._close()  # a comma after the last value
        if self._is("["):
            self._push(_Context.ARRAY)
            self._take()
            return self._close() if self._is("]") else False
        if self._is("("):
            self._push(_Context.GROUP)
        elif self._is("+", "-"):
            self._count_operator()
            self._note_argument()
        else:
            self._refuse("expected a column or a value")
        self._take()
        return False

    def _call(self) -> bool:
        token = self._now
        name = token.text.lower()
        if token.word in ("ANY", "SOME") and self._before in ("=", "==", "<>", "!="):
            self._take()
            self._push(_Context.CALL)
            self._take()
            return False
        if name in _OF_SEVERAL_ROWS or token.word in _QUERIES or token.word in ("ANY", "SOME", "ALL"):
            raise ConditionError(ConditionFault.ROWS, token.at, f"unexpected {token.text}")
        context = _FORMS.get(name.upper(), _Context.CALL)
        is_extract = name == "extract"
        if context is _Context.CALL and not is_extract and name not in FUNCTIONS | FUNCTIONS_WITHOUT_ARGUMENTS:
            raise ConditionError(ConditionFault.FUNCTION, token.at, token.text)
        self._push(context, name)
        self._take(name)
        self._take()
        if is_extract:
            self._extract()
        elif name in FUNCTIONS_WITHOUT_ARGUMENTS:
            if not self._is(")"):
                self._refuse("expected )")
            return self._close()
        elif context is _Context.TRIM and self._is("BOTH", "LEADING", "TRAILING"):
            self._take()
        return False

    def _extract(self) -> None:
        if self._now.word not in _FIELDS and not (
            self._now.kind is ConditionKind.TEXT and self._now.text.upper() in _FIELDS
        ):
            self._refuse("expected a part of a date, such as YEAR")
        self._take()
        self._want("FROM")

    def _operator(self) -> bool:
        token = self._now
        top = self._open[-1] if self._open else None
        if token.kind is ConditionKind.SYMBOL:
            return self._operator_symbol(top)
        if top is not None and (done := self._part_of(top)) is not None:
            return done
        self._count_operator()
        if token.word == "NOT" and self._next.word in _AFTER_NOT:
            self._take()
        if self._is("IS"):
            return self._is_something()
        if self._is("IN"):
            self._take()
            if not self._is("("):
                self._refuse("expected (")
            self._push(_Context.LIST)
        elif self._is("AT") and self._next.word == "TIME":
            self._take()
            self._take()
            if not self._is("ZONE"):
                self._refuse("expected ZONE")
        elif not self._is(*_JOINING):
            self._refuse("expected an operator")
        self._take()
        return False

    def _is_something(self) -> bool:
        self._take()
        if self._is("NOT"):
            self._take()
        if self._is("DISTINCT"):
            self._take()
            self._want("FROM")
            return False
        self._want("NULL", "TRUE", "FALSE")
        return True

    def _part_of(self, top: _Open) -> bool | None:
        """Read a word that belongs to CASE or to a function; None where it does not."""
        if top.context is _Context.CASE and self._is("WHEN", "THEN", "ELSE"):
            self._take()
            return False
        if top.context is _Context.CASE and self._is("END"):
            return self._close()
        if top.context is _Context.CAST and self._is("AS"):
            self._take()
            self._type()
            if not self._is(")"):
                self._refuse("expected )")
            return self._close()
        if (top.context is _Context.POSITION and self._is("IN")) or (
            top.context in (_Context.SUBSTRING, _Context.TRIM) and self._is("FROM", "FOR")
        ):
            self._take()
            return False
        return None

    def _operator_symbol(self, top: _Open | None) -> bool:
        if self._is_closed_by():
            return self._close()
        if self._is(",") and top is not None and top.context in _COMMAS:
            return self._comma(top)
        self._note_argument()
        if self._is("::", "."):
            return self._suffix()
        if self._is("["):
            self._push(_Context.SUBSCRIPT)
        elif self._is(*_SYMBOLS):
            self._count_operator()
            self._grow(1, self._now, joined=self._is("||"))
        else:
            self._refuse("expected an operator")
        self._take()
        return False

    def _comma(self, top: _Open) -> bool:
        top.arguments.append([])
        self._grow(1, self._now, joined=top.name in ("concat", "concat_ws"))
        self._take()
        return False

    def _suffix(self) -> bool:
        """Read a type after ::, or the name of a field after a full stop."""
        if self._take().text == "::":
            self._count_operator()
            self._type()
        elif self._now.kind in (ConditionKind.WORD, ConditionKind.QUOTED):
            self._name()
        else:
            self._refuse("expected the name of a field")
        return True

    def _is_closed_by(self) -> bool:
        return bool(self._open) and self._is(_CLOSED_BY.get(self._open[-1].context, ")"))

    def _count_operator(self) -> None:
        self._operators += 1
        if self._operators > MOST_OPERATORS:
            what = f"a condition has at most {MOST_OPERATORS:,} operators; write IN ('a', 'b', …) for a chain of OR"
            raise ConditionError(ConditionFault.SIZE, self._now.at, what)

    def _type(self) -> None:
        if self._now.word not in _TYPES:
            self._refuse("expected a type, such as INTEGER")
        while self._now.word in _TYPES:
            self._take()
        if self._is("("):
            self._take()
            self._whole_number()
            if self._is(","):
                self._take()
                self._whole_number()
            self._want(")")
        if self._is("WITH", "WITHOUT"):
            self._take()
            self._want("TIME")
            self._want("ZONE")
        while self._is("[") and self._next.text == "]":
            self._take()
            self._take()

    def _whole_number(self) -> None:
        if self._now.kind is not ConditionKind.NUMBER or not self._now.text.isdigit():
            self._refuse("expected a whole number")
        self._take()


def _factor(opened: _Open) -> int:
    """How many times as long as its first argument a function's text may be."""
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
