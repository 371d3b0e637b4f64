"""Inline CSS into style attributes, once per template: many mail programs support nothing else.

The rest of a template stays unchanged, including Jinja tags and conditional comments: a browser's engine matches the
rules to a copy in which every element has a number, and only the resulting style attributes are written into the
template. What cannot be inlined (media queries, :hover) stays in the <style> elements.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape, unescape

import css_inline
from jinja2 import TemplateSyntaxError
from msgspec import Struct

from engine.campaign.content.element_edits import COMMENT, ELEMENT, TokenOrigins, apply_edits, hide_comments
from engine.campaign.content.media_rules import is_for_screens
from engine.campaign.content.template_tokens import TemplateToken, mask

_STYLE = re.compile(r"""\sstyle\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_SHEET = re.compile(r"<style\b[^>]*>(.*?)</style\s*>", re.IGNORECASE | re.DOTALL)
_SHEET_TAG = re.compile(r"<style\b([^>]*)>", re.IGNORECASE)
_MEDIA_ATTRIBUTE = re.compile(r"""\smedia\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_IGNORED = '<style data-css-inline="ignore"'
_NUMBERED = re.compile(r"""<[^>]*\bdata-mailrun="(\d+)"(?:"[^"]*"|'[^']*'|[^>"'])*>""")
_SKIPPED = frozenset({"html", "head", "meta", "title", "style", "script", "link", "base", "mjml"})
_IN_TABLES = {"tr": "table", "td": "table><tr", "th": "table><tr", "tbody": "table", "thead": "table", "tfoot": "table"}
_INLINER = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)


class _Place(Struct, frozen=True):
    """An element of a template.

    `start`: the offset in its file where a style is written: in its own style attribute (`style`) if it has one, else
    before its attributes.
    """

    file: str
    line: int
    tag: str
    start: int
    style: str | None


def inline_css(document: Sequence[TemplateToken], sources: Mapping[str, str]) -> dict[str, str]:
    """Write the rules of a document's <style> elements into its elements.

    Args:
        document: the templates assembled into one document (`template_tokens.assemble`).
        sources: name -> source of these templates.

    Returns:
        Name -> source, of those that have changed.

    Raises:
        TemplateSyntaxError: the CSS cannot be read, or HTML does not allow an element in its place, so that no
            rule can match it.
    """
    plain = mask(document)
    sheets = _SHEET.findall(COMMENT.sub("", plain))
    if not any("{" in sheet for sheet in sheets):
        return {}
    numbered, places = _number(plain, document)
    try:
        made = _INLINER.inline(_leave_out_conditional(numbered))
    except css_inline.InlineError as error:
        raise TemplateSyntaxError(f"the CSS cannot be inlined: {error}", lineno=1, name=document[0].file) from None
    styles = _read_styles(made)
    for number, place in enumerate(places):
        if number not in styles:
            what = f"<{place.tag}> is not allowed by HTML in this place, so its styles cannot be inlined"
            raise TemplateSyntaxError(what, lineno=place.line, name=place.file)
    return _write_styles(sources, places, styles)


def _leave_out_conditional(html: str) -> str:
    """Keep the rules of `<style media="print">` and the like out of the elements: css_inline ignores `media`."""
    return _SHEET_TAG.sub(lambda found: found[0] if _is_for_screens(found[0]) else f"{_IGNORED}{found[1]}>", html)


def _is_for_screens(tag: str) -> bool:
    media = _MEDIA_ATTRIBUTE.search(tag)
    return media is None or is_for_screens(unescape(media[1] or media[2] or media[3] or ""))


def _number(plain: str, document: Sequence[TemplateToken]) -> tuple[str, list[_Place]]:
    """Give every element a number and remove its own style, so that only the styles of the rules are found."""
    hidden = hide_comments(plain)
    origins = TokenOrigins(document)
    pieces: list[str] = []
    places: list[_Place] = []
    end = 0
    sheets = [found.span(1) for found in _SHEET.finditer(hidden)]
    for found in ELEMENT.finditer(hidden):
        tag = found[1].lower()
        if tag in _SKIPPED or any(begin <= found.start() < stop for begin, stop in sheets):
            continue
        own = _STYLE.search(found[2])
        group = 2 if own and own[2] is not None else 1
        token, offset = origins.find(found.start(2))
        line = token.line + token.text[:offset].count("\n")
        if own is not None:  # it may begin in another token than the element
            token, offset = origins.find(found.start(2) + own.start(group))
        pieces += (plain[end : found.start(2)], f' data-mailrun="{len(places)}"', _STYLE.sub("", found[2], count=1))
        places.append(_Place(token.file, line, tag, token.start + offset, own[group] if own else None))
        end = found.end(2)
    whole = "".join([*pieces, plain[end:]])
    first = next((place.tag for place in places), "")
    if first in _IN_TABLES and "<table" not in whole.lower().partition(f"<{first}")[0]:
        whole = f"<{_IN_TABLES[first]}>{whole}</table>"
    return whole, places


def _read_styles(made: str) -> dict[int, str]:
    styles = {}
    for found in _NUMBERED.finditer(COMMENT.sub("", made)):
        own = _STYLE.search(found[0])
        styles[int(found[1])] = unescape(own[1]) if own else ""
    return styles


def _write_styles(sources: Mapping[str, str], places: Sequence[_Place], styles: Mapping[int, str]) -> dict[str, str]:
    edits: dict[str, dict[int, str]] = {}
    for number, place in enumerate(places):
        rules = escape(_without_repeats(styles[number], place.style or ""))
        if rules and place.file in sources:
            written = rules if place.style is not None else f' style="{rules}"'
            # A file that is included twice has its elements twice: use the first.
            edits.setdefault(place.file, {}).setdefault(place.start, written)
    return apply_edits(sources, edits)


def _without_repeats(rules: str, own: str) -> str:
    """Leave out properties that the element's own style sets; it comes after the rules and overrides them."""
    said = {part.partition(":")[0].strip().lower() for part in own.split(";")}
    kept = [
        part.strip()
        for part in re.split(r";(?![^(]*\))", rules)
        if part.strip() and (part.partition(":")[0].strip().lower() not in said or "!important" in part)
    ]
    return "".join(f"{part};" for part in kept)
