"""Links from data: nothing that runs, however it is written, and nothing that ends its attribute."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.campaigns import make_renderer, render, write_campaign

from engine.campaign.content.environment import TemplateEnvironment
from engine.campaign.content.printing.link_places import find_link_places
from engine.campaign.content.printing.links import find_refused_scheme
from engine.campaign.render_error import RenderError

RUNNING = [
    "javascript:other()",
    "JaVaScRiPt:other()",
    "  javascript:other()",
    "\x01\x1fjavascript:other()",
    "java\tscript:other()",
    "java\r\nscript\n:other()",
    "vbscript:other",
    "data:text/html,other",
    "data:text/html;base64,b3RoZXI=",
    "file:///other",
    "blob:other",
    "about:other",
    "unknown:other",
    "javascript&colon;other()",
    "&#106;avascript:other()",
    "java&Tab;script:other()",
    "javascript%3Aother()",
    "%6aavascript:other()",
    "\u00a0javascript:other()",
    "java\u00adscript:other()",
    "\u200bjavascript:other()",
]
HARMLESS = [
    "https://acme.example/a?b=c:d#e",
    "HTTPS://ACME.EXAMPLE",
    "http://acme.example:8080/",
    "mailto:other@example.com?subject=a: b",
    "tel:+4930123",
    "sms:+4930123",
    "cid:logo.png",
    "/path:with/colon",
    "?a=javascript:",
    "#javascript:",
    "page.html",
    "javascript",
    "",
    "//acme.example/javascript:",
]
# HTML with the value where a mail program follows it.
PLACES = [
    '<a href="{{ url }}">x</a>',
    "<A HREF='{{ url }}'>x</A>",
    '<a href = "\n {{ url }} ">x</a>',
    '<a class="c" title="a > b" href="{{ url }}">x</a>',
    '<img src="{{ url }}" alt="">',
    '<form action="{{ url }}"></form>',
    '<button formaction="{{ url }}">x</button>',
    '<svg><a xlink:href="{{ url }}">x</a></svg>',
    '<img alt="" srcset="https://acme.example/1.png 1x, {{ url }} 2x">',
    '<video poster="{{ url }}"></video>',
    '<td background="{{ url }}">x</td>',
    '<object data="{{ url }}"></object>',
    '<p style="background: url({{ url }})">x</p>',
    "<p style=\"background: url('{{ url }}') red\">x</p>",
    '<style data-css-inline="ignore">p { background: url("{{ url }}") }</style>x',
    '<meta http-equiv="refresh" content="0; url={{ url }}">x',
    '<!--[if mso]><v:rect href="{{ url }}">x</v:rect><![endif]-->x',
    '{% if url %}<a href="{% endif %}{{ url }}">x</a>',
    '<a {% if url %}class="c"{% endif %} href="{% if url %}{{ url }}{% else %}https://acme.example{% endif %}">x</a>',
    '{% for one in [url] %}<a href="{{ one }}">x</a>{% endfor %}',
    '{% macro link(to) %}<a href="{{ to }}">x</a>{% endmacro %}{{ link(url) }}',
    '{% macro attribute(to) %}href="{{ to }}"{% endmacro %}<a {{ attribute(url) }}>x</a>',
    '{% macro same(to) %}{{ to }}{% endmacro %}<a href="{{ same(url) }}">x</a>',
    '{% set made %}{{ url }}{% endset %}<a href="{{ made }}">x</a>',
    '{% set made = url|trim %}<a href="{{ made }}">x</a>',
    '{% block body %}<a href="{% block to %}{{ url }}{% endblock %}">x</a>{% endblock %}',
    '<a href="{% include "part.j2" %}">x</a>',
    '{% set name = "part.j2" if url else "" %}<a {% include "link.j2" %}>x</a>',
    "<a{{ {'href': url}|xmlattr }}>x</a>",
    '<a href="{{ url|safe }}">x</a>',
    '{% autoescape false %}<a href="{{ url }}">x</a>{% endautoescape %}',
    "{{ ('<a href=\"' ~ url ~ '\">x</a>')|safe }}",
    '<svg><animate attributeName="href" values="{{ url }}"/></svg>',
]
FILES = {"part.j2": "{{ url }}", "link.j2": 'href="{{ url }}"'}


def write_html(folder: Path, html: str, **files: str) -> Callable[[dict[str, Any]], str]:
    body = html if html.startswith("{% extends") else f"<html><body>{html}</body></html>"
    campaign = write_campaign(folder, {"body.html.j2": body, **FILES, **files}, 'html = "body.html.j2"')
    renderer = make_renderer(campaign)
    return lambda row: str(renderer.render(row, 1, "ann@example.com").html)


@pytest.mark.parametrize("url", RUNNING)
def test_data_must_not_name_a_scheme_that_runs(url: str) -> None:
    assert find_refused_scheme(url) is not None


@pytest.mark.parametrize("url", HARMLESS)
def test_usual_links_are_left_alone(url: str) -> None:
    assert find_refused_scheme(url) is None


@pytest.mark.parametrize("html", PLACES)
def test_a_link_is_judged_wherever_a_mail_program_follows_it(tmp_path: Path, html: str) -> None:
    make = write_html(tmp_path, html)
    for url in ("javascript:other()", " JAVA\tscript:other()", "vbscript:other", "data:text/html,other"):
        with pytest.raises(RenderError, match=r"^\S+j2:\d+: ") as raised:
            make({"url": url})
        assert "other" not in str(raised.value)
    assert "https://acme.example/x" in make({"url": "https://acme.example/x"})


def test_the_reason_names_column_scheme_file_and_line(tmp_path: Path) -> None:
    make = write_html(tmp_path, '\n<p>x</p>\n<a href="{{ cta_url }}">x</a>')
    with pytest.raises(RenderError) as raised:
        make({"cta_url": "javascript:other()"})
    assert str(raised.value) == (
        "body.html.j2:3: cta_url is a javascript: link, which is not allowed in data;"
        " write a full link that starts with https://"
    )


@pytest.mark.parametrize(
    ("html", "row"),
    [
        ('<a href="{{ scheme }}:{{ url }}">x</a>', {"scheme": "javascript", "url": "other()"}),
        ('<a href="java{{ url }}">x</a>', {"url": "script:other()"}),
        ('<a href="{{ scheme }}{{ url }}">x</a>', {"scheme": "java", "url": "script:other()"}),
        ('<a href="{{ scheme }}script:other()">x</a>', {"scheme": "java"}),
        ('<a href="{{ scheme }}{% if url %}{{ url }}{% endif %}">x</a>', {"scheme": "java", "url": "script:other()"}),
        ('<a href="{{ scheme ~ url }}">x</a>', {"scheme": "java", "url": "script:other()"}),
        ('<a href="{% for one in [scheme, url] %}{{ one }}{% endfor %}">x</a>', {"scheme": "j", "url": "avascript:o"}),
    ],
)
def test_a_scheme_that_is_put_together_is_judged_as_a_whole(tmp_path: Path, html: str, row: dict[str, str]) -> None:
    with pytest.raises(RenderError, match=r"scheme of a link|javascript: link|not a full link"):
        write_html(tmp_path, html)(row)


@pytest.mark.parametrize(
    "html",
    [
        "<p>{{ text }}</p>",
        '<p title="{{ text }}">x</p>',
        '<a href="https://acme.example/?q={{ text }}">x</a>',
        '<a href="https://{{ text }}">x</a>',
        '<a href="/{{ text }}">x</a>',
        '<a href="mailto:{{ text }}">x</a>',
        '<a href="myapp://{{ text }}">x</a>',
        "<!-- {{ text }} -->x",
        "<title>{{ text }}</title>x",
        '<script type="application/ld+json">{"name": {{ text|tojson }}}</script>x',
        '<img alt="{{ text }}" src="data:image/png;base64,{{ text }}">',
        "<p>1 < 2 {{ text }}</p>",
    ],
)
def test_data_elsewhere_is_not_judged_as_a_link(tmp_path: Path, html: str) -> None:
    assert "javascript:" in write_html(tmp_path, html)({"text": "javascript: the good parts"})


@pytest.mark.parametrize("value", ["a b", "a\tonclick=other", 'a"', "a'", "a>b", "a=b", "a`b", ""])
@pytest.mark.parametrize(
    "html", ["<a href={{ it }}>x</a>", "<td width={{ it }}>x</td>", "<td {% if it %}{% endif %}id={{ it }} >x"]
)
def test_data_does_not_end_an_attribute_without_quotes(tmp_path: Path, html: str, value: str) -> None:
    make = write_html(tmp_path, html)
    with pytest.raises(RenderError, match=r"it (has a space|is empty).*write quotes around it"):
        make({"it": value})
    assert "=100" in make({"it": "100"})


@pytest.mark.parametrize(
    ("html", "value"),
    [
        ("<a {{ it }}>x</a>", "onclick=other"),
        ("<a {{ it }}>x</a>", "onclick"),
        ("<a {{ it }}='y'>x</a>", "href"),
        ("<{{ it }}>x", "p onclick=other"),
        ("<{{ it }} src='https://other.example'>", "Script"),
        ("<a data-{{ it }}=y>x</a>", "a onclick=other"),
        ("<a{{ {it: 'y'}|xmlattr }}>x</a>", "onclick"),
        ("<a {{ it|safe }}>x</a>", 'onclick="other()"'),
        ("<a {{ it|safe }}>x</a>", 'href="java&#115;cript:other()"'),
        ("<a {{ it|safe }}>x</a>", 'title="other'),
        ("{% set own = it|safe %}<a class=x {{ own }}>x</a>", "href=javascript:other()"),
        ("<{{ it|safe }}>x", "p onclick=other()"),
        ('<p title="{{ it|safe }}">x</p>', 'y" onclick="other'),
        ("{% autoescape false %}<p title='{{ it }}'>x</p>{% endautoescape %}", "y' onclick='other"),
        ('<p style="color: {{ it }}">x</p>', "red; background: url( 'javascript:other')"),
        ('<p style="color: {{ it }}">x</p>', "expression(other())"),
        ('<p style="{{ it }}">x</p>', "-moz-binding: url(https://other.example)"),
        ("{{ it|safe }}", "<script>other()</script>"),
        ("{{ it|safe }}", '<p onclick="other()">'),
        ("{{ it|safe }}", '<a href="java&#115;cript:other()">'),
        ("{{ it|safe }}", '<a href="javascript:other()"'),
        ("{% autoescape false %}{{ it }}{% endautoescape %}", "<iframe src=https://other.example>"),
    ],
)
def test_data_adds_no_attribute_and_no_element_that_runs(tmp_path: Path, html: str, value: str) -> None:
    with pytest.raises(RenderError) as raised:
        write_html(tmp_path, html)({"it": value})
    assert "other" not in raised.value.reason


def test_markup_of_ones_own_data_that_runs_nothing_is_kept(tmp_path: Path) -> None:
    markup = '<p style="color:red">A <a href="https://acme.example/">link</a><br/><img src="cid:a.png"></p>'
    assert markup in write_html(tmp_path, "{{ it|safe }}")({"it": markup})


def test_attributes_of_ones_own_data_and_template_are_kept(tmp_path: Path) -> None:
    own = "{% macro go() %}href='myapp://open'{% endmacro %}"
    html = f"{own}<a {{{{ it|safe }}}}>x</a><a {{{{ go() }}}}>x</a><a {{{{ 'class=\"y\"'|safe }}}}>x</a>"
    made = write_html(tmp_path, html)({"it": 'class="y" href="https://acme.example/?a=1&amp;b=2"'})
    assert '<a class="y" href="https://acme.example/?a=1&amp;b=2">' in made
    assert "<a href='myapp://open'>" in made
    assert '<a class="y">' in made


def test_layouts_and_blocks_are_followed(tmp_path: Path) -> None:
    layout = '<html><body>{% block body %}<a href="{{ url }}">x</a>{% endblock %}</body></html>'
    child = '{% extends "layout.j2" %}{% block body %}{{ super() }}<p>{{ text }}</p>{% endblock %}'
    make = write_html(tmp_path, child, **{"layout.j2": layout})
    assert "<p>javascript:" in make({"url": "https://acme.example", "text": "javascript: the good parts"})
    with pytest.raises(RenderError, match=r"layout\.j2:1: url is a javascript: link"):
        make({"url": "javascript:other()", "text": "x"})


def test_a_template_that_only_rendering_names_is_judged_by_itself(tmp_path: Path) -> None:
    make = write_html(tmp_path, "{% include which %}", **{"a.j2": '<a href="{{ url }}">x</a>'})
    with pytest.raises(RenderError, match=r"a\.j2:1: url is a javascript: link"):
        make({"url": "javascript:other()", "which": "a.j2"})


MARKDOWN = "[a link]({{ url }}) and <a href='{{ url }}'>x</a>\n"
MJML = (
    '<mjml><mj-body><mj-section><mj-column><mj-button href="{{ url }}">x</mj-button></mj-column></mj-section></mj-body>'
    "</mjml>"
)


@pytest.mark.parametrize(("name", "body"), [("body.md.j2", MARKDOWN), ("body.mjml.j2", MJML)])
def test_links_of_markdown_and_mjml_are_judged(tmp_path: Path, name: str, body: str) -> None:
    campaign = write_campaign(tmp_path, {name: body}, f'html = "{name}"')
    assert 'href="https://acme.example/x"' in str(render(campaign, {"url": "https://acme.example/x"}).html)
    with pytest.raises(RenderError, match=rf"{re.escape(name)}:1: url is a javascript: link"):
        render(campaign, {"url": "javascript:other()"})


def test_html_and_links_in_data_are_text_in_markdown(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"body.md.j2": "Hi {{ it }}\n\n<{{ it }}>\n"}, 'html = "body.md.j2"')
    with pytest.raises(RenderError, match="is among the attribute names of a tag"):
        render(campaign, {"it": "[x](javascript:other())"})
    campaign = write_campaign(tmp_path, {"body.md.j2": "Hi {{ it }}\n"}, 'html = "body.md.j2"')
    assert "Hi [x](javascript:other()) &lt;b&gt;" in str(render(campaign, {"it": "[x](javascript:other()) <b>"}).html)


@pytest.mark.parametrize(
    "html",
    [
        "<a\x0bhref\x0b=\x0b'{{ it }}'>x",
        "<a\u00a0b\u3000=c {{ it }}>x",
        "<a/=/=\u2028{{ it }}>x",
        "<a b = {{ it }}>x",
        "</a b={{ it }}>x",
        "<a =b{{ it }}='c'>x",
        "x<",
        "<!x {{ it }}>x",
        "<!--[if mso]>{{ it }}<!-- {{ it }} --><![endif]-->x",
        "<title>{{ it }}</ti",
    ],
)
def test_whatever_html_is_written_is_followed_to_its_end(tmp_path: Path, html: str) -> None:
    assert write_html(tmp_path, html)({"it": "a"})


def test_text_parts_are_not_judged(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"body.txt.j2": '<a href="{{ url }}">'}, 'text = "body.txt.j2"')
    assert "javascript:other" in str(render(campaign, {"url": "javascript:other"}).text)


def count_calls(work: Callable[[], object]) -> int:
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_data_outside_of_links_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html = '<p title="{{ name }}">{{ name }}</p><a href="https://acme.example/{{ name }}">x</a>'
    make = write_html(tmp_path, html)
    make({"name": "Ann"})
    judged = count_calls(lambda: make({"name": "Ann"}))
    monkeypatch.setattr("engine.campaign.content.environment.TemplateEnvironment.check_links", lambda *_: None)
    make = write_html(tmp_path, html)
    make({"name": "Ann"})
    assert judged == count_calls(lambda: make({"name": "Ann"}))


def test_a_template_is_followed_in_time_that_grows_with_its_length(tmp_path: Path) -> None:
    piece = '<!-- a --><p title="{{ it }}" style="color: red">{% if it %}<a href="{{ it }}">x</a>{% endif %}</p>\n'

    def count(times: int) -> int:
        campaign = write_campaign(tmp_path, {"body.html.j2": piece * times}, 'html = "body.html.j2"')
        environment = TemplateEnvironment(campaign.folder, autoescape=True)
        tree = environment._parse_plain("body.html.j2")
        return count_calls(lambda: find_link_places("body.html.j2", lambda _: tree))

    count(1)
    assert count(200) < 2.2 * count(100)
