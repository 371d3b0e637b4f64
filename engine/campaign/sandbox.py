"""Jinja2 as this engine uses it: sandboxed, bounded, strict about names, and strict about null values.

A null column is None in a template, so `{% if last_name %}` and `last_name is none` work. Putting it into the message
is an error: nobody shall read "Hi None". Jinja's own hook for this (finalize) sees a value, but not where it came from,
and misses filters and `~`, which make text of None before it. So the check is woven into the template's syntax tree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from engine.campaign import limits
from engine.campaign.files import resolve_file, search_path
from engine.campaign.localisation import FILTERS, Formats

# They make text of whatever they are given; the other filters fail on None by themselves, or are made for it (default).
_TEXT_MAKERS = (
    "capitalize center e escape forceescape format indent lower replace safe string striptags title trim truncate "
    "upper urlencode urlize wordcount wordwrap"
)
_TEXT_FILTERS = frozenset(_TEXT_MAKERS.split()) | FILTERS.keys()
_CHECK = "refuse_null"
_BOUND = "refuse_large"
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

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 - as above
        self.generic_visit(node)
        node.nodes = [_checked(child) for child in node.nodes]
        return nodes.Filter(node, _BOUND, [], [], None, None, lineno=node.lineno)

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
        folder, shared = search_path(self.folder)
        own = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        common = [str(path.relative_to(shared.parent)) for path in shared.rglob("*") if path.is_file()]
        return sorted({*own, *common, *self.prepared})


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
            undefined=_Undefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        limits.guard_filters(self.filters)
        self.filters.update((formats or Formats()).filters())
        self.filters[_CHECK] = _refuse_null
        self.filters[_BOUND] = limits.refuse_large
        self.globals = {name: self.globals[name] for name in _GLOBALS}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do an operation that could make something large, unless it would."""
        limits.check_operation(operator, left, right)
        return limits.refuse_large(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - Jinja's signature
        """Call something from a template, unless it would make something large."""
        limits.check_call(__obj, args, kwargs)
        return limits.refuse_large(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Take the `format` of a text in hand, unless it would make something large."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            limits.check_format(str(value.__self__))
        return wrapped

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
        """Weave in the null checks: Jinja compiles and inspects what this returns."""
        try:
            tree: nodes.Template = _NullChecks().visit(super()._parse(source, name, filename))
        except TemplateSyntaxError as error:
            error.name, error.lineno = self.locate(name or "", error.lineno)
            raise
        tree.set_environment(self)
        return tree
