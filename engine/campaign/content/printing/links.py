"""Check data in links and attributes: only links of known schemes, and nothing that ends an attribute.

Escaping keeps data inside its attribute, but it allows a link to begin with `javascript:`, and an attribute without
quotes to end at a space. `link_places` finds the expressions in such places once per campaign; this module checks their
values for each recipient. A value is read as browsers read it (https://url.spec.whatwg.org/#concept-basic-url-parser):
control characters and spaces before it, and tabs and line breaks inside it, are ignored, and case does not matter.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from html import escape, unescape
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import unquote

from markupsafe import Markup

# Data may use these schemes. The author writes others in the template, as in href="myapp://open/{{ id }}".
SCHEMES = frozenset({"https", "http", "mailto", "tel", "sms", "cid"})
# Refused in every disguise: they run code, show embedded content, or read files.
_EXECUTING = ("javascript:", "vbscript:", "livescript:", "jscript:", "mocha:", "data:", "file:", "blob:", "about:")
_WRITE_FULL_LINK = "write a full link that starts with https://"
_URL_ATTRIBUTES = (
    "action archive background cite classid code codebase dynsrc formaction href icon longdesc lowsrc manifest ping"
    " poster profile src usemap xlink:href"
)
URL_ATTRIBUTES = frozenset(_URL_ATTRIBUTES.split())
LIST_ATTRIBUTES = frozenset({"srcset", "imagesrcset"})
# Attributes that are links only in some elements.
_OF_ELEMENTS = {
    "data": frozenset({"object"}),
    "value": frozenset({"param"}),
    **dict.fromkeys(("to", "from", "by", "values"), frozenset({"animate", "set", "animatemotion", "animatetransform"})),
}
_REFUSED = "script iframe frame frameset object embed applet base form link meta style svg math template noscript"
_REFUSED_ELEMENTS = frozenset(_REFUSED.split())
_IGNORED = re.compile("[\t\n\r]")
_LEADING = "".join(map(chr, range(0x21)))  # C0 controls and the space
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_SETTLED = re.compile("[/?#\\\\:]")  # text after one of these is not part of a scheme
# Characters that some mail programs leave out, although browsers do not.
_UNSEEN = re.compile("[\\s\x00-\x20\x7f-\xa0\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+")
_ENDS_ATTRIBUTE = re.compile("[\\s\"'=<>`]")
_NOT_IN_TAG = re.compile("[^A-Za-z0-9_-]")
_CSS_LINK = re.compile(r"""url\(\s*["']?([^)]*)""", re.IGNORECASE)
_CSS_ACTIVE = re.compile(
    r"expression\s*\(|-moz-binding|behavior\s*:|@import|javascript:|vbscript:|</|\\", re.IGNORECASE
)
_REFRESH = re.compile(r"""url\s*=\s*["']?(.*)""", re.IGNORECASE | re.DOTALL)
_LONGEST_SCHEME = 20  # characters of a scheme that a message shows
_MOST_READ = 200  # characters of a value that are searched for a disguised scheme


class RefusedValueError(Exception):
    """A value in its place of the HTML would run something, or would end an attribute."""


class LinkKind(StrEnum):
    """The kind of place in the HTML that a value has."""

    LINK = "link"
    LINKS = "links"  # a list of links: srcset
    REFRESH = "refresh"  # `content` of a <meta>
    STYLE = "style"  # a style attribute or element
    BARE = "bare"  # an attribute without quotes
    TAG = "tag"  # among the names of elements and attributes
    OWN_TAG = "own_tag"  # the same, of an expression whose markup is the template's own: a macro, xmlattr
    QUOTED = "quoted"  # any other attribute, which may get markup from data
    MARKUP = "markup"  # text that is not escaped
    SCRIPT = "script"  # code, in which escaping does not help


class LinkPlace(NamedTuple):
    """The place of a value in the HTML.

    Attributes:
        kind: of the place.
        before: the attribute's text before the value in the template; None if other data is before it.
        after: the template's text after it, as far as known.
        closed: `after` reaches to the attribute's end, or to other data.
        quote: that ends the attribute; empty if there is none.
        is_escaped: the value is escaped when it is printed.
    """

    kind: str
    before: str | None = ""
    after: str = ""
    closed: bool = True
    quote: str = '"'
    is_escaped: bool = True


def is_url_attribute(element: str, attribute: str) -> bool:
    """Return whether an attribute of an element is a link; both in lower case."""
    return attribute in URL_ATTRIBUTES or element in _OF_ELEMENTS.get(attribute, ())


def settles_scheme(text: str) -> bool:
    """Return whether a link that begins like this has its scheme, or certainly has none."""
    return _SETTLED.search(_IGNORED.sub("", text.lstrip(_LEADING))) is not None


def find_refused_scheme(url: str) -> str | None:
    r"""Return the scheme of a link, with its colon, if data must not use it; None if the link is allowed.

    >>> find_refused_scheme(" JAVA\tscript:alert(1)")
    'javascript:'
    >>> find_refused_scheme("mailto:ann@example.com") is None
    True
    """
    found = _SCHEME.match(_IGNORED.sub("", url.lstrip(_LEADING)))
    if found is not None:
        scheme = found[1].lower()
        return None if scheme in SCHEMES else f"{scheme[:_LONGEST_SCHEME]}:"
    plain = url[:_MOST_READ]
    for _ in range(2):  # entities may be decoded twice
        plain = unquote(unescape(plain))
    squeezed = _UNSEEN.sub("", plain).lower()
    return next((scheme for scheme in _EXECUTING if squeezed.startswith(scheme)), None)


Written = tuple[str, str | None, str, bool, str, bool]  # a LinkPlace as a constant of a compiled template


def refuse_link(value: Any, label: str, places: tuple[Written, ...]) -> Any:
    """Return a value that begins a link, checked as in refuse_in_place; faster for usual links."""
    if type(value) is str and value.startswith(("https://", "http://")):
        return value
    return refuse_in_place(value, label, places)


def refuse_in_place(value: Any, label: str, places: tuple[Written, ...]) -> Any:
    """Return a value after checking that it is allowed in all of these places.

    Raises:
        RefusedValueError: it is not allowed; the message names the expression, never the value.
    """
    for one in places:
        _check(value, label, LinkPlace(*one))
    return value


def refuse_active_markup(value: Any, label: str) -> Any:
    """Return markup from data (`|safe`) after checking that nothing in it runs or links to code that runs.

    Raises:
        RefusedValueError: it has an element, an attribute or a link that does.
    """
    text = str(value)
    if not hasattr(value, "__html__") and "<" in text:
        _read_markup(text, label)
    return value


def _read_markup(text: str, label: str) -> None:
    reader = _MarkupReader(label)
    reader.feed(text)
    if "<" in reader.rawdata:
        raise RefusedValueError(f"{label} has markup that does not end; correct the data")


def mark_safe(value: Any, label: str) -> Markup:
    """`|safe`: data as markup, in which nothing runs."""
    return Markup(refuse_active_markup(value, label))  # noqa: S704 - the template asks for it, and it was checked


def refuse_attribute(name: str, value: Any) -> None:
    """Check an attribute whose name comes from data (`|xmlattr`).

    Raises:
        RefusedValueError: it is a script, or a link that data must not make.
    """
    name = name.lower()
    label = f"the attribute {name}"
    if name.startswith("on") or name == "srcdoc":
        raise RefusedValueError(f"{label} is a script; remove it")
    if value is None:
        return
    if is_url_attribute("", name):
        _refuse_scheme(_read(value), label)
    elif name in LIST_ATTRIBUTES:
        _check(value, label, LinkPlace(LinkKind.LINKS))
    elif name == "style":
        _check(value, label, LinkPlace(LinkKind.STYLE, None))


def _read(value: Any, *, is_escaped: bool = True) -> str:
    """Return a value as the browser reads it: markup still has its entities."""
    return str(value) if is_escaped and not hasattr(value, "__html__") else unescape(str(value))


def _refuse_scheme(url: str, label: str) -> None:
    scheme = find_refused_scheme(url)
    if scheme is not None:
        raise RefusedValueError(f"{label} is a {scheme} link, which is not allowed in data; {_WRITE_FULL_LINK}")


def _refuse_quote(value: Any, label: str, place: LinkPlace) -> None:
    if (not place.is_escaped or hasattr(value, "__html__")) and place.quote in str(value):
        raise RefusedValueError(f"{label} has a quote that ends its attribute; leave out |safe")


def _check(value: Any, label: str, place: LinkPlace) -> None:
    match place.kind:
        case LinkKind.TAG | LinkKind.OWN_TAG if hasattr(value, "__html__"):
            if place.kind == LinkKind.TAG:
                _read_markup(f"<x {value}>", label)
        case LinkKind.TAG | LinkKind.OWN_TAG:
            _refuse_in_tag(value, label)
        case LinkKind.SCRIPT:
            raise RefusedValueError(f"{label} is in a script, where data is not allowed; remove it")
        case LinkKind.MARKUP:
            refuse_active_markup(value, label)
        case _:
            _check_attribute(value, label, place)


def _check_attribute(value: Any, label: str, place: LinkPlace) -> None:
    if place.quote:
        _refuse_quote(value, label, place)
    else:
        _refuse_bare(value, label)
    text = _read(value, is_escaped=place.is_escaped)
    match place.kind:
        case LinkKind.LINK:
            _refuse_joined(text, label, place)
        case LinkKind.LINKS:
            for url in _split_links(text):
                _refuse_scheme(url, label)
        case LinkKind.REFRESH:
            if found := _REFRESH.search(f"{place.before or ''}{text}"):
                _refuse_scheme(found[1], label)
        case LinkKind.STYLE:
            _refuse_style(text, label, place)


def _refuse_joined(text: str, label: str, place: LinkPlace) -> None:
    """Check a link that is written partly by the template and partly by data."""
    if place.before is None:
        found = _SETTLED.search(text + place.after)
        if found is not None and found[0] == ":":
            raise RefusedValueError(
                f"{label} sets the scheme of a link that begins with other data; {_WRITE_FULL_LINK}"
            )
        return
    begun = place.before + text
    _refuse_scheme(begun + place.after, label)
    if text and not place.closed and not settles_scheme(begun + place.after):
        raise RefusedValueError(f"{label} is not a full link; {_WRITE_FULL_LINK}")


def _split_links(text: str) -> Iterator[str]:
    return (one for one in re.split(r"[\s,]+", text) if one)


def _refuse_style(text: str, label: str, place: LinkPlace) -> None:
    squeezed = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    if "/*" in squeezed or _CSS_ACTIVE.search(squeezed):
        raise RefusedValueError(f"{label} has CSS that runs or loads something; write plain values")
    if place.before is not None:  # inside url(…)
        _refuse_scheme(f"{place.before}{squeezed}{place.after}", label)
    for found in _CSS_LINK.finditer(squeezed):
        _refuse_scheme(found[1], label)


def _refuse_bare(value: Any, label: str) -> None:
    text = str(value)
    if not text or _ENDS_ATTRIBUTE.search(text):
        what = "has a space, a quote or another character that ends" if text else "is empty, which is not allowed in"
        raise RefusedValueError(f"{label} {what} an attribute without quotes; write quotes around it in the template")


def _refuse_in_tag(value: Any, label: str) -> None:
    text = str(value)
    if text[:2].lower() == "on" or is_url_attribute("", text.lower()) or text.lower() in _REFUSED_ELEMENTS:
        raise RefusedValueError(
            f"{label} is the name of an attribute or element that data must not set; write the name in the template"
        )
    if _NOT_IN_TAG.search(text):
        raise RefusedValueError(
            f"{label} is among the attribute names of a tag and has more than letters, digits, - and _ in it;"
            ' write it as a value: name="{{ … }}", and in Markdown [text]({{ … }})'
        )


class _MarkupReader(HTMLParser):
    """Refuses elements and attributes in markup that run code or link to it."""

    def __init__(self, label: str) -> None:
        super().__init__(convert_charrefs=False)
        self._label = label

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag.rpartition(":")[2] in _REFUSED_ELEMENTS:
            raise RefusedValueError(f"{self._label} has a <{tag}> element; remove it from the data")
        for name, value in attrs:
            text = value or ""
            if name.startswith("on") or name == "srcdoc":
                raise RefusedValueError(f"{self._label} has the attribute {name}; remove it from the data")
            if is_url_attribute(tag, name):
                _refuse_scheme(text, self._label)
            elif name in LIST_ATTRIBUTES:
                _check(text, self._label, LinkPlace(LinkKind.LINKS))
            elif name == "style":
                _check(text, self._label, LinkPlace(LinkKind.STYLE, None))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


def write_literal(value: Any) -> str:
    """Return a constant of a template as it is written into the HTML."""
    return str(value) if hasattr(value, "__html__") else escape(str(value))
