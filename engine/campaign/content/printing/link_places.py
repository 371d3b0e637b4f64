"""Which expressions of an HTML template stand in links, in attributes without quotes, in styles or scripts.

Found once per campaign, by following the template's own HTML through its statements, parents, includes and macros as
the HTML standard tokenises it (https://html.spec.whatwg.org/#tokenization). Branches are followed one beside the other,
so an expression may stand in several places. Nothing is looked at where recipients are rendered but the values that
stand in such a place.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from typing import NamedTuple

from jinja2 import TemplateNotFound, nodes

from engine.campaign.content.printing.links import (
    LIST_ATTRIBUTES,
    LinkKind,
    LinkPlace,
    find_refused_scheme,
    is_url_attribute,
    settles_scheme,
    write_literal,
)

_MOST_STATES = 24  # beyond, what stands before a value in its attribute is not followed
_MOST_ROUNDS = 8  # of a loop, until it ends where it began
_DEEPEST = 40
_TEXT, _NAME, _TAG, _ATTRIBUTE, _AFTER, _BEFORE, _VALUE, _COMMENT, _BOGUS, _RAW = (
    "text", "name", "tag", "attribute", "after", "before", "value", "comment", "bogus", "raw",
)  # fmt: skip
_SETTLED = "/"  # the scheme of a link is decided: nothing after it changes that
_RAW_ELEMENTS = frozenset({"script", "style", "title", "textarea", "xmp", "noembed", "noframes"})
DATA_IN_SCRIPT, UNQUOTED_DATA, UNESCAPED_DATA, SAFE_DATA = (  # what a Hazard is
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


class _State(NamedTuple):
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


States = frozenset[_State]
Key = tuple[int, int]  # the number of an Output node in its template, and of the expression in it
_START: States = frozenset({_State()})


@dataclass(frozen=True, slots=True)
class DataPlace:
    """An expression that stands where its value is judged.

    Attributes:
        template: as it is compiled.
        line: of what is compiled.
        node: the expression.
        places: where it stands.
        columns: that it reads; None where it reads what other statements set.
    """

    template: str
    line: int
    node: nodes.Expr
    places: frozenset[LinkPlace]
    columns: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Hazard:
    """An expression that no value makes right, or that an author should know of; `columns` as in DataPlace."""

    code: str
    template: str
    line: int
    node: nodes.Expr
    columns: frozenset[str] | None


@dataclass(slots=True)
class LinkPlaces:
    """What was found: template -> key -> expression; and what to report."""

    found: dict[str, dict[Key, DataPlace]] = field(default_factory=dict)
    hazards: dict[Hazard, None] = field(default_factory=dict)

    def of(self, template: str) -> Mapping[Key, DataPlace]:
        """Return the places of a template."""
        return self.found.get(template, {})

    def merge(self, other: "LinkPlaces") -> None:
        """Take over what was found from another template on."""
        self.found |= {name: places for name, places in other.found.items() if name not in self.found}
        self.hazards |= other.hazards

    def add(self, key: Key, place: DataPlace) -> None:
        """Add places of an expression."""
        known = self.found[place.template].get(key)
        if known is not None:
            place = replace(place, places=known.places | place.places)
        self.found[place.template][key] = place


class _Loader:
    """Parses templates as their authors wrote them, each once."""

    def __init__(self, parse: Callable[[str], nodes.Template]) -> None:
        self._parse = parse
        self._trees: dict[str, nodes.Template | None] = {}
        self._keys: dict[str, dict[int, int]] = {}
        self._set: dict[str, frozenset[str]] = {}

    def load(self, name: str) -> nodes.Template | None:
        if name not in self._trees:
            try:
                tree = self._parse(name)
            except TemplateNotFound:
                tree = None
            self._trees[name] = tree
            self._keys[name] = {} if tree is None else number_outputs(tree)
        return self._trees[name]

    def number(self, name: str, node: nodes.Output) -> int:
        return self._keys[name][id(node)]

    def marked_safe(self, name: str) -> Iterator[nodes.Filter]:
        """Yield where data is marked as markup (`|safe`)."""
        tree = self.load(name)
        for node in tree.find_all(nodes.Filter) if tree is not None else ():
            if node.name == "safe" and node.node is not None and is_data(node.node):
                yield node

    def columns(self, name: str, node: nodes.Expr) -> frozenset[str] | None:
        """Return the columns that an expression reads; None where it reads what other statements set."""
        tree = self.load(name)
        if name not in self._set:
            own = [one for one in tree.find_all(nodes.Name) if one.ctx != "load"] if tree is not None else []
            self._set[name] = frozenset(one.name for one in own) | {"loop", "varargs", "kwargs", "caller", "self"}
        columns = set()
        for one in (node, *node.find_all(nodes.Node)):
            match one:
                case nodes.Getattr(node=nodes.Name(name="recipient"), attr=column):
                    columns.add(column)
                case nodes.Getitem(node=nodes.Name(name="recipient"), arg=nodes.Const(value=str(column))):
                    columns.add(column)
                case nodes.Call(node=nodes.Name() | nodes.Getattr(node=nodes.Name())):
                    return None
                case nodes.Name(name="recipient" | "campaign" | "run" | "unsubscribe_url"):
                    pass
                case nodes.Name(name=used):
                    if used in self._set[name]:
                        return None
                    columns.add(used)
                case _:
                    pass
        return frozenset(columns)


def number_outputs(tree: nodes.Template) -> dict[int, int]:
    """Number the Output nodes of a template: id of the node -> number, the same for the same source."""
    return {id(node): number for number, node in enumerate(tree.find_all(nodes.Output))}


def find_link_places(name: str, parse: Callable[[str], nodes.Template]) -> LinkPlaces:
    """Follow a template from its beginning.

    Args:
        name: of the template.
        parse: parses a template by name, without checks; raises TemplateNotFound.
    """
    loader = _Loader(parse)
    walk = _Walk(loader)
    walk.template(name, _START)
    found = walk.places
    for file in found.found:
        for node in loader.marked_safe(file):
            found.hazards[Hazard(SAFE_DATA, file, node.lineno, node, loader.columns(file, node))] = None
    if not any(one.code in (SAFE_DATA, UNESCAPED_DATA) for one in found.hazards):
        _drop_quoted(found)
    return found


def _drop_quoted(found: LinkPlaces) -> None:
    """Drop what stands in quotes and is no link: where everything is escaped, nothing ends its attribute."""
    for file, places in found.found.items():
        found.found[file] = {
            key: place for key, place in places.items() if any(one.kind != LinkKind.QUOTED for one in place.places)
        }


class _Walk:
    """Follows statements with the set of states that they may begin in."""

    def __init__(self, loader: _Loader) -> None:
        self.places = LinkPlaces()
        self._loader = loader
        self._file = ""
        self._depth = 0
        self._blocks: dict[str, list[tuple[str, nodes.Block]]] = {}
        self._super: list[tuple[str, int]] = []
        self._walking: set[tuple[object, States]] = set()

    def template(self, name: str, states: States, *, keep_blocks: bool = False) -> States:
        tree = self._loader.load(name)
        work = (name, states)
        if tree is None or work in self._walking or self._depth > _DEEPEST:
            return states
        self.places.found.setdefault(name, {})
        file, blocks = self._file, self._blocks
        self._file, self._depth = name, self._depth + 1
        self._walking.add(work)
        if not keep_blocks:
            self._blocks = {}
        try:
            for block in tree.find_all(nodes.Block):
                self._blocks.setdefault(block.name, []).append((name, block))
            parents = [
                one for node in tree.body if isinstance(node, nodes.Extends) for one in _constants(node.template)
            ]
            if parents:
                for node in tree.body:  # what stands outside the blocks is not put out
                    if not isinstance(node, nodes.Output):
                        self.node(node, _START)
                results = [self.template(parent, states, keep_blocks=True) for parent in parents]
                return frozenset().union(*results)
            return self.body(tree.body, states)
        finally:
            self._walking.discard(work)
            self._file, self._blocks, self._depth = file, blocks, self._depth - 1

    def body(self, body: Iterable[nodes.Node], states: States) -> States:
        for node in body:
            states = _bound(self.node(node, states))
        return states

    def node(self, node: nodes.Node, states: States) -> States:  # noqa: PLR0911, C901 - one line for each statement of Jinja's
        match node:
            case nodes.Output():
                return self._output(node, states)
            case nodes.If():
                branches = [node.body, *(one.body for one in node.elif_), node.else_]
                return frozenset().union(*(self.body(branch, states) for branch in branches))
            case nodes.For():
                return self._loop(node, states)
            case nodes.Block():
                return self._block(node, states)
            case nodes.Include():
                return frozenset().union(states, *(self.template(one, states) for one in _constants(node.template)))
            case nodes.Import() | nodes.FromImport():
                for one in _constants(node.template):
                    self.template(one, _START)
            case nodes.Macro() | nodes.AssignBlock():
                self.body(node.body, _START)
            case nodes.CallBlock():
                self.body(node.body, _START | states)
                self._macros(node.call, states)
            case nodes.ScopedEvalContextModifier():
                return self._escaping(node, states)
            case nodes.FilterBlock() | nodes.With() | nodes.Scope() | nodes.OverlayScope():
                return self.body(node.body, states)
            case _:
                pass
        return states

    def _loop(self, node: nodes.For, states: States) -> States:
        around = states
        for _ in range(_MOST_ROUNDS):
            after = _bound(around | self.body(node.body, around))
            if after == around:
                break
            around = after
        return around | self.body(node.else_, states)

    def _block(self, node: nodes.Block, states: States) -> States:
        chain = self._blocks.get(node.name) or [(self._file, node)]
        return self._in_chain(node.name, chain, 0, states)

    def _in_chain(self, name: str, chain: list[tuple[str, nodes.Block]], place: int, states: States) -> States:
        file, block = chain[place]
        work = (id(block), states)
        if work in self._walking or self._depth > _DEEPEST:
            return states
        before, self._file = self._file, file
        self._walking.add(work)
        self._super.append((name, place))
        self._depth += 1
        try:
            return self.body(block.body, states)
        finally:
            self._depth -= 1
            self._super.pop()
            self._walking.discard(work)
            self._file = before

    def _escaping(self, node: nodes.ScopedEvalContextModifier, states: States) -> States:
        escaped = True
        for option in node.options:
            if option.key == "autoescape":
                escaped = isinstance(option.value, nodes.Const) and bool(option.value.value)
        inside = self.body(node.body, frozenset(one._replace(is_escaped=escaped) for one in states))
        kept = any(one.is_escaped for one in states)
        return frozenset(one._replace(is_escaped=kept) for one in inside)

    def _output(self, node: nodes.Output, states: States) -> States:
        number = self._loader.number(self._file, node)
        for index, child in enumerate(node.nodes):
            literal = _literal(child)
            if literal is not None:
                states = frozenset(_advance(one, literal) for one in states)
                continue
            called = self._called_block(child, states)
            if called is not None:
                states = called
                continue
            self._macros(child, states)
            after, ended = _literal_after(node.nodes[index + 1 :])
            self._place((number, index), child, states, after, is_ended=ended)
            states = frozenset(map(_put_data, states))
        return states

    def _called_block(self, child: nodes.Node, states: States) -> States | None:
        """Follow `{{ super() }}` and `{{ self.name() }}`, which put blocks out."""
        match child:
            case nodes.Call(node=nodes.Name(name="super")) if self._super:
                name, place = self._super[-1]
                chain = self._blocks.get(name, [])
                return self._in_chain(name, chain, place + 1, states) if place + 1 < len(chain) else states
            case nodes.Call(node=nodes.Getattr(node=nodes.Name(name="self"), attr=attr)) if attr in self._blocks:
                return self._in_chain(attr, self._blocks[attr], 0, states)
            case _:
                return None

    def _macros(self, expression: nodes.Node, states: States) -> None:
        """Follow the macros that an expression calls where their output stands in a tag."""
        if states <= _START:
            return
        calls = [*expression.find_all(nodes.Call), *([expression] if isinstance(expression, nodes.Call) else [])]
        for call in calls:
            for file, macro in self._find_macros(call.node):
                work = (id(macro), states)
                if work in self._walking or self._depth > _DEEPEST:
                    continue
                before, self._file = self._file, file
                self._walking.add(work)
                self._depth += 1
                try:
                    self.body(macro.body, frozenset(one for one in states if one.mode in (_TAG, _NAME, _ATTRIBUTE)))
                finally:
                    self._depth -= 1
                    self._walking.discard(work)
                    self._file = before

    def _find_macros(self, called: nodes.Node) -> Iterator[tuple[str, nodes.Macro]]:
        tree = self._loader.load(self._file)
        if tree is None:
            return
        match called:
            case nodes.Name(name=name):
                yield from ((self._file, macro) for macro in tree.find_all(nodes.Macro) if macro.name == name)
                for imported in tree.find_all(nodes.FromImport):
                    pairs = [(one, one) if isinstance(one, str) else one for one in imported.names]
                    for inside, alias in pairs:
                        if alias == name:
                            yield from self._macros_of(imported.template, inside)
            case nodes.Getattr(node=nodes.Name(name=alias), attr=name):
                for whole in tree.find_all(nodes.Import):
                    if whole.target == alias:
                        yield from self._macros_of(whole.template, name)
            case _:
                pass

    def _macros_of(self, template: nodes.Expr, name: str) -> Iterator[tuple[str, nodes.Macro]]:
        for one in _constants(template):
            tree = self._loader.load(one)
            if tree is not None:
                self.places.found.setdefault(one, {})
                yield from ((one, macro) for macro in tree.find_all(nodes.Macro) if macro.name == name)

    def _place(self, key: Key, child: nodes.Expr, states: States, after: str, *, is_ended: bool) -> None:
        line, columns = child.lineno, self._loader.columns(self._file, child)
        places = set()
        for state in states:
            if (code := _find_hazard(state, child)) is not None:
                self.places.hazards[Hazard(code, self._file, line, child, columns)] = None
            if code == DATA_IN_SCRIPT:
                places.add(LinkPlace(LinkKind.SCRIPT))
            elif (place := _find_place(state, after, is_ended=is_ended)) is not None:
                is_own = place.kind == LinkKind.TAG and _is_markup(child)
                places.add(place._replace(kind=LinkKind.OWN_TAG) if is_own else place)
        if places:
            self.places.add(key, DataPlace(self._file, line, child, frozenset(places), columns))


def is_data(node: nodes.Node) -> bool:
    """Tell whether what is marked as markup may be data: constants and macros are the template's own."""
    return not isinstance(node, nodes.Const) and not (
        isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name)
    )


def _constants(node: nodes.Expr) -> tuple[str, ...]:
    try:
        value = node.as_const()
    except nodes.Impossible:
        return ()
    return (value,) if isinstance(value, str) else tuple(one for one in value if isinstance(one, str))


def _literal(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.Const):
        return write_literal(node.value)
    return None


def _literal_after(rest: Iterable[nodes.Node]) -> tuple[str, bool]:
    """Return the literal text before the next expression, and whether an expression follows and not a statement."""
    text = ""
    for node in rest:
        literal = _literal(node)
        if literal is None:
            return text, True
        text += literal
    return text, False


def _bound(states: States) -> States:
    """Keep few states: beyond, what stands before a value is not known, as if it were other data."""
    if len(states) <= _MOST_STATES:
        return states
    return frozenset(one._replace(begun="", data=True) if one.mode == _VALUE else one for one in states)


def _find_hazard(state: _State, child: nodes.Expr) -> str | None:
    if state.mode == _RAW and state.element == "script" and not state.is_json:
        return DATA_IN_SCRIPT
    if state.mode == _VALUE:
        if state.attribute.startswith("on") or state.attribute == "srcdoc":
            return DATA_IN_SCRIPT
        is_link = is_url_attribute(state.element, state.attribute)
        if is_link and state.begun and state.begun != _SETTLED and _is_script(state.begun):
            return DATA_IN_SCRIPT
    bare = state.mode in (_BEFORE, _NAME, _ATTRIBUTE) or (state.mode == _VALUE and not state.quote)
    if bare and not _is_markup(child):
        return UNQUOTED_DATA
    if state.mode == _TAG and not _is_markup(child):
        return UNQUOTED_DATA
    return None if state.is_escaped else UNESCAPED_DATA


def _is_markup(node: nodes.Expr) -> bool:
    """Tell whether an expression is markup of the template's own: attributes of a dictionary, a macro."""
    match node:
        case nodes.Filter(name="xmlattr") | nodes.Call():
            return True
        case nodes.CondExpr():
            parts = [node.expr1, *([node.expr2] if node.expr2 is not None else [])]
            return all(isinstance(part, nodes.Const) or _is_markup(part) for part in parts)
        case _:
            return False


def _is_script(begun: str) -> bool:
    return find_refused_scheme(begun) in ("javascript:", "vbscript:")


def _find_place(state: _State, after: str, *, is_ended: bool) -> LinkPlace | None:
    """Return where data stands in a state; None where escaping is enough."""
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


def _find_in_attribute(state: _State, after: str, *, is_ended: bool) -> LinkPlace:
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
    """Return what stands behind the `url(` that is open at the end of some CSS; None where none is."""
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


def _put_data(state: _State) -> _State:
    """Return the state after data, which does not leave it."""
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


def _advance(state: _State, text: str) -> _State:
    """Return the state after some text of the template."""
    place = 0
    while place < len(text):
        state, place = _STEPS[state.mode](state, text, place)
    return state


def _in_text(state: _State, text: str, place: int) -> tuple[_State, int]:
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


def _in_declaration(state: _State, text: str, place: int) -> tuple[_State, int]:
    if _CONDITION.match(text, place):  # Outlook reads what stands in it
        return state._replace(mode=_BOGUS), place + 3
    if text.startswith(("!-->", "!--->"), place):
        return state, text.index(">", place) + 1
    is_comment = text.startswith("!--", place)
    return state._replace(mode=_COMMENT if is_comment else _BOGUS), place + (3 if is_comment else 0)


def _open(state: _State, mode: str, element: str = "") -> _State:
    return _State(mode, element, is_escaped=state.is_escaped)


def _in_name(state: _State, text: str, place: int) -> tuple[_State, int]:
    found = _TAG_NAME.match(text, place)
    end = found.end() if found else place
    if not state.element and end == place and text[place] in _SPACES:
        return _State(is_escaped=state.is_escaped), place  # "< " is text
    named = state._replace(element=state.element + text[place:end].lower())
    return (named, end) if end == len(text) else (named._replace(mode=_TAG), end)


def _in_tag(state: _State, text: str, place: int) -> tuple[_State, int]:
    if text[place] == ">":
        return _close(state), place + 1
    if text[place] in _SPACES or text[place] == "/":
        return state, place + 1
    return state._replace(mode=_ATTRIBUTE, attribute="", quote="", begun="", data=False), place


def _close(state: _State) -> _State:
    if state.element in _RAW_ELEMENTS:
        return _State(_RAW, state.element, is_json=state.is_json, is_escaped=state.is_escaped)
    return _State(is_escaped=state.is_escaped)


def _in_attribute(state: _State, text: str, place: int) -> tuple[_State, int]:
    found = _ATTRIBUTE_NAME.match(text, place)
    end = found.end() if found else place
    if end == place and not state.attribute and text[place] == "=":
        end += 1  # a name may begin with it
    named = state._replace(attribute=state.attribute + text[place:end].lower())
    return (named, end) if end == len(text) else (named._replace(mode=_AFTER), end)


def _after_attribute(state: _State, text: str, place: int) -> tuple[_State, int]:
    if text[place] in _SPACES:
        return state, place + 1
    if text[place] == "=":
        return state._replace(mode=_BEFORE), place + 1
    return state._replace(mode=_TAG), place


def _before_value(state: _State, text: str, place: int) -> tuple[_State, int]:
    if text[place] in _SPACES:
        return state, place + 1
    if text[place] == ">":
        return _close(state), place + 1
    quote = text[place] if text[place] in "\"'" else ""
    return state._replace(mode=_VALUE, quote=quote, begun="", data=False), place + len(quote)


def _in_value(state: _State, text: str, place: int) -> tuple[_State, int]:
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
    return _State(_TAG, state.element, is_json=is_json, is_escaped=state.is_escaped), end + len(state.quote)


def _keep(state: _State, piece: str) -> str:
    """Return what is to be known of an attribute's beginning."""
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


def _in_comment(state: _State, text: str, place: int) -> tuple[_State, int]:
    found = text.find("-->", place)
    return (state, len(text)) if found < 0 else (_State(is_escaped=state.is_escaped), found + 3)


def _in_bogus(state: _State, text: str, place: int) -> tuple[_State, int]:
    found = text.find(">", place)
    return (state, len(text)) if found < 0 else (_State(is_escaped=state.is_escaped), found + 1)


def _in_raw(state: _State, text: str, place: int) -> tuple[_State, int]:
    found = re.compile(rf"</{state.element}(?=[ \t\n\r\f/>])", re.IGNORECASE).search(text, place)
    if found is None:
        if state.element != "style":
            return state, len(text)
        opened = _OPEN_URL.search(state.begun + text[place:][-_LONGEST_URL:])
        return state._replace(begun=opened[0] if opened else ""), len(text)
    return _State(_TAG, f"/{state.element}", is_escaped=state.is_escaped), found.end()


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
