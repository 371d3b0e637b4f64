"""Jinja2 as this engine uses it: sandboxed, strict about names, and strict about null values.

A null column is None in a template, so `{% if last_name %}` and `last_name is none` work. Putting it into the message
is an error: nobody shall read "Hi None". Jinja's own hook for this (finalize) sees a value, but not where it came from,
and misses filters and `~`, which make text of None before it. So the check is woven into the template's syntax tree.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

# They make text of whatever they are given; the other filters fail on None by themselves, or are made for it (default).
_TEXT_MAKERS = (
    "capitalize center e escape forceescape format indent lower replace safe string striptags title trim truncate "
    "upper urlencode urlize wordcount wordwrap"
)
_TEXT_FILTERS = frozenset(_TEXT_MAKERS.split())
_CHECK = "refuse_null"
_GLOBALS = ("range", "dict", "namespace", "cycler", "joiner")


class NullValueError(Exception):
    """A null value was about to be put into a message."""


def _refuse_null(value: Any, label: str) -> Any:
    if value is None:
        raise NullValueError(f"{label} is null; test it with {{% if %}}, or give it a value in [audience] defaults")
    return value


class _Undefined(StrictUndefined):
    """Any use of a name that is not there is an error, which says so in a person's words."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"{self._undefined_name} is not defined"
        owner = type(self._undefined_obj).__name__.strip("_").lower()
        return f"{owner} has no {self._undefined_name}"


class _NullChecks(NodeTransformer):
    """Wraps every expression that becomes text."""

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802 - Jinja's visitor finds it by this name
        self.generic_visit(node)
        node.nodes = [_checked(child) for child in node.nodes]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:  # noqa: N802 - as above
        self.generic_visit(node)
        node.nodes = [_checked(child) for child in node.nodes]
        return node

    def visit_Mod(self, node: nodes.Mod) -> nodes.Mod:  # noqa: N802 - as above
        self.generic_visit(node)
        node.right = _checked_items(node.right)
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        if node.node is None:  # {% filter %}, whose content is checked where it is put out
            return node
        if node.name in _TEXT_FILTERS:
            node.node = _checked(node.node)
        if node.name == "join":
            node.node = _checked_items(node.node)
        if node.name == "format":
            node.args = [_checked(argument) for argument in node.args]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Call:  # noqa: N802 - as above
        self.generic_visit(node)
        if isinstance(node.node, nodes.Getattr) and node.node.attr == "format":
            node.args = [_checked(argument) for argument in node.args]
        return node


def _checked(node: nodes.Expr) -> nodes.Expr:
    harmless = isinstance(node, nodes.TemplateData) or (isinstance(node, nodes.Const) and node.value is not None)
    if harmless:
        return node
    label = nodes.Const(_label(node), lineno=node.lineno)
    return nodes.Filter(node, _CHECK, [label], [], None, None, lineno=node.lineno)


def _checked_items(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Tuple | nodes.List):
        node.items = [_checked(item) for item in node.items]
        return node
    return _checked(node)


def _label(node: nodes.Node | None) -> str:
    """Return what a person calls an expression: the name at its root where there is one."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{_label(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=value)):
            return f"{_label(node.node)}[{value!r}]"
        case nodes.Filter():
            return _label(node.node)
        case _:
            return "this expression"


class _FolderLoader(FileSystemLoader):
    """Reads templates from one folder, and follows no link out of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder.resolve()

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Any]:
        try:
            source, filename, is_current = super().get_source(environment, template)
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise TemplateSyntaxError("the template is not UTF-8", lineno=line, name=template) from None
        except TemplateNotFound:
            raise TemplateNotFound(template) from None  # Jinja's own message tells the folder's path
        if not Path(filename).resolve().is_relative_to(self._folder):
            raise TemplateNotFound(template)
        return source, filename, is_current


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox that every template of a campaign runs in.

    A block tag that stands alone on its line leaves no line behind (trim_blocks, lstrip_blocks): in a text part every
    line counts.

    Args:
        folder: where includes, imports and parents are read from.
        autoescape: escape values for HTML.
    """

    def __init__(self, folder: Path, *, autoescape: bool) -> None:
        self._files = _FolderLoader(folder)
        super().__init__(
            loader=self._files,
            autoescape=autoescape,
            undefined=_Undefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self.filters[_CHECK] = _refuse_null
        self.globals = {name: self.globals[name] for name in _GLOBALS}

    def read(self, name: str) -> str:
        """Return the source of a template of the folder.

        Raises:
            TemplateNotFound: it is not there, or not in the folder.
            TemplateSyntaxError: it is not UTF-8.
        """
        return self._files.get_source(self, name)[0]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Weave in the null checks: Jinja compiles and inspects what this returns."""
        tree: nodes.Template = _NullChecks().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree
