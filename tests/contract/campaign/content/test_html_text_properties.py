"""Whatever the data is: text derived once from the template is that derived from each message."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from support.campaigns import make_renderer, write_campaign

from engine.campaign.content.html_text import derive_text
from engine.campaign.content.templates import compile_content
from engine.campaign.render import Renderer

HTML = """\
<html><head><title>T {{ name }}</title><style>p { margin: 0 }</style>{% set greeting = "Hi" %}</head><body>
<div style="display:none">{{ name }} hidden</div>
<h1>{{ greeting }} {{ name }}</h1>
{% if name %}<p>Yes {{ name|upper }}</p>{% else %}<p>No</p>{% endif %}
<ul>{% for word in words %}<li>{{ word }}<br>x</li>{% endfor %}</ul>
<ol><li>{{ name }}</li><li>{{ link }}</li></ol>
<p><a href="https://a.example/{{ name }}?a=1&amp;b=2">{{ name }} &amp; more</a> <a href="{{ link }}">{{ link }}</a></p>
<table><tr>{% for word in words %}<td {% if word %}class="a"{% endif %}>{{ word }}</td>{% endfor %}</tr></table>
<img src="https://a.example/x.png" alt="{{ name }} at sea"><p>{{ name }}
{{ link }}</p></body></html>
"""


def make_text_renderer() -> Renderer:
    with TemporaryDirectory() as folder:
        campaign = write_campaign(Path(folder), {"body.html.j2": HTML}, 'html = "body.html.j2"')
        assert compile_content(campaign).variants[None].derived is not None
        return make_renderer(campaign)


RENDERER = make_text_renderer()
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x01\x02\x03"))


@given(
    VALUES, st.lists(VALUES, max_size=3), st.from_regex(r"https://[a-z]{1,9}\.example/[a-z?=&]{0,9}", fullmatch=True)
)
def test_text_derived_from_the_template_equals_that_of_the_message(name: str, words: list[str], link: str) -> None:
    message = RENDERER.render({"name": name, "words": words, "link": link}, 1, "a@b.example")
    assert message.text == derive_text(str(message.html))
