"""The grammar of `[audience] where`: parsed before Polars parses it.

Polars' SQL has table functions and queries, and opens the files and URLs that these name while it parses. So a
condition is split into tokens here, each of which must be an operator, a literal, a column or a function of the
lists below. Polars gets a condition written from these tokens, never the text itself: every column name is in quotation
marks, so that Polars cannot interpret it as anything else. The time is linear in the length of the text.
"""

from collections.abc import Callable

from engine.audience.reading.conditions.condition_brackets import (
    CLOSED_BY,
    FUNCTION_FORMS,
    WITH_COMMAS,
    BracketKind,
    OpenBracket,
)
from engine.audience.reading.conditions.condition_cursor import ConditionCursor
from engine.audience.reading.conditions.condition_tokens import ConditionError, ConditionFault, ConditionKind, divide
from engine.audience.reading.conditions.condition_words import (
    AFTER_NOT,
    CONSTANTS,
    FIELDS,
    FUNCTIONS,
    FUNCTIONS_WITHOUT_ARGUMENTS,
    JOINING,
    OF_SEVERAL_ROWS,
    QUERIES,
    RESERVED,
    SYMBOLS,
    TIMES,
    TYPED_LITERALS,
    TYPES,
    UNITS,
)

# Polars 2.1 handles operators by recursion, and a stack overflow ends the process: 8 MB overflow with a
# chain of 500 ||, or of some thousands of other operators.
MOST_OPERATORS = 500


def rewrite(text: str) -> str:
    """Rewrite a condition for Polars from its tokens.

    Raises:
        ConditionError: it has anything but operators, literals, columns and allowed functions of one row.
    """
    return " ".join(_Reader(divide(text)).read())


class _Reader(ConditionCursor):
    """Reads tokens: an operand, then an operator or the end, and so on. Open brackets are on a stack."""

    def read(self) -> list[str]:
        state: Callable[[], bool] = self._operand  # whether an operand is complete
        while True:
            if state == self._operator and self._now.kind is ConditionKind.END:
                break
            state = self._operator if state() else self._operand
        if self._open:
            opened = self._open[-1]
            what = "CASE needs its END" if opened.context is BracketKind.CASE else "the bracket is not closed"
            raise ConditionError(ConditionFault.SYNTAX, opened.token.at, what)
        return self._written

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
            self._push(BracketKind.CASE)
            self._take()
            if self._is("WHEN"):
                self._take()
            return False
        if token.word == "ARRAY" and self._next.text == "[":
            self._take()
            return False
        if is_call and (token.word not in RESERVED or token.text.lower() in FUNCTIONS):
            return self._call()
        return self._constant() or self._column()

    def _constant(self) -> bool:
        """Read NULL, TRUE, the time, or a literal with its type; return whether there is one."""
        token = self._now
        if token.word in CONSTANTS or token.word in TIMES:
            self._note_argument()
            self._take()
            return True
        if token.word in TYPED_LITERALS and self._next.kind is ConditionKind.TEXT:
            self._take()
            return self._literal()
        if token.word == "INTERVAL" and self._next.kind in (ConditionKind.TEXT, ConditionKind.NUMBER):
            self._take()
            self._literal()
            if self._now.word in UNITS:
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
        if token.word in RESERVED:
            self._refuse("expected a column or a value (a column of this name is written in double quotes)")
        if token.word in QUERIES and not (
            self._next.kind in (ConditionKind.SYMBOL, ConditionKind.END) or self._next.word in RESERVED
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
            self._push(BracketKind.ARRAY)
            self._take()
            return self._close() if self._is("]") else False
        if self._is("("):
            self._push(BracketKind.GROUP)
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
            self._push(BracketKind.CALL)
            self._take()
            return False
        if name in OF_SEVERAL_ROWS or token.word in QUERIES or token.word in ("ANY", "SOME", "ALL"):
            raise ConditionError(ConditionFault.ROWS, token.at, f"unexpected {token.text}")
        context = FUNCTION_FORMS.get(name.upper(), BracketKind.CALL)
        is_extract = name == "extract"
        if context is BracketKind.CALL and not is_extract and name not in FUNCTIONS | FUNCTIONS_WITHOUT_ARGUMENTS:
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
        elif context is BracketKind.TRIM and self._is("BOTH", "LEADING", "TRAILING"):
            self._take()
        return False

    def _extract(self) -> None:
        if self._now.word not in FIELDS and not (
            self._now.kind is ConditionKind.TEXT and self._now.text.upper() in FIELDS
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
        if token.word == "NOT" and self._next.word in AFTER_NOT:
            self._take()
        if self._is("IS"):
            return self._is_something()
        if self._is("IN"):
            self._take()
            if not self._is("("):
                self._refuse("expected (")
            self._push(BracketKind.LIST)
        elif self._is("AT") and self._next.word == "TIME":
            self._take()
            self._take()
            if not self._is("ZONE"):
                self._refuse("expected ZONE")
        elif not self._is(*JOINING):
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

    def _part_of(self, top: OpenBracket) -> bool | None:
        """Read a word that belongs to CASE or to a function; return None for any other word."""
        if top.context is BracketKind.CASE and self._is("WHEN", "THEN", "ELSE"):
            self._take()
            return False
        if top.context is BracketKind.CASE and self._is("END"):
            return self._close()
        if top.context is BracketKind.CAST and self._is("AS"):
            self._take()
            self._type()
            if not self._is(")"):
                self._refuse("expected )")
            return self._close()
        if (top.context is BracketKind.POSITION and self._is("IN")) or (
            top.context in (BracketKind.SUBSTRING, BracketKind.TRIM) and self._is("FROM", "FOR")
        ):
            self._take()
            return False
        return None

    def _operator_symbol(self, top: OpenBracket | None) -> bool:
        if self._is_closed_by():
            return self._close()
        if self._is(",") and top is not None and top.context in WITH_COMMAS:
            return self._comma(top)
        self._note_argument()
        if self._is("::", "."):
            return self._suffix()
        if self._is("["):
            self._push(BracketKind.SUBSCRIPT)
        elif self._is(*SYMBOLS):
            self._count_operator()
            self._grow(1, self._now, joined=self._is("||"))
        else:
            self._refuse("expected an operator")
        self._take()
        return False

    def _comma(self, top: OpenBracket) -> bool:
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
        return bool(self._open) and self._is(CLOSED_BY.get(self._open[-1].context, ")"))

    def _count_operator(self) -> None:
        self._operators += 1
        if self._operators > MOST_OPERATORS:
            what = f"a condition has at most {MOST_OPERATORS:,} operators; write IN ('a', 'b', …) for a chain of OR"
            raise ConditionError(ConditionFault.SIZE, self._now.at, what)

    def _type(self) -> None:
        if self._now.word not in TYPES:
            self._refuse("expected a type, such as INTEGER")
        while self._now.word in TYPES:
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
