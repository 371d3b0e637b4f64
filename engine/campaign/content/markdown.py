"""`body.md.j2`: Markdown with Jinja tags, to an HTML template, once per campaign."""

import re

from markdown_it import MarkdownIt

from engine.campaign.content.environment import Prepared
from engine.campaign.content.template_tokens import Placeholders, TemplateToken, TokenKind

_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_HERE = "<!--here-->"
# The layout of Markdown templates that extend no other template; for light and dark mode.
_LETTER = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title></title>
<style>
.letter { max-width: 600px; margin: 0 auto; padding: 32px 20px; font: 16px/26px -apple-system, 'Segoe UI', Roboto, \
Helvetica, Arial, sans-serif; color: #24292f; text-align: start; }
.letter h1 { font-size: 28px; line-height: 36px; margin: 0 0 16px; }
.letter h2 { font-size: 21px; line-height: 30px; margin: 32px 0 12px; }
.letter p, .letter ul, .letter ol, .letter table { margin: 0 0 16px; }
.letter img { max-width: 100%; }
.letter a { color: #1a5fb4; }
.letter blockquote { margin: 0 0 16px; padding: 0 16px; border-left: 4px solid #c8d1da; }
.letter hr { border: 0; border-top: 1px solid #c8d1da; margin: 32px 0; }
.letter th, .letter td { padding: 6px 12px 6px 0; text-align: start; }
@media (prefers-color-scheme: dark) {
  body, .letter { background: #16191d !important; color: #e6e9ec !important; }
  .letter a { color: #8ab8f0 !important; }
}
</style>
</head>
<body style="margin:0;padding:0;">
<div class="letter">
<!--here--></div>
</body>
</html>
"""


def convert_markdown(tokens: list[TemplateToken]) -> Prepared:
    """Convert a Markdown template to an HTML template.

    CommonMark with tables and strikethrough. A tag alone on its line stays between blocks. Without
    `{% extends %}`, the default layout is put around it. Values are put into the HTML later and escaped, so Markdown
    in them has no effect.
    """
    places = Placeholders(tokens)
    source = "".join(
        token.text if token.kind is TokenKind.TEXT else _write_placeholder(places, token)
        for token in tokens
        if token.kind is not TokenKind.COMMENT
    )
    mark = places.pattern.pattern
    alone = re.compile(rf"^[ \t]*<!--({mark})-->[ \t]*$", re.MULTILINE)
    html = _MARKDOWN.render(alone.sub(r"\n<!--\1-->\n", source))
    html = _loop_inside_lists(html, places)
    html = re.sub(rf"<!--({mark})-->\n?", r"\1", html)
    extends = any(token.word == "extends" for token in tokens)
    return places.restore(html if extends else _LETTER.replace(_HERE, html))


def _write_placeholder(places: Placeholders, token: TemplateToken) -> str:
    word = places.replace(token)
    return word if token.kind is TokenKind.OUTPUT else f"<!--{word}-->"


def _loop_inside_lists(html: str, places: Placeholders) -> str:
    """Move a loop around a list into the list, so that it makes one list and not a list for each item."""
    mark = places.pattern.pattern
    around = re.compile(rf"<!--({mark})-->\s*<(ul|ol)>(.*?)</\3>\s*<!--({mark})-->", re.DOTALL)

    def move(found: re.Match[str]) -> str:
        begin, end = places.token(found[2]), places.token(found[6])
        if (begin.word, end.word) != ("for", "endfor") or places.pattern.search(found[4]) is None:
            return found[0]
        return f"<{found[3]}>\n<!--{found[1]}-->{found[4].strip()}\n<!--{found[5]}--></{found[3]}>"

    return around.sub(move, html)
