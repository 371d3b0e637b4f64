"""The text part of a message, derived from its HTML."""

import re
from html.parser import HTMLParser

_SKIPPED = frozenset({"head", "style", "script", "title", "template", "svg"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "pre", "table", "hr"})
_LINES = frozenset({"div", "li", "tr", "section", "article", "header", "footer", "center"})
_CELLS = frozenset({"td", "th"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)  # preheaders
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_SOFT = "\x01"  # a line ends here, unless it has ended already
_BREAKS = re.compile(r" ?(?:[\n\x01] ?)+")
_INVISIBLE = re.compile("[\u00ad\u034f\u200b\u200c\ufeff]")  # what pads preheaders
_GAP = "\n\n"


def derive_text(html: str) -> str:
    """Return readable text for an HTML message.

    Paragraphs are separated by an empty line, list items are marked, a link is followed by its address in brackets,
    an image stands for its alternative text; what is hidden (display:none) stays hidden.
    """
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    text = _SPACES.sub(" ", _INVISIBLE.sub("", "".join(reader.parts)))
    return _BREAKS.sub(_collapse, text).strip() + "\n"


def _collapse(breaks: re.Match[str]) -> str:
    return "\n" * max(1, min(breaks[0].count("\n"), len(_GAP)))


class _TextReader(HTMLParser):
    """Collects text and line breaks; white space is tidied afterwards."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipping: list[str] = []  # open elements, from the outermost one that is not shown
        self._links: list[tuple[str, int]] = []  # address, and where its text begins in `parts`
        self._counters: list[int | None] = []  # of open lists; None where items are not numbered

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        hidden = tag in _SKIPPED or "hidden" in attributes or _HIDDEN.search(attributes.get("style") or "")
        if self._skipping or hidden:
            if tag not in _VOID:
                self._skipping.append(tag)
            return
        self._break(tag)
        if tag == "a":
            self._links.append((attributes.get("href") or "", len(self.parts)))
        elif tag == "img":
            self.parts.append(attributes.get("alt") or "")
        elif tag in ("ul", "ol"):
            self._counters.append(0 if tag == "ol" else None)
        elif tag == "li":
            self.parts.append(self._item_mark())

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag in self._skipping:
                while self._skipping.pop() != tag:
                    pass
            return
        if tag == "a" and self._links:
            self._end_link()
        elif tag in ("ul", "ol") and self._counters:
            self._counters.pop()
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.parts.append(data.replace("\n", " "))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.parts.append(_GAP)
        elif tag in _LINES:
            self.parts.append(_SOFT)
        elif tag == "br":
            self.parts.append("\n")
        elif tag in _CELLS:
            self.parts.append(" ")

    def _item_mark(self) -> str:
        if not self._counters or self._counters[-1] is None:
            return "- "
        self._counters[-1] += 1
        return f"{self._counters[-1]}. "

    def _end_link(self) -> None:
        address, begin = self._links.pop()
        label = "".join(self.parts[begin:]).strip()
        target = address.removeprefix("mailto:").strip()
        says_it = label in (target, target.partition("://")[2].rstrip("/"))
        if target and not target.startswith("#") and not (label and says_it):
            self.parts.append(f" ({target})" if label else target)
