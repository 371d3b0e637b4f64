"""Split templates into text and Jinja tags, so that HTML, Markdown and MJML tools can process the text."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum

from jinja2 import Environment, TemplateSyntaxError
from msgspec import Struct

from engine.campaign.content.environment import Prepared, TemplateEnvironment

_LEXER = Environment(keep_trailing_newline=True)  # noqa: S701 - it renders nothing
_OPENING = re.compile(r"\{[{%][-+]?")
_WORDS = re.compile(r"\{%[-+]?\s*(\w+)\s*(\w*)")
_REFERENCE = re.compile(
    r"""\{%[-+]?\s*(?:include|extends)\s*(?:"([^"]*)"|'([^']*)')\s*(?:with(?:out)?\s+context\s*)?[-+]?%\}"""
)
_DEEPEST = 50


class TokenKind(StrEnum):
    """What a token is."""

    TEXT = "text"
    COMMENT = "comment"
    RAW = "raw"
    OUTPUT = "output"
    STATEMENT = "statement"


class TemplateToken(Struct, frozen=True):
    """A piece of a template.

    Attributes:
        kind: what it is.
        text: as in the template.
        file: the template.
        line: where it begins.
        start: its offset in the template, in characters.
    """

    kind: TokenKind
    text: str
    file: str
    line: int
    start: int

    @property
    def word(self) -> str:
        """The first word of a statement, such as `include`."""
        return (found[1] if (found := _WORDS.match(self.text)) else "") if self.kind is TokenKind.STATEMENT else ""

    @property
    def block(self) -> str | None:
        """The name of the block that begins here."""
        return found[2] if self.word == "block" and (found := _WORDS.match(self.text)) else None

    @property
    def reference(self) -> str:
        """The template that is included or extended here, if its name is constant; else empty."""
        return found[1] or found[2] if (found := _REFERENCE.fullmatch(self.text)) else ""


_BEGINS = {
    "comment_begin": TokenKind.COMMENT,
    "raw_begin": TokenKind.RAW,
    "variable_begin": TokenKind.OUTPUT,
    "block_begin": TokenKind.STATEMENT,
}
_ENDS = frozenset(["comment_end", "raw_end", "variable_end", "block_end"])


def split(source: str, file: str) -> list[TemplateToken]:
    """Split a template into tokens, as Jinja does; their joined texts are the template.

    Raises:
        TemplateSyntaxError: a tag is not closed, or cannot be read.
    """
    tokens: list[TemplateToken] = []
    end, line = 0, 1
    for kind, start, tag_end in _find_tags(source, file):
        for one, text in ((TokenKind.TEXT, source[end:start]), (kind, source[start:tag_end])):
            if text:
                tokens.append(TemplateToken(one, text, file, line, end if one is TokenKind.TEXT else start))
                line += text.count("\n")
        end = tag_end
    if source[end:]:
        tokens.append(TemplateToken(TokenKind.TEXT, source[end:], file, line, end))
    return tokens


def _find_tags(source: str, file: str) -> Iterator[tuple[TokenKind, int, int]]:
    """Yield each tag's kind, begin and end.

    The lexer drops the white space before `{%-`, so that a tag is searched from the end of the token before it, and
    counts the white space after `-%}` to the tag.
    """
    place, opened = 0, None
    plain = source.replace("\r\n", " \n").replace("\r", "\n")  # as the lexer has it, and as long as the source
    try:
        for _, name, value in _LEXER.lex(plain, name=file):
            start = plain.index(value, place)
            place = start + len(value)
            if name in _BEGINS:
                opened = (_BEGINS[name], start)
            elif name in _ENDS and opened is not None:
                yield *opened, start + len(value.rstrip())
                opened = None
    except TemplateSyntaxError as error:
        error.name = file
        raise
    if opened is not None:
        tag = source[opened[1] : opened[1] + 2]
        line = source.count("\n", 0, opened[1]) + 1
        raise TemplateSyntaxError(f"unexpected end of template, {tag} is not closed", line, file)


def mask(tokens: Sequence[TemplateToken]) -> str:
    """Return a template of the same length in which tags are spaces, or letters for tags that print something.

    The result is close to plain HTML, and every character keeps its offset.
    """
    return "".join(token.text if token.kind is TokenKind.TEXT else _filler(token) for token in tokens)


def _filler(token: TemplateToken) -> str:
    filler = "J" if token.kind is TokenKind.OUTPUT else " "
    return re.sub(r"[^\n]", filler, token.text)


def assemble(
    environment: TemplateEnvironment, name: str, *, follow: Callable[[str], bool] = lambda _: True
) -> list[TemplateToken]:
    """Assemble a template into one document: parents around it, includes in their places.

    Only constant names are followed. Other tags stay unchanged.

    Args:
        environment: reads the templates.
        name: of the template.
        follow: returns whether to insert a template of that name.

    Raises:
        TemplateNotFound: one is missing.
        TemplateSyntaxError: one is not UTF-8.
        RecursionError: templates include each other.
    """
    return list(_Assembly(environment, follow).assemble(name, {}, 0))


class _Assembly(Struct, frozen=True):
    environment: TemplateEnvironment
    follow: Callable[[str], bool]

    def assemble(
        self, name: str, blocks: Mapping[str | None, list[TemplateToken]], depth: int
    ) -> Iterator[TemplateToken]:
        if depth > _DEEPEST:
            raise RecursionError(f"{name} includes or extends itself")
        tokens = split(self.environment.read(name), name)
        parent = next((t for t in tokens if t.word == "extends" and t.reference and self.follow(t.reference)), None)
        if parent is None:
            yield from self._fill(tokens, blocks, depth)
            return
        own = _blocks(tokens)
        yield from (t for t in _outside_blocks(tokens) if t.word in ("import", "from", "set", "macro", "endmacro"))
        yield from self.assemble(parent.reference, {**own, **blocks}, depth + 1)

    def _fill(
        self, tokens: Sequence[TemplateToken], blocks: Mapping[str | None, list[TemplateToken]], depth: int
    ) -> Iterator[TemplateToken]:
        place = 0
        while place < len(tokens):
            token = tokens[place]
            if token.word == "include" and token.reference and self.follow(token.reference):
                yield from self.assemble(token.reference, {}, depth + 1)
            elif token.block in blocks:
                end = _end_of_block(tokens, place)
                yield from self._fill(blocks[token.block], {**blocks, token.block: []}, depth + 1)
                place = end
            elif token.word not in ("block", "endblock"):
                yield token
            place += 1


def _end_of_block(tokens: Sequence[TemplateToken], start: int) -> int:
    depth = 0
    for place in range(start, len(tokens)):
        depth += {"block": 1, "endblock": -1}.get(tokens[place].word, 0)
        if depth == 0:
            return place
    return len(tokens) - 1


def _blocks(tokens: Sequence[TemplateToken]) -> dict[str | None, list[TemplateToken]]:
    return {
        token.block: list(tokens[place + 1 : _end_of_block(tokens, place)])
        for place, token in enumerate(tokens)
        if token.block is not None
    }


def _outside_blocks(tokens: Sequence[TemplateToken]) -> Iterator[TemplateToken]:
    depth = 0
    for token in tokens:
        depth += {"block": 1, "endblock": -1}.get(token.word, 0)
        if depth == 0 and token.word != "endblock":
            yield token


class Placeholders:
    """Words that replace tags while a tool without Jinja support processes a template."""

    def __init__(self, tokens: Sequence[TemplateToken]) -> None:
        self._mark = "jx"
        whole = "".join(token.text for token in tokens)
        while self._mark in whole:
            self._mark += "x"
        self._tokens: list[TemplateToken] = []
        self.pattern = re.compile(rf"{self._mark}(\d+)z")

    def replace(self, token: TemplateToken, *, again: bool = False) -> str:
        """Return the word that replaces a tag; with `again`, the same word for the same text."""
        if again:
            for number, known in enumerate(self._tokens):
                if known.text == token.text:
                    return f"{self._mark}{number}z"
        self._tokens.append(token)
        return f"{self._mark}{len(self._tokens) - 1}z"

    def token(self, number: str) -> TemplateToken:
        """Return the tag that a word replaces."""
        return self._tokens[int(number)]

    def restore(self, made: str) -> Prepared:
        """Restore the tags. Each tag begins a new line, so that an error's line identifies the tag."""
        pieces: list[str] = []
        starts: list[tuple[int, TemplateToken]] = []  # line in the result, tag
        line, end = 1, 0
        for found in self.pattern.finditer(made):
            token = self.token(found[1])
            before = made[end : found.start()]
            opening = match[0] if (match := _OPENING.match(token.text)) and token.kind is not TokenKind.RAW else ""
            tag = f"{opening}\n{token.text[len(opening) :]}" if opening else token.text
            line += before.count("\n")
            starts.append((line + bool(opening), token))
            line += tag.count("\n")
            pieces += (before, tag)
            end = found.end()
        return Prepared("".join([*pieces, made[end:]]), _Origins(starts, self._tokens[0] if self._tokens else None))


class _Origins:
    """Maps a line of the result to the file and line of the tag on it."""

    def __init__(self, starts: Sequence[tuple[int, TemplateToken]], first: TemplateToken | None) -> None:
        self._lines = [line for line, _ in starts]
        self._tags = [token for _, token in starts]
        self._first = first

    def __call__(self, line: int) -> tuple[str, int]:
        place = bisect_right(self._lines, line) - 1
        if place < 0:
            return (self._first.file, self._first.line) if self._first else ("", 1)
        tag = self._tags[place]
        return tag.file, tag.line + min(line - self._lines[place], tag.text.count("\n"))
