"""Check that a link in an HTML message is visible: not in a comment, hidden, without size or as its background."""

import re
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser

from msgspec import Struct

from engine.campaign.content.media_rules import apply_screen_rules

_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_NOT_SHOWN = frozenset(
    {"head", "style", "script", "title", "template", "datalist", "noframes", "object", "iframe", "svg"}
)
_INVISIBLE = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u2064\u2800\u3164\ufeff]"
)
_ZERO = re.compile(r"[+-]?0*\.?0+(?:[a-z]+|%)?")
_TINY = re.compile(r"[01]?(?:\.\d+)?(?:px|pt)")
_FAR = re.compile(r"-\d{3,}(?:\.\d+)?(?:px|pt|em|rem|%|vw)?")
_COLOURS = {"white": "#ffffff", "black": "#000000", "red": "#ff0000", "blue": "#0000ff", "silver": "#c0c0c0"}
_SHORT_HEX = re.compile(r"#([0-9a-f])([0-9a-f])([0-9a-f])")
_RGB = re.compile(r"rgba?\(\s*(\d+)\s*[, ]\s*(\d+)\s*[, ]\s*(\d+)\s*(?:[,/]\s*([\d.]+%?)\s*)?\)")
_MARK = "\x00"
_DATA = re.compile(r"""\s(?:href|src|alt|title)\s*=\s*(?:"[^"\x00]*"|'[^'\x00]*')""", re.IGNORECASE)
_MOST_SHAPES = 1000


class LinkVisibility:
    """Checks whether links are visible; messages that differ only in their data are parsed once."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def is_visible(self, html: str, link: str) -> bool:
        """Return whether a link, or its address as text, is visible.

        Args:
            html: of the message; it has the link somewhere.
            link: its address.
        """
        shape = _describe_shape(html.replace(escape(link), _MARK).replace(link, _MARK))
        known = self._known.get(shape)
        if known is None:
            known = is_link_visible(html, link)
            if len(self._known) < _MOST_SHAPES:
                self._known[shape] = known
        return known


def _describe_shape(marked: str) -> str:
    """Return the parts that decide what is visible: the tags without their data, and the positions of text."""
    parts = []
    for piece in marked.split("<"):
        tag, _, text = piece.partition(">")
        if tag.startswith("!--"):
            # The parser reads a comment that never ends as text.
            tag = ("!----" if tag.endswith("--") else "!--") + (_MARK if _MARK in tag else "")
        elif tag[:5].lower() == "style":
            tag += text
        elif "href" in tag or "src" in tag:
            tag = _DATA.sub("", tag)
        if text and not text.isspace():
            tag += f"\x01{_MARK if _MARK in text else ''}{'-->' if '-->' in text else ''}"
        parts.append(tag)
    return "<".join(parts)


def is_link_visible(html: str, link: str) -> bool:
    """Return whether a link, or its address as text, is visible."""
    reader = _Reader(link)
    reader.feed(apply_screen_rules(html))
    reader.close()
    return reader.found


class _Element(Struct):
    """An open element, with what it inherits.

    `colour` is None for the mail program's own colour; `ground`, the background, is None if it is not known.
    """

    tag: str
    is_shown: bool
    has_size: bool = True
    colour: str | None = "#000000"
    ground: str | None = "#ffffff"
    leads_out: bool = False

    @property
    def is_readable(self) -> bool:
        same = self.colour is not None and self.colour == self.ground
        return self.is_shown and self.has_size and not same and self.colour != "transparent"


class _Reader(HTMLParser):
    """Tracks the open elements, and checks the content of the wanted links."""

    def __init__(self, link: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found = False
        self._link = link
        self._open = [_Element("", is_shown=True)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in reversed(attrs)}
        element = _open_element(self._open[-1], tag, attributes)
        if tag in ("a", "area"):
            element.leads_out = self._link in attributes.get("href", "")
            if "color" not in _read_style(attributes.get("style", "")):
                element.colour = None  # a mail program's own colour of links
        shown = element.is_shown and tag in ("img", "area") and element.leads_out
        self.found |= shown and not any(_is_tiny(attributes.get(side, "")) for side in ("width", "height"))
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if any(tag == element.tag for element in self._open[1:]):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        element = self._open[-1]
        if element.is_readable and (element.leads_out or self._link in data):
            self.found |= bool(_INVISIBLE.sub("", data))


def _open_element(parent: _Element, tag: str, attributes: Mapping[str, str]) -> _Element:
    style = _read_style(attributes.get("style", ""))
    element = _Element(
        tag,
        is_shown=parent.is_shown and not _is_hidden(tag, attributes, style),
        has_size=parent.has_size,
        colour=parent.colour,
        ground=parent.ground,
        leads_out=parent.leads_out,
    )
    if "font-size" in style:
        element.has_size = not (_ZERO.fullmatch(style["font-size"]) or _TINY.fullmatch(style["font-size"]))
    if colour := style.get("color") or (attributes.get("color", "") if tag == "font" else ""):
        element.colour = _read_colour(colour)
    ground = style.get("background-color") or style.get("background") or attributes.get("bgcolor", "")
    if ground or "background-image" in style or "background" in attributes:
        read = _read_colour(ground)
        element.ground = parent.ground if read == "transparent" else read
    return element


def _is_hidden(tag: str, attributes: Mapping[str, str], style: Mapping[str, str]) -> bool:
    if tag in _NOT_SHOWN or "hidden" in attributes or (tag == "dialog" and "open" not in attributes):
        return True
    if style.get("display") == "none" or style.get("visibility") in ("hidden", "collapse"):
        return True
    if _ZERO.fullmatch(style.get("opacity", "1")):
        return True
    is_cut = style.get("overflow", "") in ("hidden", "clip") or style.get("overflow-y") == "hidden"
    if is_cut and any(_ZERO.fullmatch(style.get(side, "1")) for side in ("height", "max-height", "width", "max-width")):
        return True
    is_out = style.get("position") in ("absolute", "fixed")
    places = [style.get("text-indent", "")] + [style.get(side, "") for side in ("left", "top", "right") if is_out]
    return any(_FAR.fullmatch(place) for place in places)


def _is_tiny(size: str) -> bool:
    return size.strip().removesuffix("px") in ("0", "1")


def _read_style(style: str) -> dict[str, str]:
    declarations = (declaration.partition(":") for declaration in style.split(";"))
    return {name.strip().lower(): value.lower().replace("!important", "").strip() for name, _, value in declarations}


def _read_colour(text: str) -> str | None:
    """Return a colour as #rrggbb or `transparent`; None if it is not one that can be compared."""
    text = text.strip().lower()
    if (found := _RGB.fullmatch(text)) is not None:
        if found[4] is not None and _ZERO.fullmatch(found[4]):
            return "transparent"
        return "#" + "".join(f"{min(int(part), 255):02x}" for part in found.group(1, 2, 3))
    if (short := _SHORT_HEX.fullmatch(text)) is not None:
        return "#" + "".join(digit * 2 for digit in short.groups())
    if re.fullmatch(r"#[0-9a-f]{6}", text) or text == "transparent":
        return text
    return _COLOURS.get(text)
