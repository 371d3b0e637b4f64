"""Find the expressions of an HTML template in links, in attributes without quotes, in styles or scripts.

Found once per campaign, by following the template's own HTML through its statements, parents, includes and macros as
the HTML standard tokenises it (https://html.spec.whatwg.org/#tokenization). Branches are followed in parallel,
so an expression may have several places. Rendering a message checks only the values in such places.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from jinja2 import nodes
from msgspec import Struct, field
from msgspec.structs import replace

from engine.campaign.content.printing.html_states import (
    AT_START,
    DATA_IN_SCRIPT,
    SAFE_DATA,
    UNESCAPED_DATA,
    HtmlStates,
    advance,
    bound_states,
    find_hazard,
    find_place,
    is_markup,
    put_data,
)
from engine.campaign.content.printing.links import LinkKind, LinkPlace
from engine.campaign.content.printing.parsed_templates import (
    OutputKey,
    TemplateParser,
    list_constants,
    literal_after,
    literal_of,
)

_MOST_ROUNDS = 8  # of a loop, until it ends where it began
_DEEPEST = 40


class DataPlace(Struct, frozen=True):
    """An expression in a place where its value is checked.

    Attributes:
        template: its name.
        line: in the compiled template.
        node: the expression.
        places: in the HTML.
        columns: that it reads; None if it reads names that other statements set.
    """

    template: str
    line: int
    node: nodes.Expr
    places: frozenset[LinkPlace]
    columns: frozenset[str] | None


class Hazard(Struct, frozen=True):
    """An expression that is wrong with every value, or that an author should know of; `columns` as in DataPlace."""

    code: str
    template: str
    line: int
    node: nodes.Expr
    columns: frozenset[str] | None


class LinkPlaces(Struct):
    """The result: template -> key -> expression; and hazards to report."""

    found: dict[str, dict[OutputKey, DataPlace]] = field(default_factory=dict)
    hazards: dict[Hazard, None] = field(default_factory=dict)

    def of(self, template: str) -> Mapping[OutputKey, DataPlace]:
        """Return the places of a template."""
        return self.found.get(template, {})

    def merge(self, other: "LinkPlaces") -> None:
        """Add the result for another template."""
        self.found |= {name: places for name, places in other.found.items() if name not in self.found}
        self.hazards |= other.hazards

    def add(self, key: OutputKey, place: DataPlace) -> None:
        """Add places of an expression."""
        known = self.found[place.template].get(key)
        if known is not None:
            place = replace(place, places=known.places | place.places)
        self.found[place.template][key] = place


def find_link_places(name: str, parse: Callable[[str], nodes.Template]) -> LinkPlaces:
    """Follow a template from its beginning.

    Args:
        name: of the template.
        parse: parses a template by name, without checks; raises TemplateNotFound.
    """
    loader = TemplateParser(parse)
    walk = _Walk(loader)
    walk.template(name, AT_START)
    found = walk.places
    for file in found.found:
        for node in loader.marked_safe(file):
            found.hazards[Hazard(SAFE_DATA, file, node.lineno, node, loader.columns(file, node))] = None
    if not any(one.code in (SAFE_DATA, UNESCAPED_DATA) for one in found.hazards):
        _drop_quoted(found)
    return found


def _drop_quoted(found: LinkPlaces) -> None:
    """Drop places in quotes other than links: if everything is escaped, nothing can end their attribute."""
    for file, places in found.found.items():
        found.found[file] = {
            key: place for key, place in places.items() if any(one.kind != LinkKind.QUOTED for one in place.places)
        }


class _Walk:
    """Follows statements, each with the set of states in which it may begin."""

    def __init__(self, loader: TemplateParser) -> None:
        self.places = LinkPlaces()
        self._loader = loader
        self._file = ""
        self._depth = 0
        self._blocks: dict[str, list[tuple[str, nodes.Block]]] = {}
        self._super: list[tuple[str, int]] = []
        self._walking: set[tuple[object, HtmlStates]] = set()

    def template(self, name: str, states: HtmlStates, *, keep_blocks: bool = False) -> HtmlStates:
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
                one for node in tree.body if isinstance(node, nodes.Extends) for one in list_constants(node.template)
            ]
            if parents:
                for node in tree.body:  # text outside the blocks is not printed
                    if not isinstance(node, nodes.Output):
                        self.node(node, AT_START)
                results = [self.template(parent, states, keep_blocks=True) for parent in parents]
                return frozenset().union(*results)
            return self.body(tree.body, states)
        finally:
            self._walking.discard(work)
            self._file, self._blocks, self._depth = file, blocks, self._depth - 1

    def body(self, body: Iterable[nodes.Node], states: HtmlStates) -> HtmlStates:
        for node in body:
            states = bound_states(self.node(node, states))
        return states

    def node(self, node: nodes.Node, states: HtmlStates) -> HtmlStates:  # noqa: PLR0911, C901 - one line for each statement of Jinja's
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
                return frozenset().union(states, *(self.template(one, states) for one in list_constants(node.template)))
            case nodes.Import() | nodes.FromImport():
                for one in list_constants(node.template):
                    self.template(one, AT_START)
            case nodes.Macro() | nodes.AssignBlock():
                self.body(node.body, AT_START)
            case nodes.CallBlock():
                self.body(node.body, AT_START | states)
                self._macros(node.call, states)
            case nodes.ScopedEvalContextModifier():
                return self._escaping(node, states)
            case nodes.FilterBlock() | nodes.With() | nodes.Scope() | nodes.OverlayScope():
                return self.body(node.body, states)
            case _:
                pass
        return states

    def _loop(self, node: nodes.For, states: HtmlStates) -> HtmlStates:
        around = states
        for _ in range(_MOST_ROUNDS):
            after = bound_states(around | self.body(node.body, around))
            if after == around:
                break
            around = after
        return around | self.body(node.else_, states)

    def _block(self, node: nodes.Block, states: HtmlStates) -> HtmlStates:
        chain = self._blocks.get(node.name) or [(self._file, node)]
        return self._in_chain(node.name, chain, 0, states)

    def _in_chain(self, name: str, chain: list[tuple[str, nodes.Block]], place: int, states: HtmlStates) -> HtmlStates:
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

    def _escaping(self, node: nodes.ScopedEvalContextModifier, states: HtmlStates) -> HtmlStates:
        escaped = True
        for option in node.options:
            if option.key == "autoescape":
                escaped = isinstance(option.value, nodes.Const) and bool(option.value.value)
        inside = self.body(node.body, frozenset(one._replace(is_escaped=escaped) for one in states))
        kept = any(one.is_escaped for one in states)
        return frozenset(one._replace(is_escaped=kept) for one in inside)

    def _output(self, node: nodes.Output, states: HtmlStates) -> HtmlStates:
        number = self._loader.number(self._file, node)
        for index, child in enumerate(node.nodes):
            literal = literal_of(child)
            if literal is not None:
                states = frozenset(advance(one, literal) for one in states)
                continue
            called = self._called_block(child, states)
            if called is not None:
                states = called
                continue
            self._macros(child, states)
            after, ended = literal_after(node.nodes[index + 1 :])
            self._place((number, index), child, states, after, is_ended=ended)
            states = frozenset(map(put_data, states))
        return states

    def _called_block(self, child: nodes.Node, states: HtmlStates) -> HtmlStates | None:
        """Follow `{{ super() }}` and `{{ self.name() }}`, which print blocks."""
        match child:
            case nodes.Call(node=nodes.Name(name="super")) if self._super:
                name, place = self._super[-1]
                chain = self._blocks.get(name, [])
                return self._in_chain(name, chain, place + 1, states) if place + 1 < len(chain) else states
            case nodes.Call(node=nodes.Getattr(node=nodes.Name(name="self"), attr=attr)) if attr in self._blocks:
                return self._in_chain(attr, self._blocks[attr], 0, states)
            case _:
                return None

    def _macros(self, expression: nodes.Node, states: HtmlStates) -> None:
        """Follow the macros that an expression calls, if their output is in a tag."""
        if states <= AT_START:
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
                    self.body(macro.body, frozenset(one for one in states if one.is_in_tag))
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
        for one in list_constants(template):
            tree = self._loader.load(one)
            if tree is not None:
                self.places.found.setdefault(one, {})
                yield from ((one, macro) for macro in tree.find_all(nodes.Macro) if macro.name == name)

    def _place(self, key: OutputKey, child: nodes.Expr, states: HtmlStates, after: str, *, is_ended: bool) -> None:
        line, columns = child.lineno, self._loader.columns(self._file, child)
        places = set()
        for state in states:
            if (code := find_hazard(state, child)) is not None:
                self.places.hazards[Hazard(code, self._file, line, child, columns)] = None
            if code == DATA_IN_SCRIPT:
                places.add(LinkPlace(LinkKind.SCRIPT))
            elif (place := find_place(state, after, is_ended=is_ended)) is not None:
                is_own = place.kind == LinkKind.TAG and is_markup(child)
                places.add(place._replace(kind=LinkKind.OWN_TAG) if is_own else place)
        if places:
            self.places.add(key, DataPlace(self._file, line, child, frozenset(places), columns))
