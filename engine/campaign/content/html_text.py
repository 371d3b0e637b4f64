"""Derive the text part of a message from its HTML: once from the template if possible, else from each message."""

import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser

from jinja2 import nodes

from engine.campaign.content.environment import Prepared
from engine.campaign.content.template_tokens import Placeholders, TemplateToken, TokenKind

_SKIPPED = frozenset({"head", "style", "script", "title", "template", "svg"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "pre", "table", "hr"})
_LINES = frozenset({"div", "li", "tr", "section", "article", "header", "footer", "center"})
_CELLS = frozenset({"td", "th"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)  # preheaders
_SPACES = re.compile(r"[ \t\n\r\f\v\u00a0]+")
# Breaks while text is collected; white space is tidied afterwards, when values are in their places.
_SOFT, _GAP, _LINE = "\x01", "\x02", "\x03"  # ends a line unless it has ended, leaves an empty line, ends a line
_BREAKS = re.compile(r" ?(?:[\x01-\x03] ?)+")
_INVISIBLE = re.compile("[\u00ad\u034f\u200b\u200c\ufeff]")  # padding of preheaders
_UNTIDY = re.compile("  |[\x01-\x03\t\n\r\f\v\u00a0\u00ad\u034f\u200b\u200c\ufeff]")  # whatever tidying changes
_JOINING = " \x01\x02\x03\t\n\r\f\v\u00a0\u00ad\u034f\u200b\u200c\ufeff"  # what it treats together with its neighbours
_MOST_PIECES = 2048  # that are kept
_LONGEST_PIECE = 10_000  # characters of a piece that is kept
_STATEMENT = "mailrun-statement"
# Constructs that print markup from elsewhere or from values: only the rendered message has the text.
_NOT_DERIVABLE = (
    nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport, nodes.Macro, nodes.CallBlock, nodes.FilterBlock,
    nodes.AssignBlock, nodes.Block, nodes.ScopedEvalContextModifier,
)  # fmt: skip
_MARKUP_FILTERS = frozenset({"safe", "e", "escape", "forceescape", "urlize", "xmlattr", "tojson", "striptags"})


def derive_text(html: str) -> str:
    """Return readable text for an HTML message.

    Paragraphs are separated by an empty line, list items are marked, a link is followed by its address in brackets,
    an image becomes its alternative text; hidden elements (display:none) are left out.
    """
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    return tidy_text("".join(reader.parts))


def derive_text_template(tokens: Sequence[TemplateToken], tree: nodes.Template) -> Prepared | None:
    """Derive the template of a text part from an HTML template.

    Args:
        tokens: of the HTML template, assembled with its parents and includes.
        tree: the same, parsed.

    Returns:
        A template that, rendered without escaping and then tidied, gives the same text as derive_text for the rendered
        HTML; None if only the rendered HTML has the text.
    """
    if len({token.file for token in tokens}) > 1 and next(tree.find_all(nodes.Assign), None) is not None:
        return None  # after assembling, a name set in one file would be visible in another
    if {"super", "self"} & {node.name for node in tree.find_all(nodes.Name)}:
        return None
    filters = {node.name for node in tree.find_all(nodes.Filter)}
    if next(tree.find_all(_NOT_DERIVABLE), None) is not None or filters & _MARKUP_FILTERS:
        return None
    places, reader = Placeholders(tokens), _TextReader()
    for token in tokens:
        if token.kind is TokenKind.TEXT:
            reader.feed(token.text)
        elif token.kind is TokenKind.OUTPUT or reader.rawdata:
            reader.feed(places.replace(token, again=True))
        elif token.kind is TokenKind.STATEMENT and not reader.is_numbering:
            reader.feed(f'<{_STATEMENT} n="{places.replace(token)}">')
        elif token.kind is not TokenKind.COMMENT:
            return None  # the number of items of the list is not known here
    reader.close()
    made = "".join(reader.parts)
    return None if re.search(r"\{[{%#]", made) else places.restore(made)


def has_preheader(html: str) -> bool:
    """Return whether the first words of a message are hidden: a list of messages shows them next to the subject."""
    reader = _PreheaderReader()
    reader.feed(html)
    return reader.first_is_hidden is True


def tidy_text(text: str) -> str:
    """Turn collected text and its breaks into lines: no runs of spaces, one empty line between paragraphs."""
    return _tidy(text).strip() + "\n"


class TextTidier(dict[str, str]):
    """Tidies texts in pieces; as a dictionary, it has the tidy form of the pieces that it has seen."""

    def tidy(self, pieces: Iterable[str]) -> list[str]:
        """Return the pieces of the tidy text; see tidy_text."""
        runs: list[str] = []
        run = ""
        for piece in pieces:
            if not piece:
                continue
            if run and run[-1] in _JOINING and piece[0] in _JOINING:
                run += piece  # spaces and breaks on both sides are tidied together
            else:
                runs.append(run)
                run = piece
        runs.append(run)
        tidy = list(map(self.__getitem__, runs))
        while tidy and not (begin := tidy[0].lstrip()):
            del tidy[0]
        if not tidy:
            return ["\n"]
        tidy[0] = begin
        while not (end := tidy[-1].rstrip()):
            del tidy[-1]
        tidy[-1] = end
        tidy.append("\n")
        return tidy

    def __missing__(self, piece: str) -> str:
        tidy = _tidy(piece)
        if len(piece) <= _LONGEST_PIECE:
            if len(self) >= _MOST_PIECES:
                self.clear()
            self[piece] = tidy
        return tidy


def _tidy(text: str) -> str:
    if not _UNTIDY.search(text):
        return text
    text = _SPACES.sub(" ", _INVISIBLE.sub("", text))
    return _BREAKS.sub(_collapse, text)


def _collapse(breaks: re.Match[str]) -> str:
    return "\n" * min(2, max(1, 2 * breaks[0].count(_GAP) + breaks[0].count(_LINE)))


class _PreheaderReader(HTMLParser):
    """Finds out whether the first text of the body is hidden."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.first_is_hidden: bool | None = None
        self._open: list[tuple[str, bool, bool]] = []  # tag, not shown at all, hidden

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        skipped = tag in _SKIPPED
        hidden = "hidden" in attributes or bool(_HIDDEN.search(attributes.get("style") or ""))
        if tag not in _VOID:
            self._open.append((tag, skipped, hidden))

    def handle_endtag(self, tag: str) -> None:
        if any(tag == one for one, _, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.first_is_hidden is None and data.strip() and not any(skipped for _, skipped, _ in self._open):
            self.first_is_hidden = any(hidden for _, _, hidden in self._open)


class _TextReader(HTMLParser):
    """Collects text and breaks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipping: list[str] = []  # open elements, from the outermost one that is not shown
        self._links: list[tuple[str, int]] = []  # address, and the index in `parts` at which its text begins
        self._counters: list[int | None] = []  # of open lists; None if items are not numbered

    @property
    def is_numbering(self) -> bool:
        """Return whether a list with numbers is open."""
        return any(counter is not None for counter in self._counters)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == _STATEMENT:
            self.parts.append(attributes["n"] or "")  # also in hidden elements: a loop must end where it begins
            return
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
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.parts.append(_GAP)
        elif tag in _LINES:
            self.parts.append(_SOFT)
        elif tag == "br":
            self.parts.append(_LINE)
        elif tag in _CELLS:
            self.parts.append(" ")

    def _item_mark(self) -> str:
        if not self._counters or self._counters[-1] is None:
            return "- "
        self._counters[-1] += 1
        return f"{self._counters[-1]}. "

    def _end_link(self) -> None:
        address, begin = self._links.pop()
        label = "".join(self.parts[begin:]).strip(f" \n{_SOFT}{_GAP}{_LINE}")
        target = address.removeprefix("mailto:").strip()
        repeats_address = label in (target, target.partition("://")[2].rstrip("/"))
        if target and not target.startswith("#") and not (label and repeats_address):
            self.parts.append(f" ({target})" if label else target)
