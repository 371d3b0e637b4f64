"""The snippet next to the subject in a list of messages: the preheader, then the start of the body."""

import re
from html.parser import HTMLParser

LONGEST = 140  # characters; what the widest lists show
_NOT_TEXT = frozenset({"head", "script", "style", "title", "template"})
# Preheaders are padded with invisible characters: zero-width characters, soft hyphens, joiners.
_PADDING = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")


def make_snippet(html: str | None, text: str | None) -> str:
    """Return what mail programs show of a message next to its subject; one line, without markup.

    Hidden text is included: a preheader is hidden in the message and shown here.

    >>> make_snippet('<body><div style="display:none">Sale &zwnj;&nbsp;</div><p>Dear Ann</p></body>', None)
    'Sale Dear Ann'
    """
    words = text or ""
    if html is not None:
        reader = _Reader()
        reader.feed(html)
        words = " ".join(reader.texts)
    return " ".join(_PADDING.sub("", words[: LONGEST * 20]).split())[:LONGEST]


class _Reader(HTMLParser):
    """Collects the text of the body."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        if tag in _NOT_TEXT:
            self._skipped += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _NOT_TEXT and self._skipped:
            self._skipped -= 1

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.texts.append(data)
