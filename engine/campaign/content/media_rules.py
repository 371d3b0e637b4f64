"""Style rules for a screen (`@media screen`, `@media all`), written into the elements that they match.

Inlining leaves media queries in the <style> elements, where browsers and most mail programs apply those without a
condition like any other rule.
"""

import re

import css_inline

_SHEET = re.compile(r"(<style\b[^>]*>)(.*?)(</style\s*>)", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_MEDIA = re.compile(r"@media\b([^{};]*)\{", re.IGNORECASE)
_ALWAYS = frozenset({"", "all", "screen", "only all", "only screen"})
_INLINER = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)


def apply_screen_rules(html: str) -> str:
    """Write the rules of unconditional media queries into the style attributes of a message's HTML.

    If there are none, or the HTML cannot be parsed, it is returned unchanged.
    """
    if "@media" not in html.lower():
        return html
    unwrapped = _SHEET.sub(lambda found: found[1] + unwrap_screen_rules(found[2]) + found[3], html)
    if unwrapped == html:
        return html
    try:
        return _INLINER.inline(unwrapped)
    except css_inline.InlineError:
        return html  # a browser skips rules that it cannot read


def is_for_screens(query: str) -> bool:
    """Return whether a media query (or list of them) applies to every screen.

    >>> [is_for_screens(query) for query in ("", "screen, print", "print", "screen and (max-width: 9px)")]
    [True, True, False, False]
    """
    return any(" ".join(part.lower().split()) in _ALWAYS for part in query.split(","))


def unwrap_screen_rules(sheet: str) -> str:
    """Return a style sheet with the rules of its unconditional media queries outside of these.

    A sheet without such queries is returned unchanged.

    >>> unwrap_screen_rules("@media only screen{.a{color:red}} @media (max-width:9px){.b{color:red}}")
    '.a{color:red} @media (max-width:9px){.b{color:red}}'
    """
    plain = _COMMENT.sub("", sheet)
    kept: list[str] = []
    start = 0
    while (found := _MEDIA.search(plain, start)) is not None:
        end = _find_end(plain, found.end())
        is_applied = is_for_screens(found[1])
        inner = plain[found.end() : end - 1]
        kept += (plain[start : found.start()], unwrap_screen_rules(inner) if is_applied else plain[found.start() : end])
        start = end
    result = "".join([*kept, plain[start:]])
    return sheet if result == plain else result


def _find_end(css: str, start: int) -> int:
    """Find where the block that began before `start` ends, after its brace."""
    depth = 1
    for place in range(start, len(css)):
        depth += {"{": 1, "}": -1}.get(css[place], 0)
        if not depth:
            return place + 1
    return len(css) + 1
