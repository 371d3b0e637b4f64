"""Add checks of printed values to the syntax trees of templates.

Jinja's own hook for this (finalize) sees a value, but not its origin, and misses filters and `~`, which convert
values to text before. The checks are filters around the expressions that become text, and get the expressions' names
for their messages.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from jinja2 import nodes, pass_context, pass_environment, pass_eval_context
from jinja2.runtime import Context, markup_join, str_join
from jinja2.sandbox import SandboxedEnvironment, safe_range
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from engine.campaign.content import bounds as limits
from engine.campaign.content.localisation import FILTERS
from engine.campaign.content.printing.link_places import DataPlace
from engine.campaign.content.printing.links import LinkKind, mark_safe, refuse_in_place, refuse_link
from engine.campaign.content.printing.parsed_templates import OutputKey, is_data
from engine.campaign.content.printing.printed_values import (
    refuse_null,
    refuse_unprintable,
    refuse_unprintable_argument,
    refuse_unprintable_parts,
    refuse_unprintable_values,
)

# They convert any value to text; the other filters fail on None by themselves, or are made for it (default).
_NAMES_OF_TEXT_FILTERS = (
    "capitalize center e escape filesizeformat forceescape format indent lower replace safe string striptags title "
    "trim truncate upper urlize wordcount wordwrap"
)
_TEXT_FILTERS = frozenset(_NAMES_OF_TEXT_FILTERS.split()) | FILTERS.keys()
CHECK = "refuse_unprintable"
_CHECK_NULL = "refuse_null"
_CHECK_ARGUMENT = "refuse_unprintable_argument"
_CHECK_PARTS = "refuse_unprintable_parts"
_LINK = "refuse_link"
_IN_PLACE = "refuse_in_place"
_SAFE = "mark_safe"
_METHOD = "take_method"
_FUNCTION = "take_function"
_MODULO = "modulo"
_BOUND = "refuse_large"
_CONCAT = "concat"
# The functions that templates can call. They do not hide a column of the same name.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "range": safe_range,
    "dict": dict,
    "namespace": Namespace,
    "cycler": Cycler,
    "joiner": Joiner,
}


class _PrintChecks(NodeTransformer):
    """Wraps every expression that becomes text, and distinguishes calls of methods and functions from data."""

    def __init__(self, defined: frozenset[str], *, is_html: bool) -> None:
        self._defined = defined
        self._is_html = is_html

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802 - Jinja's visitor finds it by this name
        self.generic_visit(node)
        node.nodes = [_checked(child) for child in node.nodes]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        parts = nodes.List([_checked(child) for child in node.nodes], lineno=node.lineno)
        return nodes.Filter(parts, _CONCAT, [], [], None, None, lineno=node.lineno)

    def visit_List(self, node: nodes.List) -> nodes.Expr:  # noqa: N802 - as above
        self.generic_visit(node)
        return _bounded(node, node.items)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:  # noqa: N802 - as above
        self.generic_visit(node)
        return _bounded(node, node.items) if node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:  # noqa: N802 - as above
        self.generic_visit(node)
        return _bounded(node, [part for pair in node.items for part in (pair.key, pair.value)])

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802 - as above
        self.generic_visit(node)
        return _bounded(node, [node.node]) if isinstance(node.arg, nodes.Slice) else node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.AssignBlock:  # noqa: N802 - as above
        self.generic_visit(node)
        node.filter = nodes.Filter(node.filter, _BOUND, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Mod(self, node: nodes.Mod) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        right = _inside(node.right)
        if isinstance(right, nodes.Tuple):
            right.items = [_checked(item) for item in right.items]
        label = nodes.Const(write_label(node.right), lineno=node.lineno)
        return nodes.Filter(node.left, _MODULO, [node.right, label], [], None, None, lineno=node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        if node.name in _TEXT_FILTERS:
            check = CHECK if node.name in ("format", "replace") else _CHECK_ARGUMENT
            node.args = [_checked(argument, check) for argument in node.args]
            for keyword in node.kwargs:
                keyword.value = _checked(keyword.value, check)
            if node.dyn_args is not None:
                node.dyn_args = _checked(node.dyn_args, _CHECK_PARTS)
        if node.node is None:  # {% filter %}, whose content is checked when it is printed
            return node
        if node.name in _TEXT_FILTERS:
            marked = node.node
            node.node = _checked(node.node)
            if self._is_html and node.name == "safe" and is_data(marked):
                return nodes.Filter(node.node, _SAFE, [_write_label(marked)], [], None, None, lineno=node.lineno)
        elif node.name == "urlencode":
            node.node = _checked(node.node, _CHECK_PARTS)
        elif node.name == "join":
            _check_joined(node)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Call:  # noqa: N802 - as above
        self.generic_visit(node)
        called = node.node
        if isinstance(called, nodes.Name) and called.name in _FUNCTIONS and called.name not in self._defined:
            name = nodes.Const(called.name, lineno=node.lineno)
            node.node = nodes.Filter(name, _FUNCTION, [], [], None, None, lineno=node.lineno)
        elif isinstance(called, nodes.Getattr):
            if called.attr == "format":
                node.args = [_checked(argument, _CHECK_NULL) for argument in node.args]
            name = nodes.Const(called.attr, lineno=node.lineno)
            node.node = nodes.Filter(called.node, _METHOD, [name], [], None, None, lineno=node.lineno)
        return node


def _bounded(node: nodes.Expr, parts: Iterable[nodes.Expr]) -> nodes.Expr:
    """Limit the size of a literal, unless its parts are constants: these are as long as the template."""
    if all(isinstance(part, nodes.Const) for part in parts):
        return node
    return nodes.Filter(node, _BOUND, [], [], None, None, lineno=node.lineno)


def _inside(node: nodes.Node | None) -> nodes.Node | None:
    """Return the literal inside a size check, or the node itself."""
    return node.node if isinstance(node, nodes.Filter) and node.name == _BOUND else node


def _checked(node: nodes.Expr, check: str = CHECK) -> nodes.Expr:
    harmless = isinstance(node, nodes.TemplateData) or (isinstance(node, nodes.Const) and node.value is not None)
    if harmless:
        return node
    return nodes.Filter(node, check, [_write_label(node)], [], None, None, lineno=node.lineno)


def _write_label(node: nodes.Node) -> nodes.Const:
    return nodes.Const(write_label(node), lineno=node.lineno)


def _check_joined(node: nodes.Filter) -> None:
    joined = _inside(node.node)
    if isinstance(joined, nodes.Tuple | nodes.List):
        joined.items = [_checked(item) for item in joined.items]
    label = nodes.Const(write_label(node.node), lineno=node.lineno)
    keyword = nodes.Keyword("label", label, lineno=node.lineno)
    node.kwargs = [*node.kwargs, keyword]  # type: ignore[list-item] # Jinja's parser puts Keyword there too


def write_label(node: nodes.Node | None) -> str:
    """Return the name of an expression in messages: the name at its root if it has one."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{write_label(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=value)):
            return f"{write_label(node.node)}[{value!r}]"
        case nodes.Call():
            return f"{_label_called(node.node)}()"
        case nodes.Filter():
            return write_label(node.node)
        case _:
            return "this expression"


def find_printed_label(node: nodes.Node) -> str | None:
    """Return the name in messages of an expression that is checked before it is printed; None for other nodes."""
    match node:
        case nodes.Filter(name=name, args=[nodes.Const(value=str(label)), *_]) if name in (CHECK, _LINK, _IN_PLACE):
            return label
        case _:
            return None


def _label_called(node: nodes.Node) -> str:
    """Return the name in messages of a called expression, which visit_Call put filters around."""
    match node:
        case nodes.Filter(name="take_method", args=[nodes.Const(value=value)]):
            return f"{write_label(node.node)}.{value}"
        case nodes.Filter(name="take_function", node=nodes.Const(value=value)):
            return str(value)
        case _:
            return write_label(node)


def _find_defined(tree: nodes.Template) -> frozenset[str]:
    """Return the names of a template that can be called: macros, imports and their arguments."""
    names = {macro.name for macro in tree.find_all(nodes.Macro)}
    names |= {name.name for name in tree.find_all(nodes.Name) if name.ctx == "param"}
    for imported in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in imported.names}
    return frozenset(names)


@pass_environment
def _take_method(environment: Any, value: Any, name: str) -> Any:
    """Return the method that `value.name(…)` calls; the environment is a TemplateEnvironment."""
    return environment.find_method(value, name)


@pass_context
def _take_modulo(context: Context, left: Any, right: Any, label: str) -> Any:
    """The operator %, which formats texts."""
    if isinstance(left, str):
        right = refuse_unprintable_values(left, right, label)
    return cast("SandboxedEnvironment", context.environment).call_binop(context, "%", left, right)


@pass_context  # keeps Jinja from evaluating it at compile time
def _take_function(_: Context, name: str) -> Any:
    return _FUNCTIONS[name]


@pass_eval_context
def _concat(eval_ctx: nodes.EvalContext, parts: list[Any]) -> str:
    """The operator ~, with a limit on the length of the result."""
    limits.refuse_long_sum(parts)
    joined: str = limits.refuse_large(markup_join(parts) if eval_ctx.autoescape else str_join(parts))
    return joined


def add_checks(
    tree: nodes.Template, places: Mapping[OutputKey, DataPlace] | None = None, *, is_html: bool = False
) -> nodes.Template:
    """Return a tree with checks around everything that becomes text.

    Args:
        tree: of a template.
        places: of its expressions in links and attributes.
        is_html: the template prints HTML.
    """
    outputs = {number: node for node, number in _list_outputs(tree)}
    labels = {key: write_label(outputs[key[0]].nodes[key[1]]) for key in places or ()}
    woven: nodes.Template = _PrintChecks(_find_defined(tree), is_html=is_html).visit(tree)
    for (number, index), place in (places or {}).items():
        children = outputs[number].nodes
        children[index] = _checked_in_place(children[index], labels[number, index], place)
    return woven


def _list_outputs(tree: nodes.Template) -> list[tuple[nodes.Output, int]]:
    return [(node, number) for number, node in enumerate(tree.find_all(nodes.Output))]


def _checked_in_place(node: nodes.Expr, label: str, place: DataPlace) -> nodes.Expr:
    written = tuple(sorted(((str(one[0]), *one[1:]) for one in place.places), key=repr))
    begins = all(
        one.kind == LinkKind.LINK and one.before == "" and one.quote and one.is_escaped for one in place.places
    )
    check = _LINK if begins else _IN_PLACE
    arguments = [nodes.Const(one, lineno=node.lineno) for one in (label, written)]
    return nodes.Filter(node, check, arguments, [], None, None, lineno=node.lineno)


CHECK_FILTERS: Mapping[str, Callable[..., Any]] = {
    CHECK: refuse_unprintable,
    _CHECK_NULL: refuse_null,
    _CHECK_ARGUMENT: refuse_unprintable_argument,
    _CHECK_PARTS: refuse_unprintable_parts,
    _METHOD: _take_method,
    _FUNCTION: _take_function,
    _MODULO: _take_modulo,
    _BOUND: limits.refuse_large,
    _CONCAT: _concat,
    _LINK: refuse_link,
    _IN_PLACE: refuse_in_place,
    _SAFE: mark_safe,
}
