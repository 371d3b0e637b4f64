"""The parts of a message, each made from its compiled template."""

from collections.abc import Callable, Hashable, Iterable
from dis import get_instructions
from itertools import chain
from typing import Any, cast

from jinja2 import Template
from jinja2.runtime import Context
from jinja2.utils import missing

from engine.campaign.content.environment import TemplateEnvironment
from engine.campaign.content.html_text import TextTidier, derive_text
from engine.campaign.content.printing.pieces import LongPartError, Static
from engine.campaign.content.templates import CampaignContent, Variant
from engine.campaign.content.watchdog import TimeUpError
from engine.campaign.headers import encode_header, is_template
from engine.campaign.message import Part
from engine.campaign.part_writers import LONGEST_KEPT, PartWriter
from engine.campaign.render_error import RenderError, locate_error

LARGEST_PART = (
    10_000_000  # characters; SES slows down messages above 10 MB, so a larger part is a mistake in the template
)
# Pieces of a part that are written before they are counted: if none of them is long, they are no longer than a part.
_MOST_UNCOUNTED = LARGEST_PART // LONGEST_KEPT
_MOST_MEASURED = 64  # kinds of static text, such as those of templates with blocks


class MessageNames(dict[str, Any]):
    """The names that the templates of one message see.

    Attributes:
        resolve_or_missing: looks up a name, as Jinja's Context does: most templates need no other context.
    """

    __slots__ = ()

    def __missing__(self, name: str) -> Any:
        """Return Jinja's mark for a name that is not there."""
        return missing

    resolve_or_missing = dict.__getitem__


class _PartContext(Context):
    """The context of a part's template. It is used for one message after another: a new one takes longer."""

    def __init__(self, template: Template) -> None:
        super().__init__(template.environment, {}, template.name, template.blocks)
        self._own_blocks = template.blocks

    def begin(self, names: MessageNames) -> "_PartContext":
        """Begin the next message: forget what the template has set."""
        self.parent = names
        if self.vars:
            self.vars = {}
        if self.exported_vars:
            self.exported_vars = set()
        if self._own_blocks:
            self.blocks = {name: [block] for name, block in self._own_blocks.items()}
        else:
            # Only blocks read names that the template has set; without blocks, a name is one look-up.
            self.resolve_or_missing = names.__getitem__  # type: ignore[method-assign, assignment] # a name is positional
        return self


def _reads_only_names(root: Callable[..., object]) -> bool:
    """Return whether a compiled template uses its context once: for the function that looks up names."""
    arguments = [one.argval for one in get_instructions(root)]
    return sum("context" in (one if isinstance(one, tuple) else (one,)) for one in arguments) == 1


class TemplatePart:
    """A compiled template that is rendered without the overhead of Template.render."""

    __slots__ = ("_context", "_fixed", "_has_tags", "_measured", "_needs_context", "_root", "name", "template")

    def __init__(self, template: Template) -> None:
        self.template = template
        self.name = template.name or ""
        # See print_code.
        self._root = cast("Callable[[Context | MessageNames], Iterable[list[str]]]", template.root_render_func)
        self._context = _PartContext(template)
        self._has_tags = is_template(cast("TemplateEnvironment", template.environment).read(self.name))
        self._fixed: str | None = None  # the text, if it has no tags
        self._measured: dict[Hashable, tuple[int, bool]] = {}
        self._needs_context = not _reads_only_names(template.root_render_func)

    def render(self, names: MessageNames, writer: PartWriter) -> Part:
        """Return the part, written.

        Raises:
            RenderError: it fails, is blank, is larger than a part may be, or cannot be encoded.
        """
        lists = self._read(names)
        if len(lists) == 1:
            (pieces,) = lists
            statics: Hashable = pieces[0]
        else:
            pieces = _flatten(lists)
            statics = tuple([one[0] for one in lists])
        length, may_be_blank = self._measured.get(statics) or self._measure(statics, pieces)
        if may_be_blank and all(map(_is_blank, pieces)):
            raise RenderError(self.name, None, "it is blank")
        if len(pieces) > _MOST_UNCOUNTED:
            self._refuse_long(pieces)
        part = self._write(pieces, writer, statics)
        # A value has at least as many bytes as characters. Static text may be written as less, see ValueWriter.
        if len(part.written) + length > LARGEST_PART:
            self._refuse_long(pieces)
        return part

    def render_tidy(self, names: MessageNames, writer: PartWriter, tidier: TextTidier) -> Part:
        """Return the part, tidied and written; it may be blank.

        Raises:
            RenderError: as in render.
        """
        pieces = _flatten(self._read(names))
        self._refuse_long(pieces)
        return self._write(tidier.tidy(pieces), writer)

    def _measure(self, statics: Hashable, pieces: list[str]) -> tuple[int, bool]:
        """Return the length of the static text, and whether it is blank; it keeps them."""
        static = [piece for piece in pieces if type(piece) is Static]
        if len(self._measured) >= _MOST_MEASURED:
            self._measured.clear()
        measured = self._measured[statics] = sum(map(len, static)), all(map(_is_blank, static))
        return measured

    def _write(self, pieces: list[str], writer: PartWriter, statics: Hashable = None) -> Part:
        try:
            written = writer.write(pieces, LARGEST_PART)
        except UnicodeEncodeError:
            raise self._refuse_encoding() from None
        except LongPartError:
            raise self._refuse_size() from None
        except MemoryError as error:
            raise locate_error(error, self.template) from error
        return Part(pieces, written, writer, statics)

    def render_text(self, names: MessageNames, *, may_be_blank: bool = False) -> str:
        """Return the part's text.

        Raises:
            RenderError: as in render.
        """
        if self._fixed is not None:
            return self._fixed
        pieces = _flatten(self._read(names))
        self._refuse_long(pieces)
        text = "".join(pieces)
        if not may_be_blank and _is_blank(text):
            raise RenderError(self.name, None, "it is blank")
        if not text.isascii() and not _is_encodable(text):
            raise self._refuse_encoding()
        if not self._has_tags:
            self._fixed = text
        return text

    def _read(self, names: MessageNames) -> list[list[str]]:
        try:
            return list(self._root(self._context.begin(names) if self._needs_context else names))
        except BaseException as error:
            self._context = _PartContext(self.template)  # in the old one, a template may leave what it has begun
            if isinstance(error, LongPartError):
                raise self._refuse_size() from None
            if isinstance(error, Exception):  # a template may raise anything, and it fails this one recipient
                raise locate_error(error, self.template) from error
            raise

    def _refuse_long(self, pieces: list[str]) -> None:
        if sum(map(len, pieces)) > LARGEST_PART:
            raise self._refuse_size()

    def _refuse_size(self) -> RenderError:
        return RenderError(self.name, None, f"it is longer than {LARGEST_PART:,} characters")

    def _refuse_encoding(self) -> RenderError:
        return RenderError(self.name, None, "it has an incomplete character (a lone surrogate)")


class HeaderParts:
    """Renders the campaign's own headers; encodes headers without template tags only once."""

    def __init__(self, content: CampaignContent) -> None:
        given = content.campaign.spec.headers.items()
        self._parts = {name: TemplatePart(template) for name, template in content.headers.items()}
        self._fixed = tuple((name, encode_header(name, text)) for name, text in given if name not in self._parts)

    def render(self, names: MessageNames) -> tuple[tuple[str, str], ...]:
        """Return names and values; a header with a blank value is left out.

        Raises:
            RenderError: a template fails, or its value is not allowed in a header.
        """
        if not self._parts:
            return self._fixed
        made = []
        for name, part in self._parts.items():
            text = part.render_text(names, may_be_blank=True)
            try:
                value = encode_header(name, text)
            except ValueError as error:
                raise RenderError(part.name, None, f"it {error.args[0]}") from None
            if value:
                made.append((name, value))
        return (*self._fixed, *made)


class VariantParts:
    """The templates of a message in one language."""

    __slots__ = ("_derived", "_text", "_tidier", "html", "language", "subject")

    def __init__(self, variant: Variant) -> None:
        self.language = variant.language
        self.subject = TemplatePart(variant.subject)
        self.html = TemplatePart(variant.html) if variant.html else None
        self._text = TemplatePart(variant.text) if variant.text else None
        self._derived = TemplatePart(variant.derived) if variant.derived else None
        self._tidier = TextTidier()

    def render_text(self, names: MessageNames, html: Part | None, writer: PartWriter) -> Part | None:
        """Return the text part: from its own template, else derived from the HTML's, else from the message's HTML."""
        if self._text is not None:
            return self._text.render(names, writer)
        if self._derived is not None:
            return self._derived.render_tidy(names, writer, self._tidier)
        if html is not None:
            text = derive_text(html.text)
            return Part([text], writer.write_text(text), writer)
        return None

    def locate(self, error: TimeUpError, seconds: float) -> RenderError:
        """Return an error that names the template and the line at which the time limit was reached."""
        part = self.html or self._text or self.subject
        found = locate_error(error, part.template)
        return RenderError(found.template, found.line, f"it does not end within {seconds:g} seconds")

    def list_parts(self) -> "list[TemplatePart]":
        """List the parts that have a template."""
        return [part for part in (self.html, self._text, self._derived, self.subject) if part is not None]


def _flatten(lists: list[list[str]]) -> list[str]:
    return lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
