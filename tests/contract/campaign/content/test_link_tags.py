"""Links of the HTML part are numbered where SES tracks clicks, and nowhere else."""

import re
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace
from support.campaigns import TOML, make_renderer, render, write_campaign

from engine.campaign.content.compiled import compile_or_reuse
from engine.campaign.content.templates import compile_content
from engine.campaign.message import prepare_envelope
from engine.campaign.render import Renderer
from engine.campaign.spec import Campaign, change_transport
from engine.delivery.transports.ses_documents import Documents

SES = '[delivery]\nconfiguration_set = "news"\n'
MJML = (
    "<mjml><mj-body><mj-section><mj-column><mj-button href='https://a.example'>a</mj-button>"
    "<mj-text><a href='https://b.example/{{ id }}'>b</a></mj-text></mj-column></mj-section></mj-body></mjml>"
)
TAGS = re.compile(r' ses:tags="mailrun-link:\d+"|(?<=ses:tags=["\'])mailrun-link:\d+;')


def write(
    folder: Path, html: str, more: str = SES, files: dict[str, str] | None = None, name: str = "b.html.j2"
) -> Campaign:
    return write_campaign(folder, {name: html, **(files or {})}, f'html = "{name}"\n{more}')


def render_html(folder: Path, html: str, more: str = SES, row: dict[str, object] | None = None, **files: str) -> str:
    named = {name.replace("_", "."): text for name, text in files.items()}
    message = render(write(folder, html, more, named), row)
    assert message.html is not None
    return message.html


@pytest.mark.parametrize(
    ("html", "tagged"),
    [
        ('<a href="https://a.example">a</a>', '<a ses:tags="mailrun-link:1" href="https://a.example">a</a>'),
        (
            '<a href="https://a">a</a><A class=b HREF=//b>b</A>',
            '<a ses:tags="mailrun-link:1" href="https://a">a</a><A ses:tags="mailrun-link:2" class=b HREF=//b>b</A>',
        ),
        ('<a name="x">a</a><a href="http://b">b</a>', '<a name="x">a</a><a ses:tags="mailrun-link:1" href="http://b">b</a>'),
        ("<a\n  href='{{ url }}'>a</a>", "<a ses:tags=\"mailrun-link:1\"\n  href='https://u.example/?a=1&amp;b'>a</a>"),
        ('<a href="https://a.example/{{ id }}">a</a>', '<a ses:tags="mailrun-link:1" href="https://a.example/7">a</a>'),
        (
            '<a title="x > y" {% if id %}href="https://a.example"{% else %}href="https://b.example"{% endif %}>a</a>',
            '<a ses:tags="mailrun-link:1" title="x > y" href="https://a.example">a</a>',
        ),
        (
            "{% if not id %}<a href='https://a.example'>a</a>{% else %}<a href='https://b.example'>b</a>{% endif %}",
            "<a ses:tags=\"mailrun-link:2\" href='https://b.example'>b</a>",
        ),
        (
            "{% for one in 'xy' %}<a href='https://{{ one }}'>a</a>{% endfor %}",
            "<a ses:tags=\"mailrun-link:1\" href='https://x'>a</a><a ses:tags=\"mailrun-link:1\" href='https://y'>a</a>",
        ),
    ],
)  # fmt: skip
def test_every_link_gets_the_number_of_its_place(tmp_path: Path, html: str, tagged: str) -> None:
    assert render_html(tmp_path, html, row={"id": 7, "url": "https://u.example/?a=1&b"}) == tagged


@pytest.mark.parametrize(
    ("html", "tagged"),
    [
        ('<a ses:tags="p:a" href="https://a">a</a>', '<a ses:tags="mailrun-link:1;p:a" href="https://a">a</a>'),
        ("<a href='//a' SES:TAGS='p:a;q:b;'>a</a>", "<a href='//a' SES:TAGS='mailrun-link:1;p:a;q:b;'>a</a>"),
        ('<a ses:tags="p:{{ id }}" href="https://a">a</a>', '<a ses:tags="mailrun-link:1;p:7" href="https://a">a</a>'),
        ('<a ses:tags="{{ tags }}" href="https://a">a</a>', '<a ses:tags="mailrun-link:1;p:a" href="https://a">a</a>'),
        ('<a ses:tags="" href="https://a">a</a>', '<a ses:tags="mailrun-link:1;" href="https://a">a</a>'),
    ],
)  # fmt: skip
def test_tags_that_the_author_wrote_are_kept(tmp_path: Path, html: str, tagged: str) -> None:
    assert render_html(tmp_path, html, row={"id": 7, "tags": "p:a"}) == tagged


@pytest.mark.parametrize(
    "link",
    [
        '<a ses:no-track href="https://a.example">a</a>',
        '<a {% if id %}ses:no-track{% endif %} href="https://a.example">a</a>',
        '<a ses:tags="mailrun-link:9" href="https://a.example">a</a>',
        '<a ses:tags href="https://a.example">a</a>',
        '<a href="mailto:a@b.example">a</a>',
        '<a href="#top">a</a>',
        '<a href="tel:+49123">a</a>',
        '<a href="">a</a>',
    ],
)
def test_link_that_is_not_tracked_is_left_alone_and_has_a_place(tmp_path: Path, link: str) -> None:
    made = render_html(tmp_path, f'{link}<a href="https://b.example">b</a>', row={"id": None})
    assert made.endswith('<a ses:tags="mailrun-link:2" href="https://b.example">b</a>')
    assert made.count("mailrun-link:1") == 0
    assert made.count("ses:tags") == link.count("ses:tags") + 1


@pytest.mark.parametrize(
    "hidden",
    [
        '<!-- <a href="https://x.example">x</a> -->',
        '<!--[if mso]><a href="https://x.example">x</a><![endif]-->',
        '{# <a href="https://x.example">x</a> #}',
        '<title><a href="https://x.example"></title>',
        "<abbr title='<a href=https://x.example>'>x</abbr>",
        '<area href="https://x.example"><address href="y"></address>',
    ],
)
def test_what_is_not_a_link_has_no_place(tmp_path: Path, hidden: str) -> None:
    made = render_html(tmp_path, f'{hidden}<a href="https://b.example">b</a>')
    assert made.count("mailrun-link:") == 1
    assert made.endswith('<a ses:tags="mailrun-link:1" href="https://b.example">b</a>')


@pytest.mark.parametrize(
    "more",
    [
        "",
        '[delivery]\nconfiguration_set = "news"\nclick_tracking = false\n',
        '[delivery]\nconfiguration_set = "news"\ntransport = "outbox"\n',
        '[delivery]\nconfiguration_set = "news"\ntransport = "smtp"\n',
        "[delivery]\nclick_tracking = true\n",
    ],
)
def test_nothing_is_tagged_where_ses_does_not_track(tmp_path: Path, more: str) -> None:
    html = '<style>a { color: red }</style><a href="https://a.example">a</a>'
    assert "ses:tags" not in render_html(tmp_path, html, more)


def test_unsubscribe_link_is_tagged_like_any_link_but_not_that_of_ses(tmp_path: Path) -> None:
    """Where SES manages opt-outs, it puts its own link in: that is left alone."""
    html = '<a href="{{ unsubscribe_url }}">out</a><a href="https://a.example">a</a>'
    marketing = TOML.replace("transactional", "marketing").replace("[content]", "")
    own = marketing + '[unsubscribe]\nurl = "https://u.example/{{ token }}"\n[content]\n'
    theirs = marketing + '[unsubscribe]\nses_contact_list = "people"\n[content]\n'
    made = {}
    for name, toml in (("own", own), ("theirs", theirs)):
        campaign = write_campaign(tmp_path / name, {"b.html.j2": html}, f'html = "b.html.j2"\n{SES}', toml=toml)
        message = render(campaign)
        assert message.html is not None
        made[name] = re.findall(r"mailrun-link:\d+", message.html)
    assert made == {"own": ["mailrun-link:1", "mailrun-link:2"], "theirs": ["mailrun-link:2"]}


def test_layouts_includes_and_languages_are_numbered_as_one_document(tmp_path: Path) -> None:
    files = {
        "_shared/base.html.j2": '<a href="https://top.example">t</a>{% block main %}{% endblock %}'
        '{% include "_shared/foot.html.j2" %}',
        "_shared/foot.html.j2": '<a href="https://foot.example">f</a>',
        "b.html.j2": '{% extends "_shared/base.html.j2" %}'
        '{% block main %}<a href="https://main.example">m</a>{% endblock %}',
        "b.de.html.j2": '<a href="https://main.example/de">m</a>{% include "_shared/foot.html.j2" %}',
    }
    content = f'html = "b.html.j2"\nlocale = "lang"\n{SES}'
    campaign = write_campaign(tmp_path, files, content)
    found = {}
    for language in ("en", "de"):
        message = render(campaign, {"lang": language})
        assert message.html is not None
        found[language] = re.findall(r'mailrun-link:(\d+)" href="https://(\w+)', message.html)
    assert found == {
        "en": [("1", "top"), ("2", "main"), ("3", "foot")],
        "de": [("1", "main"), ("2", "foot")],
    }


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("b.md", "[a](https://a.example) and [b](https://b.example/{{ id }})"),
        ("b.mjml", MJML),
    ],
)
def test_links_of_markdown_and_mjml_are_numbered(tmp_path: Path, name: str, source: str) -> None:
    message = render(write(tmp_path, source, name=name), {"id": 7})
    assert message.html is not None
    assert re.findall(r'ses:tags="mailrun-link:(\d+)"', message.html) == ["1", "2"]


def test_tags_change_neither_the_text_part_nor_anything_else(tmp_path: Path) -> None:
    html = (
        '<html><head><style>a { color: red } @media print { a { color: black } }</style></head><body>'
        '<p>Hi {{ name }}, <a href="https://a.example/{{ id }}">look</a></p><p><a ses:tags="p:a" href="https://b.example">b</a>'
        "</p></body></html>"
    )  # fmt: skip
    row = {"name": "Ann & Bob", "id": 7}
    plain, tagged = (render(write(tmp_path / str(number), html, more), row) for number, more in enumerate(("", SES)))
    assert plain.html is not None
    assert tagged.html is not None
    assert TAGS.sub("", tagged.html) == plain.html != tagged.html
    assert tagged.text == plain.text
    assert (tagged.subject, tagged.headers) == (plain.subject, plain.headers)


def test_tags_are_static_text_of_both_calls(tmp_path: Path) -> None:
    """A bulk call has them in its template, once for all recipients."""
    campaign = write(tmp_path, '<a href="https://a.example/{{ id }}">a</a>')
    documents, content = Documents(prepare_envelope(campaign)), compile_content(campaign)
    bulk = Renderer(content, campaign, run_key="k", signer=None, writer=documents.bulk)
    messages = [bulk.render({"id": row}, row, f"p{row}@x.example") for row in range(5)]
    template = documents.choose_template(messages[0])
    assert {documents.choose_template(message) for message in messages} == {template}
    assert template.head.count(b"mailrun-link:1") == 1
    assert all(
        b"mailrun" not in documents.write_entry(one, template).partition(b"ReplacementEmail")[2] for one in messages
    )
    single = Renderer(content, campaign, run_key="k", signer=None, writer=documents.single)
    document = orjson.loads(documents.write_single(single.render({"id": 7}, 7, "p7@x.example")))
    html = document["Content"]["Simple"]["Body"]["Html"]["Data"]
    assert html == '<a ses:tags="mailrun-link:1" href="https://a.example/7">a</a>'


def test_other_transport_is_compiled_again(tmp_path: Path) -> None:
    """`launch --transport outbox` follows a check of the same files for SES."""
    campaign = write(tmp_path, '<a href="https://a.example">a</a>')
    for transport, is_tagged in (("ses", True), ("outbox", False), ("ses", True)):
        changed = replace(campaign, spec=change_transport(campaign.spec, transport))
        renderer = Renderer(compile_or_reuse(changed), changed, run_key="k", signer=None)
        html = renderer.render({}, 1, "ann@example.com").html
        assert html is not None
        assert ("ses:tags" in html) is is_tagged


def test_file_that_is_included_twice_has_the_places_of_the_first(tmp_path: Path) -> None:
    files = {"foot.j2": '<a href="https://foot.example">f</a>'}
    html = '{% include "foot.j2" %}<a href="https://a.example">a</a>{% include "foot.j2" %}<a href="https://b.example">b</a>'
    message = render(write(tmp_path, html, files=files))
    assert message.html is not None
    assert re.findall(r"mailrun-link:(\d+)", message.html) == ["1", "2", "1", "4"]


def test_numbers_end_before_they_get_long(tmp_path: Path) -> None:
    renderer = make_renderer(write(tmp_path, '<a href="https://a.example">a</a>' * 10_002))
    html = renderer.render({}, 1, "ann@example.com").html
    assert html is not None
    assert html.count("mailrun-link:") == 9999
