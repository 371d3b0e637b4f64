"""Text derived from HTML."""

from pathlib import Path

import pytest
from support.campaigns import render, write_campaign

from engine.campaign.content.html_text import derive_text
from engine.campaign.content.templates import compile_content


@pytest.mark.parametrize(
    "html",
    [
        "<ol>{% for x in [1, 2] %}<li>{{ x }}</li>{% endfor %}</ol>",
        "<p>{{ '<b>x</b>'|safe }}</p>",
        "{% macro m() %}<b>x</b>{% endmacro %}{{ m() }}",
        "{% set x %}<b>x</b>{% endset %}<p>{{ x }}</p>",
        "<p>{% raw %}{{ x }}{% endraw %}</p>",
        "<p>&#123;{ x }}</p>",
    ],
)
def test_where_only_the_message_tells_the_text_is_derived_from_it(tmp_path: Path, html: str) -> None:
    campaign = write_campaign(tmp_path, {"body.html.j2": html}, 'html = "body.html.j2"')
    message = render(campaign)
    assert compile_content(campaign).variants[None].derived is None
    assert message.text == derive_text(str(message.html))
