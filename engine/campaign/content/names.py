"""The names that templates read: which columns the plan needs, and which names are unknown."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import TemplateAssertionError, meta, nodes
from msgspec import Struct
from msgspec.structs import replace

from engine.campaign.content.environment import TemplateEnvironment

# The names that templates have in addition to the audience's columns, and the fields of these names.
ENGINE_FIELDS: Mapping[str, frozenset[str]] = {
    "campaign": frozenset({"name", "kind", "language", "dir"}),
    "run": frozenset({"name", "key"}),
    "recipient": frozenset({"address"}),
    "unsubscribe_url": frozenset(),
}
ENGINE_NAMES = frozenset(ENGINE_FIELDS)


class NameUse(Struct, frozen=True):
    """A template reads a name.

    `optional`: it may be missing: the template tests whether it is defined (`is defined`, `|default`), or another file
    of the same part may set it.
    `guarded`: it may be null: the template tests it (`{% if city %}`), or gives a default for nulls.
    `hidden`: it is in a file that is imported without the context, where no column is visible.
    `of_recipient`: it is read as recipient.city or recipient["city"], which the engine's own names cannot hide.
    `field`: of the name, where one is read by a constant name, such as `name` of `campaign.name`.
    """

    name: str
    template: str
    line: int
    optional: bool = False
    hidden: bool = False
    guarded: bool = False
    of_recipient: bool = False
    field: str | None = None

    @property
    def is_column(self) -> bool:
        """Return whether it can only be a column."""
        return self.of_recipient or self.name not in ENGINE_NAMES


class Names(Struct, frozen=True):
    """All the names that a part reads; `all_columns` if it uses columns that cannot be listed beforehand."""

    uses: tuple[NameUse, ...]
    all_columns: bool


class _Reference(Struct, frozen=True):
    """An include, import or extends; `names` is None when they are known only at rendering."""

    names: tuple[str, ...] | None
    with_context: bool
    may_be_missing: bool


class _Tree:
    """A parsed template, walked once."""

    def __init__(self, root: nodes.Template) -> None:
        self.root = root
        self._nodes = tuple(root.find_all(nodes.Node))

    def find_all(self, kinds: Any) -> Iterator[Any]:
        """Yield the nodes of a kind, or of one of several, in the template's order."""
        return (node for node in self._nodes if isinstance(node, kinds))


def scan_names(environment: TemplateEnvironment, name: str, source: str) -> Names:
    """Read the names of a template and of all the templates that it refers to by constant names.

    Raises:
        TemplateSyntaxError: one of them cannot be parsed.
        TemplateNotFound: one of them is missing.
    """
    trees = {(name, False): _Tree(environment.parse(source, name))}
    waiting, all_columns = [(name, False)], False
    while waiting:
        key = waiting.pop()
        for reference in _references(trees[key]):
            all_columns |= reference.names is None
            hidden = key[1] or not reference.with_context
            for other in _existing(environment, reference):
                if (other, hidden) not in trees:
                    trees[other, hidden] = _Tree(environment.parse(environment.read(other), other))
                    waiting.append((other, hidden))
    uses = [use for (template, hidden), tree in trees.items() for use in _uses(tree, template, hidden=hidden)]
    uses = [_as_authored(environment, use) for use in uses]
    whole = any(_uses_whole_recipient(tree) for tree in trees.values())
    return Names(tuple(_mark_optional(uses, trees)), all_columns or whole)


def _mark_optional(uses: list[NameUse], trees: Mapping[tuple[str, bool], _Tree]) -> Iterator[NameUse]:
    """Mark a name as optional if another file of the same part may set it, such as a page's title for its layout."""
    stored = [(template, _stored(tree)) for (template, _), tree in trees.items()]
    for use in uses:
        is_set_elsewhere = any(use.name in names for template, names in stored if template != use.template)
        yield replace(use, optional=True, hidden=False) if is_set_elsewhere else use


def _as_authored(environment: TemplateEnvironment, use: NameUse) -> NameUse:
    template, line = environment.locate(use.template, use.line)
    return replace(use, template=template, line=line)


def _existing(environment: TemplateEnvironment, reference: _Reference) -> list[str]:
    """Return the templates that a reference can mean; of alternatives, those that exist."""
    names = list(reference.names or ())
    if reference.may_be_missing or len(names) > 1:
        there = set(environment.list_templates())
        return [name for name in names if name in there]
    return names


def _references(tree: _Tree) -> Iterator[_Reference]:
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        yield _Reference(
            names=_constant_names(node.template),
            with_context=getattr(node, "with_context", True),
            may_be_missing=getattr(node, "ignore_missing", False),
        )


def _constant_names(node: nodes.Expr) -> tuple[str, ...] | None:
    try:
        value = node.as_const()
    except nodes.Impossible:
        return None
    return (value,) if isinstance(value, str) else tuple(value)


def _uses(tree: _Tree, template: str, *, hidden: bool) -> Iterator[NameUse]:
    try:
        free = meta.find_undeclared_variables(tree.root)
    except TemplateAssertionError as error:  # an unknown filter or test; Jinja does not name the file here
        error.name = template
        raise
    tested, guarded, fields = list(_tested(tree)), _guarded(tree), _fields(tree)
    optional = {node.name for node in tested if isinstance(node, nodes.Name)}
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load" and node.name in free:
            yield NameUse(
                node.name,
                template,
                node.lineno,
                optional=node.name in optional,
                hidden=hidden,
                guarded=node.name in guarded,
                field=fields.get(id(node)),
            )
    optional_columns = {_column(node) for node in tested if _is_of_recipient(node)}
    for column, line in _recipient_columns(tree):
        yield NameUse(
            column, template, line, optional=column in optional_columns, guarded=column in guarded, of_recipient=True
        )


def _fields(tree: _Tree) -> dict[int, str]:
    """Return which field of a name is read: id of the name's node -> field."""
    accesses = tree.find_all((nodes.Getattr, nodes.Getitem))
    return {id(node.node): field for node in accesses if (field := _column(node)) is not None}


def _tested(tree: _Tree) -> Iterator[nodes.Node]:
    """Yield the expressions that the template tests with `is defined` or a default."""
    for test in tree.find_all(nodes.Test):
        if test.name in ("defined", "undefined"):
            yield test.node
    for used in tree.find_all(nodes.Filter):
        if used.name in ("default", "d") and used.node is not None:
            yield used.node


def _guarded(tree: _Tree) -> frozenset[str]:
    """Return the columns that the template tests before use, or gives a default for nulls."""
    tested: list[nodes.Node] = [node.test for node in tree.find_all((nodes.If, nodes.CondExpr))]
    tested += [node.left for node in tree.find_all((nodes.And, nodes.Or))]
    tested += [
        node
        for node in tree.find_all(nodes.Filter)
        if node.name in ("default", "d") and len(node.args) + len(node.kwargs) > 1
    ]
    columns = set()
    for node in tested:
        names = [*node.find_all(nodes.Name), *([node] if isinstance(node, nodes.Name) else [])]
        columns |= {name.name for name in names}
        accesses = [*node.find_all((nodes.Getattr, nodes.Getitem)), node]
        columns |= {column for access in accesses if (column := _column(access)) is not None}
    return frozenset(columns)


def _recipient_columns(tree: _Tree) -> Iterator[tuple[str, int]]:
    """Yield the columns read as recipient.city or recipient["city"]."""
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        if not _is_recipient(node.node):
            continue
        column = _column(node)
        if column is not None and column != "address":
            yield column, node.lineno


def _column(node: nodes.Node) -> str | None:
    match node:
        case nodes.Getattr():
            return node.attr
        case nodes.Getitem(arg=nodes.Const(value=str(name))):
            return name
        case _:
            return None


def _is_of_recipient(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr | nodes.Getitem) and _is_recipient(node.node)


def _is_recipient(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "recipient" and node.ctx == "load"


def _uses_whole_recipient(tree: _Tree) -> bool:
    """Return whether `recipient` is used other than with a constant column name."""
    everywhere = sum(_is_recipient(node) for node in tree.find_all(nodes.Name))
    accesses = tree.find_all((nodes.Getattr, nodes.Getitem))
    named = sum(_is_recipient(node.node) and _column(node) is not None for node in accesses)
    return everywhere > named


def _stored(tree: _Tree) -> frozenset[str]:
    """Return the names that a template sets, imports or defines."""
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    names |= {macro.name for macro in tree.find_all(nodes.Macro)}
    names |= {imported.target for imported in tree.find_all(nodes.Import)}
    for imported in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in imported.names}
    return frozenset(names)
