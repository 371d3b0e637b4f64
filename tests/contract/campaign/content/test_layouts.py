"""What campaigns share, Markdown, MJML, and CSS that is inlined once."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.campaigns import make_renderer, render, write_campaign

from engine.campaign.content.templates import compile_content
from engine.campaign.files import list_files
from engine.campaign.message import Message
from engine.campaign.render_error import RenderError
from engine.errors import DataError

LAYOUT = """\
<!doctype html>
<html lang="en"><head><style>
.card { padding: 8px; color: black }
.card p { margin: 0 }
a:hover { color: red }
@media (max-width: 480px) { .card { padding: 2px !important } }
</style></head>
<body>
<table class="page"><tr><td class="card" style="color:{{ colour }};">{% block body %}{% endblock %}</td></tr></table>
{% include "_shared/foot.html.j2" %}
</body></html>
"""
SHARED = {"_shared/layout.html.j2": LAYOUT, "_shared/foot.html.j2": "<p class='foot'>Acme</p>"}


def render_html(folder: Path, body: str, row: Mapping[str, object] | None = None, **files: str) -> str:
    name = files.pop("name", "body.html.j2")
    campaign = write_campaign(folder, {**SHARED, name: body, **files}, f'html = "{name}"')
    return str(render(campaign, {"colour": "navy", **(row or {})}).html)


def in_text(message: Message) -> tuple[Message, str | None, str | None]:
    return replace(message, html_part=None, text_part=None), message.html, message.text


def refusal(folder: Path, body: str, name: str = "body.html.j2") -> DataError:
    with pytest.raises(DataError) as caught:
        compile_content(write_campaign(folder, {**SHARED, name: body}, f'html = "{name}"'))
    return caught.value


def test_a_campaign_extends_and_includes_what_all_campaigns_share(tmp_path: Path) -> None:
    html = render_html(
        tmp_path, '{% extends "_shared/layout.html.j2" %}{% block body %}<p>Hi {{ n }}</p>{% endblock %}', {"n": "A&B"}
    )
    assert "Hi A&amp;B" in html
    assert "Acme" in html


def test_macros_are_shared(tmp_path: Path) -> None:
    files = {
        "_shared/macros.j2": "{% macro button(words, link) %}<a href='{{ link }}'>{{ words }}</a>{% endmacro %}",
        "body.html.j2": '{% from "_shared/macros.j2" import button %}{{ button("Go", "https://a.example") }}',
    }
    campaign = write_campaign(tmp_path, files, 'html = "body.html.j2"')
    assert render(campaign).html == "<a href='https://a.example'>Go</a>"


def test_what_is_frozen_renders_without_the_shared_folder(tmp_path: Path) -> None:
    body = '{% extends "_shared/layout.html.j2" %}{% block body %}x{% endblock %}'
    campaign = write_campaign(tmp_path, {**SHARED, "body.html.j2": body}, 'html = "body.html.j2"')
    frozen = {name: path.read_text(encoding="utf-8") for name, path in list_files(campaign.folder).items()}
    assert set(frozen) == {"body.html.j2", "campaign.toml", "_shared/layout.html.j2", "_shared/foot.html.j2"}
    alone = tmp_path / "runs" / "campaigns"
    for name, text in frozen.items():
        (alone / "welcome" / name).parent.mkdir(parents=True, exist_ok=True)
        (alone / "welcome" / name).write_text(text, encoding="utf-8")
    copy = write_campaign(tmp_path / "runs", {}, 'html = "body.html.j2"')
    assert in_text(render(copy, {"colour": "navy"})) == in_text(render(campaign, {"colour": "navy"}))


@pytest.mark.parametrize(
    ("name", "what"),
    [("_shared/../secret.j2", "is missing"), ("_shared/link.j2", "is a symbolic link that leads out of"),
     ("../_shared/layout.html.j2", "is missing")],
)  # fmt: skip
def test_shared_names_lead_nowhere_else(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "campaigns" / "_shared").mkdir(parents=True)
    (tmp_path / "campaigns" / "secret.j2").write_text("secret", encoding="utf-8")
    if "link" in name:
        (tmp_path / "campaigns" / "_shared" / "link.j2").symlink_to(tmp_path / "campaigns" / "secret.j2")
    assert what in refusal(tmp_path, f'{{% include "{name}" %}}').what


def test_a_missing_partial_names_the_search_path(tmp_path: Path) -> None:
    error = refusal(tmp_path, '{% include "_shared/nowhere.html.j2" %}')
    assert error.what == (
        f"the template _shared/nowhere.html.j2 is missing (searched in {tmp_path}/campaigns/welcome and, "
        f"as _shared/…, in {tmp_path}/campaigns/_shared)"
    )


def test_css_of_a_layout_is_inlined_into_its_elements_and_blocks(tmp_path: Path) -> None:
    loop = "{% for x in [1] %}<p>{{ x }}</p>{% endfor %}"
    body = f'{{% extends "_shared/layout.html.j2" %}}\n{{% block body %}}{loop}{{% endblock %}}'
    html = render_html(tmp_path, body)
    assert '<td class="card" style="padding: 8px;color:navy;">' in html
    assert '<p style="margin: 0;">1</p>' in html
    assert "@media (max-width: 480px) { .card { padding: 2px !important } }" in html
    assert "<p class='foot'>Acme</p>" in html


def test_inlining_changes_nothing_but_style_attributes(tmp_path: Path) -> None:
    body = (
        '<!DOCTYPE html>\n<html xmlns:v="urn:x"><head><style>p.a{color:red;margin:0}</style></head><body>\n'
        '<!--[if mso]><table><tr><td class="a"><![endif]-->\n<IMG src="https://a.example/x.png" alt="">\n'
        '<p {% if x %}class="a"{% else %}class="b"{% endif %} \n'
        '   title="a > b">{{ "<p>" if x > 3 else "é" }} &nbsp;&copy;</p>\n'
        "</body></html>\n"
    )
    html = render_html(tmp_path, body, {"x": 1})
    assert html.replace(' style="color: red;margin: 0;"', "") == (
        body.replace('{% if x %}class="a"{% else %}class="b"{% endif %}', 'class="a"').replace(
            '{{ "<p>" if x > 3 else "é" }}', "é"
        )
    )


def test_an_important_rule_prevails_over_the_elements_own_style(tmp_path: Path) -> None:
    html = render_html(
        tmp_path, '<style>p{color:red !important;margin:0}</style><p style="color:blue;margin:1px">x</p>'
    )
    assert '<p style="color: red !important;color:blue;margin:1px">' in html


@pytest.mark.parametrize("media", ['media="print"', "media='(max-width: 9px)'", "MEDIA=print"])
def test_inlining_skips_rules_that_are_not_for_every_screen(tmp_path: Path, media: str) -> None:
    html = render_html(tmp_path, f"<style {media}>p{{display:none}}</style><style>p{{margin:0}}</style><p>x</p>")
    assert '<p style="margin: 0;">x</p>' in html
    assert f"<style {media}>p{{display:none}}</style>" in html


@pytest.mark.parametrize("media", ['media="screen"', "media=all", 'media="print, screen"', ""])
def test_inlining_reads_rules_that_are_for_every_screen(tmp_path: Path, media: str) -> None:
    assert '<p style="margin: 0;">x</p>' in render_html(tmp_path, f"<style {media}>p{{margin:0}}</style><p>x</p>")


def test_an_element_that_html_does_not_allow_there_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, "<style>td{margin:0}</style>\n<div>\n<td>x</td></div>")
    assert error.where.endswith("body.html.j2:3")
    assert error.what == "<td> is not allowed by HTML in this place, so its styles cannot be inlined"


def test_an_error_after_inlining_still_names_its_line(tmp_path: Path) -> None:
    body = "<style>p{margin:0}</style>\n<p>a</p>\n<p>{{ 1 // zero }}</p>"
    campaign = write_campaign(tmp_path, {"body.html.j2": body}, 'html = "body.html.j2"')
    with pytest.raises(RenderError, match=r"^body\.html\.j2:3: ZeroDivisionError"):
        render(campaign, {"zero": 0})


def test_a_preheader_stands_hidden_at_the_top_of_the_body(tmp_path: Path) -> None:
    body = '{% extends "_shared/layout.html.j2" %}{% block body %}x{% endblock %}'
    content = 'html = "body.html.j2"\npreheader = "For {{ name }}"'
    campaign = write_campaign(tmp_path, {**SHARED, "body.html.j2": body}, content)
    html = str(render(campaign, {"colour": "navy", "name": "A&B"}).html)
    assert re.search(r"<body>\s*<div style=\"display:none;[^>]*>For A&amp;B(&#847;&zwnj;&nbsp;)+</div>", html)
    with pytest.raises(RenderError, match=r"^preheader:1: name is null"):
        render(campaign, {"colour": "navy", "name": None})


MARKDOWN = """\
# Hello {{ name }}

A *word* & a [link]({{ url }}?a=1&b=2), 5 < 6.

{% if plan == "pro" %}
Yours is **pro**.
{% else %}
Yours is free.
{% endif %}

{% for thing in things %}
- {{ thing }}
{% endfor %}

| a | b |
|---|---|
| {{ name }} | 2 |
"""
ROW = {"name": "*Ann* <b>", "url": "https://a.example/", "plan": "pro", "things": ["one", "two"]}


def test_markdown_becomes_a_letter_and_values_in_it_stay_values(tmp_path: Path) -> None:
    html = render_html(tmp_path, MARKDOWN, ROW, name="body.md.j2")
    assert re.search(r'<h1 style="[^"]+">Hello \*Ann\* &lt;b&gt;</h1>', html)
    assert re.search(r'<a style="[^"]+" href="https://a.example/\?a=1&amp;b=2">link</a>, 5 &lt; 6', html)
    assert "Yours is <strong>pro</strong>." in html
    assert "free" not in html
    assert re.search(r"<ul[^>]*>\s*<li>one</li>\s*<li>two</li>\s*</ul>", html)
    assert re.search(r"<td[^>]*>\*Ann\* &lt;b&gt;</td>", html)
    assert html.startswith("<!doctype html>")


def test_markdown_fills_the_blocks_of_a_layout(tmp_path: Path) -> None:
    body = '{% extends "_shared/layout.html.j2" %}\n\n{% block body %}\n\nHi *{{ n }}*\n\n{% endblock %}\n'
    html = render_html(tmp_path, body, {"n": "Ann"}, name="body.md.j2")
    assert '<p style="margin: 0;">Hi <em>Ann</em></p>' in html


@pytest.mark.parametrize(("name", "line"), [("nobody", 1), ("url", 3)])
def test_an_error_in_markdown_names_its_line(tmp_path: Path, name: str, line: int) -> None:
    source = MARKDOWN.replace("{{ name }}\n", "{{ nobody }}\n", 1) if name == "nobody" else MARKDOWN
    campaign = write_campaign(tmp_path, {"body.md.j2": source}, 'html = "body.md.j2"')
    with pytest.raises(RenderError, match=rf"^body\.md\.j2:{line}: {name} is "):
        render(campaign, {**ROW, "url": None})


def test_a_syntax_error_in_markdown_names_its_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, "# x\n\ntext\n\n{{ a b }}\n", name="body.md.j2").where.endswith("body.md.j2:5")


MJML = """\
{% from "_shared/macros.j2" import shout %}
<mjml>
  <mj-head>
    <mj-attributes><mj-all font-family="Arial" /><mj-class name="big" font-size="30px" /></mj-attributes>
    <mj-style inline="inline">.red { color: red; }</mj-style>
  </mj-head>
  <mj-body background-color="#eeeeee">
    {% if vip %}
    <mj-section><mj-column><mj-text>For you alone</mj-text></mj-column></mj-section>
    {% endif %}
    {% for thing in things %}
    <mj-section background-color="{{ colour }}">
      <mj-column><mj-text mj-class="big">{{ shout(thing) }} <span style="color: blue;
        font-weight: bold">{{ name }}</span> &amp; <b class="red">x</b></mj-text></mj-column>
      <mj-column><mj-image src="https://a.example/{{ name }}.png" alt="A" />
        <mj-button href="{{ url }}?a=1&amp;b=2">Go</mj-button></mj-column>
    </mj-section>
    {% endfor %}
    {% include "_shared/foot.mjml.j2" %}
  </mj-body>
</mjml>
"""
MJML_FILES = {
    "_shared/macros.j2": "{% macro shout(x) %}{{ x|upper }}!{% endmacro %}",
    "_shared/foot.mjml.j2": "<mj-section><mj-column><mj-text>Bye {{ name }}</mj-text></mj-column></mj-section>",
}


def test_mjml_is_compiled_once_with_its_tags_in_their_places(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {**MJML_FILES, "body.mjml.j2": MJML}, 'html = "body.mjml.j2"')
    row = {"vip": False, "things": ["one", "two"], "colour": "#fafafa", "name": "Ann&", "url": "https://a.example/"}
    html = str(render(campaign, row).html)
    assert "For you alone" not in html
    assert html.count("ONE!") == html.count("TWO!") == 1
    assert html.count('href="https://a.example/?a=1&amp;b=2"') == 2
    assert re.search(r'<span style="color: blue;\s+font-weight: bold">Ann&amp;</span>', html)
    assert "background-color:#fafafa" in html or "background:#fafafa" in html
    assert "Bye Ann&amp;" in html
    assert "mj-raw" not in html
    assert "\\n" not in html
    assert "For you alone" in str(render(campaign, row | {"vip": True}).html)


def test_an_error_in_mjml_names_file_and_line(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {**MJML_FILES, "body.mjml.j2": MJML}, 'html = "body.mjml.j2"')
    row = {"vip": False, "things": [], "colour": "#fff", "name": None, "url": "https://a.example/"}
    with pytest.raises(RenderError, match=r"^_shared/foot\.mjml\.j2:1: name is null"):
        render(campaign, row)
    with pytest.raises(RenderError, match=r"^body\.mjml\.j2:14: name is null"):
        render(campaign, row | {"things": ["x"]})


@pytest.mark.parametrize(
    ("change", "what", "line"),
    [
        (("<mj-text>For", "<mj-txt>For"), "<mj-txt> is not an MJML element", 9),
        (("</mj-head>", "</mj-head><mj-include path='../x.mjml' />"), "mj-include is not supported", 6),
        (("<mj-body ", "<mj-bdy "), "", None),
    ],
)
def test_wrong_mjml_is_refused_with_the_element(
    tmp_path: Path, change: tuple[str, str], what: str, line: int | None
) -> None:
    source = MJML.replace(*change)
    with pytest.raises(DataError) as caught:
        compile_content(write_campaign(tmp_path, {**MJML_FILES, "body.mjml.j2": source}, 'html = "body.mjml.j2"'))
    assert caught.value.what.startswith(what)
    assert "body.mjml.j2" in caught.value.where
    assert line is None or caught.value.where.endswith(f":{line}")


def test_a_tag_that_mjml_would_drop_is_named(tmp_path: Path) -> None:
    source = "<mjml><mj-body>\n{{ first_name }}</mj-body></mjml>"
    error = refusal(tmp_path, source, name="body.mjml.j2")
    assert error.what == "{{ first_name }} is in a place where MJML shows nothing; put it into <mj-text>"
    assert error.where.endswith("body.mjml.j2:2")


def test_file_without_mjml_is_reported(tmp_path: Path) -> None:
    assert refusal(tmp_path, "<p>x</p>", name="body.mjml.j2").what == "there is no <mjml> element in it"


def test_what_everybody_shares_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = make_renderer(write_campaign(tmp_path, {"body.md.j2": MARKDOWN}, 'html = "body.md.j2"'))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("prepared again for a message")

    for name in (
        "markdown.convert_markdown",
        "inline_css.inline_css",
        "html_text.derive_text",
        "templates.compile_content",
    ):
        monkeypatch.setattr(f"engine.campaign.content.{name}", refuse)
    monkeypatch.setattr("engine.campaign.template_parts.derive_text", refuse)
    message = renderer.render(ROW, 1, "a@b.example")
    assert "Yours is pro." in str(message.text)
