"""Weaves checks of what is printed into the syntax trees of templates.

Jinja's own hook for this (finalize) sees a value, but not where it came from, and misses filters and `~`, which make
text of it before. The checks are filters around the expressions that become text, and are told what a person calls
these.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from jinja2 import nodes, pass_context, pass_environment
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment, safe_range
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from engine.campaign import limits
from engine.campaign.localisation import FILTERS
from engine.campaign.printing import (
    refuse_null,
    refuse_unprintable,
    refuse_unprintable_argument,
    refuse_unprintable_parts,
    refuse_unprintable_values,
)

# They make text of whatever they are given; the other filters fail on None by themselves, or are made for it (default).
_TEXT_MAKERS = (
    "capitalize center e escape filesizeformat forceescape format indent lower replace safe string striptags title "
    "trim truncate upper urlize wordcount wordwrap"
)
_TEXT_FILTERS = frozenset(_TEXT_MAKERS.split()) | FILTERS.keys()
_CHECK = "refuse_unprintable"
_CHECK_NULL = "refuse_null"
_CHECK_ARGUMENT = "refuse_unprintable_argument"
_CHECK_PARTS = "refuse_unprintable_parts"
_METHOD = "take_method"
_FUNCTION = "take_function"
_MODULO = "modulo"
_BOUND = "refuse_large"
# What templates can call. These are no names: a column of such a name is not hidden by them.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "range": safe_range,
    "dict": dict,
    "namespace": Namespace,
    "cycler": Cycler,
    "joiner": Joiner,
}


class _PrintChecks(NodeTransformer):
    """Wraps every expression that becomes text, and tells calls of methods and functions from names of the data."""

    def __init__(self, defined: frozenset[str]) -> None:
        self._defined = defined

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802 - Jinja's visitor finds it by this name
        self.generic_visit(node)
        node.nodes = [_checked(child) for child in node.nodes]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        node.nodes = [_checked(child) for child in node.nodes]
        return nodes.Filter(node, _BOUND, [], [], None, None, lineno=node.lineno)

    def visit_Mod(self, node: nodes.Mod) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        if isinstance(node.right, nodes.Tuple):
            node.right.items = [_checked(item) for item in node.right.items]
        label = nodes.Const(_label(node.right), lineno=node.lineno)
        return nodes.Filter(node.left, _MODULO, [node.right, label], [], None, None, lineno=node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        if node.name in _TEXT_FILTERS:
            check = _CHECK if node.name in ("format", "replace") else _CHECK_ARGUMENT
            node.args = [_checked(argument, check) for argument in node.args]
            for keyword in node.kwargs:
                keyword.value = _checked(keyword.value, check)
            if node.dyn_args is not None:
                node.dyn_args = _checked(node.dyn_args, _CHECK_PARTS)
        if node.node is None:  # {% filter %}, whose content is checked where it is put out
            return node
        if node.name in _TEXT_FILTERS:
            node.node = _checked(node.node)
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


def _checked(node: nodes.Expr, check: str = _CHECK) -> nodes.Expr:
    harmless = isinstance(node, nodes.TemplateData) or (isinstance(node, nodes.Const) and node.value is not None)
    if harmless:
        return node
    label = nodes.Const(_label(node), lineno=node.lineno)
    return nodes.Filter(node, check, [label], [], None, None, lineno=node.lineno)


def _check_joined(node: nodes.Filter) -> None:
    if isinstance(node.node, nodes.Tuple | nodes.List):
        node.node.items = [_checked(item) for item in node.node.items]
    label = nodes.Const(_label(node.node), lineno=node.lineno)
    keyword = nodes.Keyword("label", label, lineno=node.lineno)
    node.kwargs = [*node.kwargs, keyword]  # type: ignore[list-item] # Jinja's parser puts Keyword there too


def _label(node: nodes.Node | None) -> str:
    """Return what a person calls an expression: the name at its root where there is one."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{_label(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=value)):
            return f"{_label(node.node)}[{value!r}]"
        case nodes.Call():
            return f"{_label_called(node.node)}()"
        case nodes.Filter():
            return _label(node.node)
        case _:
            return "this expression"


def _label_called(node: nodes.Node) -> str:
    """Return what a person calls what is called, which visit_Call put filters around."""
    match node:
        case nodes.Filter(name="take_method", args=[nodes.Const(value=value)]):
            return f"{_label(node.node)}.{value}"
        case nodes.Filter(name="take_function", node=nodes.Const(value=value)):
            return str(value)
        case _:
            return _label(node)


def _find_defined(tree: nodes.Template) -> frozenset[str]:
    """Return the names that a template gives to something that can be called: macros, imports and their arguments."""
    names = {macro.name for macro in tree.find_all(nodes.Macro)}
    names |= {name.name for name in tree.find_all(nodes.Name) if name.ctx == "param"}
    for imported in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in imported.names}
    return frozenset(names)


@pass_environment
def _take_method(environment: Any, value: Any, name: str) -> Any:
    """What `value.name(…)` calls; the environment is a TemplateEnvironment."""
    return environment.find_method(value, name)


@pass_context
def _take_modulo(context: Context, left: Any, right: Any, label: str) -> Any:
    """The operator %, which formats texts."""
    if isinstance(left, str):
        right = refuse_unprintable_values(left, right, label)
    return cast("SandboxedEnvironment", context.environment).call_binop(context, "%", left, right)


@pass_context  # keeps Jinja from working it out when it compiles
def _take_function(_: Context, name: str) -> Any:
    return _FUNCTIONS[name]


def weave_checks(tree: nodes.Template) -> nodes.Template:
    """Return a tree with checks around everything that becomes text."""
    woven: nodes.Template = _PrintChecks(_find_defined(tree)).visit(tree)
    return woven


CHECK_FILTERS: Mapping[str, Callable[..., Any]] = {
    _CHECK: refuse_unprintable,
    _CHECK_NULL: refuse_null,
    _CHECK_ARGUMENT: refuse_unprintable_argument,
    _CHECK_PARTS: refuse_unprintable_parts,
    _METHOD: _take_method,
    _FUNCTION: _take_function,
    _MODULO: _take_modulo,
    _BOUND: limits.refuse_large,
}
