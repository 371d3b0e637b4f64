"""The place of printed data in an HTML document: a tokeniser's states, as far as links and markup need them.

As the HTML standard tokenises it (https://html.spec.whatwg.org/#tokenization).
"""

import re
from html import unescape
from typing import NamedTuple

from jinja2 import nodes

from engine.campaign.content.printing.links import (
    LIST_ATTRIBUTES,
    LinkKind,
    LinkPlace,
    find_refused_scheme,
    is_url_attribute,
    settles_scheme,
)

_MOST_STATES = 24  # above this, the text before a value in its attribute is not tracked
_TEXT, _NAME, _TAG, _ATTRIBUTE, _AFTER, _BEFORE, _VALUE, _COMMENT, _BOGUS, _RAW = (
    "text", "name", "tag", "attribute", "after", "before", "value", "comment", "bogus", "raw",
)  # fmt: skip
_SETTLED = "/"  # the scheme of the link is complete: later text cannot change it
_RAW_ELEMENTS = frozenset({"script", "style", "title", "textarea", "xmp", "noembed", "noframes"})
DATA_IN_SCRIPT, UNQUOTED_DATA, UNESCAPED_DATA, SAFE_DATA = (  # codes of a Hazard
    "data_in_script", "unquoted_data", "unescaped_data", "safe_data",
)  # fmt: skip
_SPACES = " \t\n\r\f"
_TAG_NAME = re.compile(r"[^ \t\n\r\f/>]*")
_ATTRIBUTE_NAME = re.compile(r"[^ \t\n\r\f/>=]*")
_BARE = re.compile(r"[^ \t\n\r\f>]*")
_OPEN_URL = re.compile(r"""url\(\s*["']?([^)]*)\Z""", re.IGNORECASE)
_REFRESH = re.compile(r"""url\s*=\s*["']?.*\Z""", re.IGNORECASE | re.DOTALL)
_CONDITION = re.compile(r"!--\s*\[if\b", re.IGNORECASE)
_JSON = re.compile(r"json", re.IGNORECASE)


class HtmlState(NamedTuple):
    """Where in the HTML a place is.

    `element` is the tag that is open here, or whose raw text this is; `data`: an attribute's value has data already.
    """

    mode: str = _TEXT
    element: str = ""
    attribute: str = ""
    quote: str = ""
    begun: str = ""
    data: bool = False
    is_json: bool = False
    is_escaped: bool = True

    @property
    def is_in_tag(self) -> bool:
        """Whether this is in a tag, outside the values of its attributes."""
        return self.mode in (_TAG, _NAME, _ATTRIBUTE)


HtmlStates = frozenset[HtmlState]
AT_START: HtmlStates = frozenset({HtmlState()})


def bound_states(states: HtmlStates) -> HtmlStates:
    """Limit the states: above the limit, the text before a value counts as unknown data."""
    if len(states) <= _MOST_STATES:
        return states
    return frozenset(one._replace(begun="", data=True) if one.mode == _VALUE else one for one in states)


def find_hazard(state: HtmlState, child: nodes.Expr) -> str | None:
    """Return the code of the hazard of an expression in a state, whatever its value; None if there is no hazard."""
    if state.mode == _RAW and state.element == "script" and not state.is_json:
        return DATA_IN_SCRIPT
    if state.mode == _VALUE:
        if state.attribute.startswith("on") or state.attribute == "srcdoc":
            return DATA_IN_SCRIPT
        is_link = is_url_attribute(state.element, state.attribute)
        if is_link and state.begun and state.begun != _SETTLED and _is_script(state.begun):
            return DATA_IN_SCRIPT
    bare = state.mode in (_BEFORE, _NAME, _ATTRIBUTE) or (state.mode == _VALUE and not state.quote)
    if bare and not is_markup(child):
        return UNQUOTED_DATA
    if state.mode == _TAG and not is_markup(child):
        return UNQUOTED_DATA
    return None if state.is_escaped else UNESCAPED_DATA


def is_markup(node: nodes.Expr) -> bool:
    """Return whether an expression is markup of the template's own: attributes of a dictionary, a macro."""
    match node:
        case nodes.Filter(name="xmlattr") | nodes.Call():
            return True
        case nodes.CondExpr():
            parts = [node.expr1, *([node.expr2] if node.expr2 is not None else [])]
            return all(isinstance(part, nodes.Const) or is_markup(part) for part in parts)
        case _:
            return False


def _is_script(begun: str) -> bool:
    return find_refused_scheme(begun) in ("javascript:", "vbscript:")


def find_place(state: HtmlState, after: str, *, is_ended: bool) -> LinkPlace | None:
    """Return the place of data in a state; None if escaping is enough."""
    match state.mode:
        case "text" if not state.is_escaped:
            return LinkPlace(LinkKind.MARKUP)
        case "raw" if state.element == "style":
            return LinkPlace(LinkKind.STYLE, _find_open_url(state.begun))
        case "name" | "tag" | "attribute" | "after":
            return LinkPlace(LinkKind.TAG)
        case "before" | "value":
            return _find_in_attribute(state, after, is_ended=is_ended)
        case _:
            return None


def _find_in_attribute(state: HtmlState, after: str, *, is_ended: bool) -> LinkPlace:
    begun = "" if state.mode == _BEFORE else state.begun
    quote = "" if state.mode == _BEFORE else state.quote
    kind = _kind(state.element, state.attribute)
    made = LinkPlace(kind or LinkKind.QUOTED, quote=quote, is_escaped=state.is_escaped)
    match kind:
        case LinkKind.LINK if not _is_settled(begun):
            found = re.search(f"[{quote or _SPACES + '>'}]", after)
            rest = after[: found.start()] if found else after
            before = None if state.data and state.mode == _VALUE else unescape(begun)
            return made._replace(before=before, after=unescape(rest), closed=found is not None or is_ended)
        case LinkKind.STYLE:
            return made._replace(before=_find_open_url(unescape(begun)))
        case LinkKind.REFRESH:
            return made._replace(before=unescape(begun))
        case LinkKind.LINKS if not settles_scheme(unescape(re.split(r"[\s,]", begun)[-1])):
            return made
        case _:
            return made._replace(kind=LinkKind.QUOTED if quote else LinkKind.BARE)


def _find_open_url(begun: str) -> str | None:
    """Return the text after an open `url(` at the end of some CSS; None if there is no open `url(`."""
    found = _OPEN_URL.search(begun)
    return found[1] if found else None


def _is_settled(begun: str) -> bool:
    return begun == _SETTLED or settles_scheme(unescape(begun))


def _kind(element: str, attribute: str) -> LinkKind | None:
    if is_url_attribute(element, attribute):
        return LinkKind.LINK
    if attribute in LIST_ATTRIBUTES:
        return LinkKind.LINKS
    if attribute == "style":
        return LinkKind.STYLE
    return LinkKind.REFRESH if (element, attribute) == ("meta", "content") else None


def put_data(state: HtmlState) -> HtmlState:
    """Return the state after data; escaped data never ends an attribute or a tag."""
    match state.mode:
        case "before":
            return state._replace(mode=_VALUE, quote="", begun="", data=True)
        case "value" if _kind(state.element, state.attribute) is LinkKind.LINK and not _is_settled(state.begun):
            return state._replace(begun="", data=True)
        case "value":
            return state
        case "tag" | "after":
            return state._replace(mode=_ATTRIBUTE, attribute="")
        case "name":
            return state._replace(element=state.element or "?")
        case _:
            return state


def advance(state: HtmlState, text: str) -> HtmlState:
    """Return the state after some text of the template."""
    place = 0
    while place < len(text):
        state, place = _STEPS[state.mode](state, text, place)
    return state


def _in_text(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    found = text.find("<", place)
    if found < 0:
        return state, len(text)
    place = found + 1
    following = text[place : place + 1]
    if following == "!":
        return _in_declaration(state, text, place)
    if following == "?":
        return state._replace(mode=_BOGUS), place
    if following == "/":
        return _open(state, _NAME, "/"), place + 1
    begins = not following or (following.isascii() and following.isalpha())
    return (_open(state, _NAME), place) if begins else (state, place)


def _in_declaration(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    if _CONDITION.match(text, place):  # Outlook reads its content
        return state._replace(mode=_BOGUS), place + 3
    if text.startswith(("!-->", "!--->"), place):
        return state, text.index(">", place) + 1
    is_comment = text.startswith("!--", place)
    return state._replace(mode=_COMMENT if is_comment else _BOGUS), place + (3 if is_comment else 0)


def _open(state: HtmlState, mode: str, element: str = "") -> HtmlState:
    return HtmlState(mode, element, is_escaped=state.is_escaped)


def _in_name(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    found = _TAG_NAME.match(text, place)
    end = found.end() if found else place
    if not state.element and end == place and text[place] in _SPACES:
        return HtmlState(is_escaped=state.is_escaped), place  # "< " is text
    named = state._replace(element=state.element + text[place:end].lower())
    return (named, end) if end == len(text) else (named._replace(mode=_TAG), end)


def _in_tag(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    if text[place] == ">":
        return _close(state), place + 1
    if text[place] in _SPACES or text[place] == "/":
        return state, place + 1
    return state._replace(mode=_ATTRIBUTE, attribute="", quote="", begun="", data=False), place


def _close(state: HtmlState) -> HtmlState:
    if state.element in _RAW_ELEMENTS:
        return HtmlState(_RAW, state.element, is_json=state.is_json, is_escaped=state.is_escaped)
    return HtmlState(is_escaped=state.is_escaped)


def _in_attribute(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    found = _ATTRIBUTE_NAME.match(text, place)
    end = found.end() if found else place
    if end == place and not state.attribute and text[place] == "=":
        end += 1  # a name may begin with it
    named = state._replace(attribute=state.attribute + text[place:end].lower())
    return (named, end) if end == len(text) else (named._replace(mode=_AFTER), end)


def _after_attribute(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    if text[place] in _SPACES:
        return state, place + 1
    if text[place] == "=":
        return state._replace(mode=_BEFORE), place + 1
    return state._replace(mode=_TAG), place


def _before_value(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    if text[place] in _SPACES:
        return state, place + 1
    if text[place] == ">":
        return _close(state), place + 1
    quote = text[place] if text[place] in "\"'" else ""
    return state._replace(mode=_VALUE, quote=quote, begun="", data=False), place + len(quote)


def _in_value(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    if state.quote:
        end = text.find(state.quote, place)
    else:
        found = _BARE.match(text, place)
        end = found.end() if found else place
        end = -1 if end == len(text) else end
    piece = text[place:] if end < 0 else text[place:end]
    if end < 0:
        return state._replace(begun=_keep(state, piece)), len(text)
    is_json = state.is_json
    if (state.element, state.attribute) == ("script", "type"):
        is_json = _JSON.search(state.begun + piece) is not None
    return HtmlState(_TAG, state.element, is_json=is_json, is_escaped=state.is_escaped), end + len(state.quote)


def _keep(state: HtmlState, piece: str) -> str:
    """Return the part of an attribute's beginning that later checks need."""
    kind = _kind(state.element, state.attribute)
    begun = state.begun + piece
    match kind:
        case LinkKind.LINK:
            if state.data:
                return _SETTLED if settles_scheme(unescape(begun)) else ""
            settled = _is_settled(begun)
            return begun if not settled or _is_script(unescape(begun)) else _SETTLED
        case LinkKind.STYLE:
            opened = begun.lower().rfind("url(")
            return begun[opened:] if opened >= 0 and ")" not in begun[opened:] else begun[-3:]
        case LinkKind.REFRESH:
            found = _REFRESH.search(begun)
            return found[0] if found else begun[-20:]
        case LinkKind.LINKS:
            return re.split(r"[\s,]", begun)[-1]
        case _:
            is_type = (state.element, state.attribute) == ("script", "type")
            return begun[:40] if is_type else ""


def _in_comment(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    found = text.find("-->", place)
    return (state, len(text)) if found < 0 else (HtmlState(is_escaped=state.is_escaped), found + 3)


def _in_bogus(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    found = text.find(">", place)
    return (state, len(text)) if found < 0 else (HtmlState(is_escaped=state.is_escaped), found + 1)


def _in_raw(state: HtmlState, text: str, place: int) -> tuple[HtmlState, int]:
    found = re.compile(rf"</{state.element}(?=[ \t\n\r\f/>])", re.IGNORECASE).search(text, place)
    if found is None:
        if state.element != "style":
            return state, len(text)
        opened = _OPEN_URL.search(state.begun + text[place:][-_LONGEST_URL:])
        return state._replace(begun=opened[0] if opened else ""), len(text)
    return HtmlState(_TAG, f"/{state.element}", is_escaped=state.is_escaped), found.end()


_LONGEST_URL = 2000
_STEPS = {
    _TEXT: _in_text,
    _NAME: _in_name,
    _TAG: _in_tag,
    _ATTRIBUTE: _in_attribute,
    _AFTER: _after_attribute,
    _BEFORE: _before_value,
    _VALUE: _in_value,
    _COMMENT: _in_comment,
    _BOGUS: _in_bogus,
    _RAW: _in_raw,
}
