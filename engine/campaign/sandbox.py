"""Jinja2 as this engine uses it: sandboxed, bounded, strict about names, and strict about what is printed.

A null column is None in a template, so `{% if last_name %}` and `last_name is none` work. Printing it is an error, as
is printing a function, a list or an object: nobody shall read "Hi None" or "<built-in method …>". Jinja's own hook for
this (finalize) sees a value, but not where it came from, and misses filters and `~`, which make text of it before. So
the checks are woven into the template's syntax tree.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, TemplateNotFound, TemplateSyntaxError, nodes, pass_context, pass_environment
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter, safe_range
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from engine.campaign import limits
from engine.campaign.files import list_files, resolve_file
from engine.campaign.localisation import FILTERS, Formats
from engine.campaign.printing import (
    UndefinedName,
    hide_method,
    join_printable,
    refuse_null,
    refuse_unprintable,
    refuse_unprintable_argument,
    refuse_unprintable_given,
    refuse_unprintable_parts,
    refuse_unprintable_values,
    write_attributes,
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
def _take_method(environment: "TemplateEnvironment", value: Any, name: str) -> Any:
    """What `value.name(…)` calls."""
    return environment.find_method(value, name)


@pass_context
def _take_modulo(context: Context, left: Any, right: Any, label: str) -> Any:
    """The operator %, which formats texts."""
    if isinstance(left, str):
        refuse_unprintable_values(left, right, label)
    environment = context.environment
    assert isinstance(environment, TemplateEnvironment)  # noqa: S101 - for the type checker
    return environment.call_binop(context, "%", left, right)


@pass_context  # keeps Jinja from working it out when it compiles
def _take_function(_: Context, name: str) -> Any:
    return _FUNCTIONS[name]


class _CheckedFields(SandboxedFormatter):
    """Fills in what may be printed alone."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        value, first = super().get_field(field_name, args, kwargs)
        return refuse_unprintable(value, f"the field {{{field_name}}} of a format"), first


class _CheckedMarkupFields(_CheckedFields, SandboxedEscapeFormatter):
    """The same for markup, which escapes them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A template as it is compiled, where that differs from its file.

    Attributes:
        source: what is compiled.
        origin: line of `source` -> file and line that an author knows; None where both have the same lines.
    """

    source: str
    origin: Callable[[int], tuple[str, int]] | None = None


class _CampaignLoader(BaseLoader):
    """Reads the files of a campaign, and prefers what was prepared of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prepared: dict[str, Prepared] = {}

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Any]:  # noqa: ARG002 - Jinja's signature
        if template in self.prepared:
            return self.prepared[template].source, template, None
        file = resolve_file(self.folder, template)
        if file is None:
            raise TemplateNotFound(template)
        try:
            source = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise TemplateSyntaxError("the template is not UTF-8", lineno=line, name=template) from None
        return source.replace("\r\n", "\n").replace("\r", "\n"), template, None

    def list_templates(self) -> list[str]:
        return sorted({*list_files(self.folder), *self.prepared})


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox that every template of a campaign runs in.

    A block tag that stands alone on its line leaves no line behind (trim_blocks, lstrip_blocks): in a text part every
    line counts.

    Args:
        folder: the campaign's folder, where includes, imports and parents are read from; and `_shared` beside it.
        autoescape: escape values for HTML.
        formats: how dates, numbers and currency are written; its locale changes with every recipient.
    """

    intercepted_binops = limits.INTERCEPTED

    def __init__(self, folder: Path, *, autoescape: bool, formats: Formats | None = None) -> None:
        self._files = _CampaignLoader(folder)
        super().__init__(
            loader=self._files,
            autoescape=autoescape,
            undefined=UndefinedName,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self.filters["join"] = join_printable
        self.filters["xmlattr"] = write_attributes(self.filters["xmlattr"])
        limits.guard_filters(self.filters)
        self.filters.update((formats or Formats()).filters())
        self.filters |= {
            _CHECK: refuse_unprintable,
            _CHECK_NULL: refuse_null,
            _CHECK_ARGUMENT: refuse_unprintable_argument,
            _CHECK_PARTS: refuse_unprintable_parts,
            _METHOD: _take_method,
            _FUNCTION: _take_function,
            _MODULO: _take_modulo,
            _BOUND: limits.refuse_large,
        }
        del self.filters["pprint"]  # it shows what a value is in Python
        self.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False}
        self.globals = {}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do an operation that could make something large, unless it would."""
        limits.check_operation(operator, left, right)
        return limits.refuse_large(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - Jinja's signature
        """Call something from a template, unless it would make something large."""
        limits.check_call(__obj, args, kwargs)
        if isinstance(getattr(__obj, "__self__", None), Markup):  # its methods make text of anything
            args = tuple(list(value) if isinstance(value, Iterator) else value for value in args)
            refuse_unprintable_given((*args, *kwargs.values()), f"what {__obj.__name__} is given")
        return limits.refuse_large(super().call(__context, __obj, *args, **kwargs))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return what `obj.attribute` is: a field of the data before anything that Python has under that name."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return hide_method(obj, attribute, super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return what `obj[argument]` is."""
        return hide_method(obj, argument, super().getitem(obj, argument))

    def find_method(self, obj: Any, name: str) -> Any:
        """Return what `obj.name(…)` calls."""
        return super().getattr(obj, name)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Take the `format` of a text in hand, unless it would make something large."""
        if super().wrap_str_format(value) is None:
            return None
        text: str = value.__self__
        limits.check_format(str(text))
        fields = _CheckedMarkupFields(self, escape=text.escape) if isinstance(text, Markup) else _CheckedFields(self)

        def fill(*args: Any, **named: Any) -> str:
            return type(text)(fields.vformat(text, args, named))

        def fill_map(values: Any) -> str:
            return type(text)(fields.vformat(text, (), values))

        return fill_map if value.__name__ == "format_map" else fill

    def put(self, name: str, prepared: Prepared) -> None:
        """Give a template another source than its file has."""
        self._files.prepared[name] = prepared

    def replace(self, name: str, source: str) -> None:
        """Give a template another source with the same lines."""
        before = self._files.prepared.get(name)
        self.put(name, Prepared(source, before.origin if before else None))

    def read(self, name: str) -> str:
        """Return the source of a template of the folder.

        Raises:
            TemplateNotFound: it is not there, or not in the folder.
            TemplateSyntaxError: it is not UTF-8.
        """
        return self._files.get_source(self, name)[0]

    def locate(self, name: str, line: int) -> tuple[str, int]:
        """Return the file and line that an author knows, for a line of what was compiled."""
        prepared = self._files.prepared.get(name)
        if prepared is None or prepared.origin is None:
            return name, line
        return prepared.origin(line)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Weave in the checks: Jinja compiles and inspects what this returns."""
        try:
            parsed = super()._parse(source, name, filename)
            tree: nodes.Template = _PrintChecks(_find_defined(parsed)).visit(parsed)
        except TemplateSyntaxError as error:
            error.name, error.lineno = self.locate(name or "", error.lineno)
            raise
        tree.set_environment(self)
        return tree
