"""Find elements in a document that is assembled from templates, and write into their start tags in the templates."""

import re
from collections.abc import Mapping, Sequence

from engine.campaign.content.template_tokens import TemplateToken

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
ELEMENT = re.compile(r"""<([A-Za-z][\w:-]*)((?:"[^"]*"|'[^']*'|[^>"'])*)>""")


def hide_comments(plain: str) -> str:
    """Replace comments, also conditional ones, by spaces: every other character keeps its offset."""
    return COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), plain)


class TokenOrigins:
    """Finds the token at an offset of a document."""

    def __init__(self, document: Sequence[TemplateToken]) -> None:
        self._document = document
        self._index = 0
        self._before = 0

    def find(self, place: int) -> tuple[TemplateToken, int]:
        """Return the token and the offset in it; call with ascending offsets."""
        while place >= self._before + len(self._document[self._index].text) and self._index + 1 < len(self._document):
            self._before += len(self._document[self._index].text)
            self._index += 1
        return self._document[self._index], place - self._before


def apply_edits(sources: Mapping[str, str], edits: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
    """Insert texts into templates.

    Args:
        sources: name -> source.
        edits: name -> offset -> the text to insert there.

    Returns:
        Name -> source, of those that have edits.
    """
    return {name: _apply(sources[name], of_file) for name, of_file in edits.items()}


def _apply(source: str, edits: Mapping[int, str]) -> str:
    pieces: list[str] = []
    end = 0
    for place in sorted(edits):
        pieces += (source[end:place], edits[place])
        end = place
    return "".join([*pieces, source[end:]])
