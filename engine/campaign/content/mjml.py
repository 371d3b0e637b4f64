"""Convert `body.mjml.j2`, MJML with Jinja tags, to an HTML template, once per campaign."""

import re
from html.parser import HTMLParser

from jinja2 import TemplateSyntaxError

from engine.campaign.content.environment import Prepared
from engine.campaign.content.template_tokens import Placeholders, TemplateToken, TokenKind

# Elements whose children are MJML elements; a tag between those becomes raw content.
_CONTAINERS = frozenset({"mj-body", "mj-section", "mj-column", "mj-group", "mj-wrapper", "mj-hero"})
_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})


def convert_mjml(tokens: list[TemplateToken]) -> Prepared:
    """Convert an MJML template to an HTML template.

    A tag may be in text, in attributes, and between the elements of a body, section, column, group, wrapper or hero.

    Raises:
        TemplateSyntaxError: it is not valid MJML; the message names the wrong element, if known.
    """
    places = Placeholders(tokens)
    front, inside = _divide(tokens)
    reader = _Structure()
    pieces: list[str] = []
    shown: dict[str, TemplateToken] = {}
    for token in inside:
        if token.kind is TokenKind.TEXT:
            reader.feed(token.text)
            pieces.append(token.text)
        elif token.kind is not TokenKind.COMMENT:
            word = places.replace(token)
            raw = token.kind is TokenKind.STATEMENT and reader.is_between_elements
            if not reader.rawdata:
                shown[word] = token
            pieces.append(f"<mj-raw>{word}</mj-raw>" if raw else word)
    before = "".join(places.replace(token) for token in front)
    made = _compile("".join(pieces), tokens)
    for word, token in shown.items():
        if word not in made:
            what = f"{' '.join(token.text.split())} is in a place where MJML shows nothing; put it into <mj-text>"
            raise TemplateSyntaxError(what, lineno=token.line, name=token.file)
    return places.restore(before + made)


def _divide(tokens: list[TemplateToken]) -> tuple[list[TemplateToken], list[TemplateToken]]:
    """Divide into the statements before <mjml>, such as imports, and the rest."""
    begin = next((i for i, t in enumerate(tokens) if t.kind is TokenKind.TEXT and "<mjml" in t.text), None)
    if begin is None:
        raise TemplateSyntaxError("there is no <mjml> element in it", lineno=1, name=tokens[0].file if tokens else "")
    return [t for t in tokens[:begin] if t.kind is TokenKind.STATEMENT], tokens[begin:]


def _compile(source: str, tokens: list[TemplateToken]) -> str:
    from mjml import mjml_to_html  # noqa: PLC0415 - a fifth of a second, for MJML alone

    if found := re.search(r"<mj-include\b", source):
        raise _make_error('mj-include is not supported; write {% include "file.mjml.j2" %}', tokens, found[0])
    try:
        return str(mjml_to_html(source).html)
    except KeyError as error:
        element = str(error).strip("'\"")
        raise _make_error(f"<{element}> is not an MJML element", tokens, f"<{element}") from None
    except Exception as error:  # the compiler raises exceptions of any type
        detail = f"{type(error).__name__}: {error}"
        raise _make_error(f"the MJML cannot be compiled: {detail}", tokens, "<mj-body") from error


def _make_error(what: str, tokens: list[TemplateToken], element: str) -> TemplateSyntaxError:
    for token in tokens:
        if token.kind is TokenKind.TEXT and element in token.text:
            line = token.line + token.text[: token.text.index(element)].count("\n")
            return TemplateSyntaxError(what, lineno=line, name=token.file)
    return TemplateSyntaxError(what, lineno=1, name=tokens[0].file)


class _Structure(HTMLParser):
    """Tracks the open elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's signature
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Ignore it: a self-closing element stays closed."""

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    @property
    def is_between_elements(self) -> bool:
        """Return whether the next token is between MJML elements, not inside a tag or in content."""
        return not self.rawdata and bool(self._open) and self._open[-1] in _CONTAINERS
