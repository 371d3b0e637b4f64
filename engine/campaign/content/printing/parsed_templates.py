"""Parsed templates, and the literal texts and expressions of their nodes."""

from collections.abc import Callable, Iterable, Iterator

from jinja2 import TemplateNotFound, nodes

from engine.campaign.content.printing.links import write_literal

OutputKey = tuple[int, int]  # the number of an Output node in its template, and of the expression in it


class TemplateParser:
    """Parses templates as their authors wrote them, each once."""

    def __init__(self, parse: Callable[[str], nodes.Template]) -> None:
        self._parse = parse
        self._trees: dict[str, nodes.Template | None] = {}
        self._keys: dict[str, dict[int, int]] = {}
        self._set: dict[str, frozenset[str]] = {}

    def load(self, name: str) -> nodes.Template | None:
        """Return the tree of a template; None if there is no such template."""
        if name not in self._trees:
            try:
                tree = self._parse(name)
            except TemplateNotFound:
                tree = None
            self._trees[name] = tree
            self._keys[name] = {} if tree is None else number_outputs(tree)
        return self._trees[name]

    def number(self, name: str, node: nodes.Output) -> int:
        """Return the number of an output among those of its template, see `number_outputs`."""
        return self._keys[name][id(node)]

    def marked_safe(self, name: str) -> Iterator[nodes.Filter]:
        """Yield the expressions that mark data as markup (`|safe`)."""
        tree = self.load(name)
        for node in tree.find_all(nodes.Filter) if tree is not None else ():
            if node.name == "safe" and node.node is not None and is_data(node.node):
                yield node

    def columns(self, name: str, node: nodes.Expr) -> frozenset[str] | None:
        """Return the columns that an expression reads; None if it reads names that other statements set."""
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


def is_data(node: nodes.Node) -> bool:
    """Return whether an expression marked as markup may be data: constants and macros are the template's own."""
    return not isinstance(node, nodes.Const) and not (
        isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name)
    )


def list_constants(node: nodes.Expr) -> tuple[str, ...]:
    """List the texts of an expression without data: one, or those of a list; none if it needs data."""
    try:
        value = node.as_const()
    except nodes.Impossible:
        return ()
    return (value,) if isinstance(value, str) else tuple(one for one in value if isinstance(one, str))


def literal_of(node: nodes.Node) -> str | None:
    """Return the text that a node prints for any data; None if the text depends on data."""
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.Const):
        return write_literal(node.value)
    return None


def literal_after(rest: Iterable[nodes.Node]) -> tuple[str, bool]:
    """Return the literal text before the next expression, and whether an expression follows and not a statement."""
    text = ""
    for node in rest:
        literal = literal_of(node)
        if literal is None:
            return text, True
        text += literal
    return text, False
