"""A position in a condition while it is parsed: the token, the output so far, and the open brackets."""

from typing import NoReturn

from engine.audience.reading.conditions.condition_brackets import MOST_GROWTH, BracketKind, OpenBracket, find_growth
from engine.audience.reading.conditions.condition_tokens import (
    ConditionError,
    ConditionFault,
    ConditionKind,
    ConditionToken,
)
from engine.audience.reading.conditions.condition_words import OF_SEVERAL_ROWS, QUERIES

MOST_JOINED = 100
# Polars 2.1 handles brackets by recursion, and its parser rejects 50 levels.
MOST_DEPTH = 40


class ConditionCursor:
    """A position among the tokens of a condition, the output so far, and the open brackets."""

    def __init__(self, tokens: list[ConditionToken]) -> None:
        self._tokens = tokens
        self._place = 0
        self._written: list[str] = []
        self._open: list[OpenBracket] = []
        self._operators = 0
        self._joined = 1
        self._growth = 1

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
            raise ConditionError(ConditionFault.SYNTAX, token.at, f"{expected}, found the end")
        if token.word in QUERIES or (token.word.lower() in OF_SEVERAL_ROWS and self._next.text == "("):
            raise ConditionError(ConditionFault.ROWS, token.at, f"unexpected {token.text}")
        raise ConditionError(ConditionFault.SYNTAX, token.at, f"{expected}, found {token.text}")

    # Brackets.

    def _push(self, context: BracketKind, name: str = "") -> None:
        if len(self._open) >= MOST_DEPTH:
            what = f"brackets and CASE are nested at most {MOST_DEPTH} deep"
            raise ConditionError(ConditionFault.SIZE, self._now.at, what)
        self._note_argument()
        self._open.append(OpenBracket(context, self._now, name))

    def _close(self) -> bool:
        opened = self._open.pop()
        growth = opened.growth * find_growth(opened)
        if growth > MOST_GROWTH:
            what = f"it can make a text more than {MOST_GROWTH:,} times as long"
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
            what = f"it can make a text more than {MOST_GROWTH:,} times as long"
            raise ConditionError(ConditionFault.SIZE, token.at, what)

    def _note_argument(self) -> None:
        """Record an argument that is a single literal."""
        if self._open and len(self._open[-1].arguments[-1]) < 2:
            self._open[-1].arguments[-1].append(self._now)
