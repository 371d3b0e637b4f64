"""The pieces that a template prints: its own text, and what differs from message to message.

The root of a template, and each of its blocks, prints lists of pieces, as `print_code` compiles them. A list begins
with a Static, and each of its Static pieces is there in every message, in the same order: it is written outside
conditions and loops. So two messages whose lists begin with the same pieces have the same static text at the same
places, whatever stands between.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from jinja2 import Template
from jinja2.environment import TemplateModule
from markupsafe import Markup

from engine.campaign.content import bounds as limits

MOST_PIECES = 4096  # that a loop prints before they are joined


class Static(str):
    """A template's own text in its place; an equal text of another place, or of a value, is another piece."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class LongPartError(Exception):
    """A loop has printed more than a part may have."""


def shorten(pieces: list[str]) -> None:
    """Join the pieces that a long loop has printed so far.

    Raises:
        LongPartError: there are too many of them.
    """
    begin = next((at for at in range(len(pieces), 0, -1) if type(pieces[at - 1]) is Static), 0)
    if sum(map(len, pieces[begin:])) > limits.LARGEST_STRING:
        raise LongPartError
    pieces[begin:] = ["".join(pieces[begin:])]


def join_pieces(pieces: Iterable[str] | Iterable[list[str]]) -> str:
    """Join the pieces of a macro, block or template, unless they are too large together.

    Raises:
        SecurityError: they are.
    """
    known: list[Any] = pieces if isinstance(pieces, list) else list(pieces)
    if known and type(known[0]) is list:
        known = list(chain.from_iterable(known))
    return limits.join_bounded(known)


class _Module(TemplateModule):
    """An imported template, which may be printed."""

    def __html__(self) -> Markup:
        return Markup(str(self))  # noqa: S704 - what a template prints is escaped

    def __str__(self) -> str:
        return join_pieces(self._body_stream)


class PieceTemplate(Template):
    """A template that prints lists of pieces."""

    def make_module(
        self,
        vars: dict[str, Any] | None = None,  # noqa: A002 - Jinja's name
        shared: bool = False,  # noqa: FBT001, FBT002 - Jinja's signature
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> TemplateModule:
        """Make the module that `{% import %}` gives."""
        return _Module(self, self.new_context(vars, shared, locals))
