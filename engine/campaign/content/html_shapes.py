"""The shape of a part: its pieces, without the values that make no difference to what lint finds.

Most values are words, numbers or links that only stand between the pieces of the template. Two HTML parts of one shape
have the same tags, the same visible elements and the same kinds of links, so that one of them is checked for all.
"""

import re
from collections.abc import Iterable, Sequence

from engine.campaign.content.printing.html_states import HtmlState, advance
from engine.campaign.unsubscribe_tokens import TOKEN_PATTERN

Shape = tuple[str, ...]
# Marks for values. They are in no template: a NUL is not valid in HTML.
_WORDS, _WEB_LINK, UNSUBSCRIBE_LINK = "\x00words", "\x00web link", "\x00unsubscribe link"
_MOST_PIECES = 4096  # that are kept
# A visible letter or digit first; nothing that is markup, a scheme, or a placeholder of any tool; see _UNSTEADY_BEFORE.
_IS_WORDS = re.compile(
    r"""[^\W\u115f\u1160\u3164\uffa0](?:[^<>"&{}\[\]*|%:/\\\x00-\x1f\x7f-\x9f]|&\#3[49];|&amp;)*(?<![\s-])"""
)
_IS_WEB_LINK = re.compile(r"https://[A-Za-z0-9](?:[A-Za-z0-9._~/?#=;:@+,!$()-]|&amp;|%(?!7[Bb])[0-9A-Fa-f]{2})*")
_TOKEN = re.compile(TOKEN_PATTERN)
_UNSTEADY_BEFORE = re.compile(r"(?:&[#\w]*|%7?|[{\[*|<-])\Z")  # a value after it may complete something
_SETTLED = "/"  # HtmlState.begun of a link whose scheme is complete


class PartShapes(dict[str, str]):
    """Describes parts; as a dictionary, it has the marks of the pieces that it has seen."""

    def describe(self, parts: Iterable[Iterable[str]], links: Sequence[str]) -> tuple[Shape, ...]:
        """Return the shapes of a message's parts.

        Args:
            parts: the pieces of each.
            links: the unsubscribe link of this message, in all forms in which it may be printed.
        """
        for link in links:
            self[link] = UNSUBSCRIBE_LINK
        shapes = tuple([tuple(map(self.__getitem__, pieces)) for pieces in parts])
        for link in links:
            self.pop(link, None)  # in another message it would be a link like others
        return shapes

    def __missing__(self, piece: str) -> str:
        if len(self) >= _MOST_PIECES:
            self.clear()
        mark = piece
        if _IS_WORDS.fullmatch(piece):
            mark = _WORDS
        elif _IS_WEB_LINK.fullmatch(piece) and not _TOKEN.search(piece):
            mark = _WEB_LINK
        self[piece] = mark
        return mark


def is_steady(pieces: Sequence[str], shape: Shape) -> bool:
    """Return whether the parts of a shape differ only in texts and links: no value is where it changes a tag or CSS.

    Args:
        pieces: of one part of this shape.
        shape: of the part.
    """
    state, tail = HtmlState(), ""
    has_inline = any("cid:" in piece.lower() for piece in pieces)
    for piece, mark in zip(pieces, shape, strict=True):
        is_value = mark in (_WORDS, _WEB_LINK)
        if is_value and (_UNSTEADY_BEFORE.search(tail) or not _is_harmless(state, mark, has_inline=has_inline)):
            return False
        state, tail = advance(state, piece), (tail + piece)[-40:]
    return True


def _is_harmless(state: HtmlState, mark: str, *, has_inline: bool) -> bool:
    """Return whether a value in a state of the HTML is text, or a part of a link whose scheme it does not change."""
    match state.mode, state.attribute:
        case "text", _:
            return True
        case "raw", _:
            return state.element == "title"
        case "value", "alt" | "title" if state.quote:
            return True
        case "value", "href" | "src" if state.quote and not (state.attribute == "src" and has_inline):
            return state.begun == _SETTLED or (mark == _WEB_LINK and not state.begun and not state.data)
        case _:
            return False
