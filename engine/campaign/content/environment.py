"""The Jinja2 environment: sandboxed, with size limits, strict about names and about printed values.

A null column is None in a template, so `{% if last_name %}` and `last_name is none` work. Printing it is an error, as
is printing a function, a list or an object: no recipient may read "Hi None" or "<built-in method …>". `print_checks`
adds the checks to every template.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter
from markupsafe import Markup
from msgspec import Struct

from engine.campaign.content import bounds as limits
from engine.campaign.content.localisation import Formats
from engine.campaign.content.printing.link_places import DataPlace, LinkPlaces, find_link_places
from engine.campaign.content.printing.parsed_templates import OutputKey
from engine.campaign.content.printing.pieces import PieceTemplate, Static, join_pieces, shorten
from engine.campaign.content.printing.print_checks import CHECK_FILTERS, add_checks
from engine.campaign.content.printing.print_code import PrintCodeGenerator
from engine.campaign.content.printing.printed_values import (
    UndefinedName,
    hide_method,
    join_printable,
    print_html,
    print_text,
    refuse_unprintable,
    refuse_unprintable_given,
    write_attributes,
)
from engine.campaign.files import list_files, read_file


class _CheckedFields(SandboxedFormatter):
    """Fills in only values that may be printed."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        value, first = super().get_field(field_name, args, kwargs)
        return refuse_unprintable(value, f"the field {{{field_name}}} of a format"), first


class _CheckedMarkupFields(_CheckedFields, SandboxedEscapeFormatter):
    """The same for markup, which escapes them."""


class _Recipient:
    """See make_recipient."""

    __slots__ = ("__address", "__columns")  # private: a column of the same name stays readable

    def __init__(self, columns: Mapping[str, Any], address: str) -> None:
        self.__columns = columns
        self.__address = address

    def __getitem__(self, name: str) -> Any:
        return self.__address if name == "address" else self.__columns[name]

    __iter__ = None  # otherwise Python would read the items 0, 1, 2…


def make_recipient(columns: Mapping[str, Any], address: str) -> _Recipient:
    """Make what templates see as `recipient`: its columns, by attribute or item, and its address."""
    return _Recipient(columns, address)


show_recipient = _Recipient.__init__  # lets one that was made before show another recipient


class Prepared(Struct, frozen=True):
    """The source that is compiled for a template, if it differs from its file.

    Attributes:
        source: the text that is compiled.
        origin: line of `source` -> file and line that the author wrote; None if both have the same lines.
    """

    source: str
    origin: Callable[[int], tuple[str, int]] | None = None


class _CampaignLoader(BaseLoader):
    """Loads the files of a campaign, or their prepared versions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prepared: dict[str, Prepared] = {}

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Any]:  # noqa: ARG002 - Jinja's signature
        if template in self.prepared:
            return self.prepared[template].source, template, None
        content = read_file(self.folder, template)
        if content is None:
            raise TemplateNotFound(template)
        try:
            source = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise TemplateSyntaxError("the template is not UTF-8", lineno=line, name=template) from None
        return source.replace("\r\n", "\n").replace("\r", "\n"), template, None

    def list_templates(self) -> list[str]:
        return sorted({*list_files(self.folder), *self.prepared})


class _TemplateContext(Context):
    """Jinja's context; it makes no set of global names where there are none, which takes longer than all else."""

    def __init__(
        self,
        environment: Environment,
        parent: dict[str, Any],
        name: str | None,
        blocks: dict[str, Callable[[Context], Iterator[str]]],
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> None:
        super().__init__(environment, parent, name, blocks, globals or None)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox that every template of a campaign runs in.

    A block tag alone on its line prints no line (trim_blocks, lstrip_blocks): in a text part every line counts.

    Args:
        folder: the campaign's folder, where includes, imports and parents are read from; and `_shared` next to it.
        autoescape: escape values for HTML.
        formats: how dates, numbers and currency are written; its locale changes with every recipient.
    """

    intercepted_binops = limits.INTERCEPTED
    context_class = _TemplateContext
    concat = staticmethod(join_pieces)
    template_class = PieceTemplate
    static_piece = Static
    shorten = staticmethod(shorten)
    code_generator_class: type[CodeGenerator] = PrintCodeGenerator
    print_text = staticmethod(print_text)
    print_html = staticmethod(print_html)

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
        self.filters |= CHECK_FILTERS
        del self.filters["pprint"]  # it prints Python's representation of a value
        self.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False}
        self.globals = {}
        self.link_places: LinkPlaces | None = None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Run an operation, unless its result would be too large."""
        limits.check_operation(operator, left, right)
        return limits.refuse_large(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - Jinja's signature
        """Call a function or method from a template, unless its result would be too large."""
        if isinstance(getattr(__obj, "__self__", None), str | bytes):
            args = limits.list_iterators(args)
        limits.check_call(__obj, args, kwargs)
        if isinstance(getattr(__obj, "__self__", None), Markup):  # its methods convert any value to text
            refuse_unprintable_given((*args, *kwargs.values()), f"what {__obj.__name__} is given")
        return limits.refuse_large(super().call(__context, __obj, *args, **kwargs))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute`: a field of the data comes before a Python attribute of the same name."""
        if type(obj) is _Recipient:
            try:
                return obj[attribute]
            except KeyError:
                pass
        elif type(obj) is dict and attribute in obj:
            return obj[attribute]
        return hide_method(obj, attribute, super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return `obj[argument]`."""
        return hide_method(obj, argument, super().getitem(obj, argument))

    def find_method(self, obj: Any, name: str) -> Any:
        """Return the method that `obj.name(…)` calls."""
        return super().getattr(obj, name)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return a checked version of the `format` method of a text."""
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
        """Replace the source of a template."""
        self._files.prepared[name] = prepared

    def replace(self, name: str, source: str) -> None:
        """Replace the source of a template by one with the same lines."""
        before = self._files.prepared.get(name)
        self.put(name, Prepared(source, before.origin if before else None))

    def move(self, folder: Path) -> None:
        """Read templates that are named at rendering from another folder, which has the same files."""
        self._files.folder = folder

    def read(self, name: str) -> str:
        """Return the source of a template of the folder.

        Raises:
            TemplateNotFound: it does not exist in the folder.
            TemplateSyntaxError: it is not UTF-8.
        """
        return self._files.get_source(self, name)[0]

    def locate(self, name: str, line: int) -> tuple[str, int]:
        """Return the file and line that the author wrote, for a line of a compiled template."""
        prepared = self._files.prepared.get(name)
        if prepared is None or prepared.origin is None:
            return name, line
        return prepared.origin(line)

    def check_links(self, name: str) -> LinkPlaces:
        """Find the places of the expressions in an HTML template; templates compiled later check their values.

        Raises:
            TemplateSyntaxError: a template that it refers to is wrong.
        """
        self.link_places = find_link_places(name, self._parse_plain)
        return self.link_places

    def _parse_plain(self, name: str) -> nodes.Template:
        tree = super()._parse(self.read(name), name, name)
        tree.set_environment(self)
        return tree

    def _find_places(self, known: LinkPlaces, name: str | None) -> Mapping[OutputKey, DataPlace] | None:
        if name is not None and name not in known.found:  # its name is known only at rendering
            known.merge(find_link_places(name, self._parse_plain))
        return known.of(name or "")

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Add the checks: Jinja compiles and inspects the returned tree."""
        try:
            parsed = super()._parse(source, name, filename)
            places = None if self.link_places is None else self._find_places(self.link_places, name)
            tree = add_checks(parsed, places, is_html=bool(self.autoescape))
        except TemplateSyntaxError as error:
            error.name, error.lineno = self.locate(name or "", error.lineno)
            raise
        tree.set_environment(self)
        return tree
