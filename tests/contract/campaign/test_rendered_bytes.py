"""Messages that are rendered and written piece by piece have the bytes of Jinja's own rendering, written as a whole."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.compiler import CodeGenerator

from engine.campaign.content.environment import TemplateEnvironment, make_recipient
from engine.campaign.content.templates import compile_content
from engine.campaign.message import Message, prepare_envelope
from engine.campaign.part_writers import make_utf8_writer
from engine.campaign.render import Renderer
from engine.campaign.render_error import RenderError
from engine.campaign.spec import Campaign, parse_spec
from engine.delivery.transports.ses_documents import BulkTemplate, Documents, write_bulk
from engine.sandbox.ses.rendering import render

TOML = """\
from = "a@acme.example"
subject = "Hi {{ a }}"
kind = "transactional"
audience.source = "a.csv"
content = { html = "body.html", text = "body.text" }
"""
FRAGMENTS = st.sampled_from(
    [
        "{{ a }}", "{{ a|upper }}", "{{ b or 'none' }}", "{% if b %}{{ b }}{% else %}-{% endif %}", "{{ a ~ '<' ~ a }}",
        "{% for i in [1, a, 2.50] %}{{ i }},{% endfor %}", "{% include 'part.html' %}", "{{ recipient.address }}",
        "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{{ m(a) }}",
        "{% macro o() %}<i>{{ caller() }}</i>{% endmacro %}{% call o() %}{{ a }}{% endcall %}",
        "{% set c = a ~ 1 %}{{ c }}", "{% set d %}<i>{{ a }}</i>{% endset %}{{ d }}", "{{ recipient['a'] }}{{ n }}",
        "{% filter upper %}{{ a }}é{% endfilter %}", "{% autoescape false %}{{ n }}{% endautoescape %}", "{{ '{{' }}",
        'say "hi" \\ { ', "<p>é\u2028😀</p>", "{# no #}\n", "{{ '{' }}", "'", "{{ a|length }}",
        "{{ '\\u0001' }}", "{{ c }}", "{% from 'macros.html' import strong %}{{ strong(a) }}",
        "{% import 'macros.html' as macros with context %}{{ macros.strong(b or a) }}",
        "{% import 'macros.html' as printed %}{{ printed }}", "{% with e = a %}{{ e }}<hr>{{ n }}{% endwith %}",
        "{% if b %}{% include 'part.html' %}{% endif %}", "{% include 'part.html' if b else 'fixed.html' %}",
        "{% include ['none.html', 'fixed.html'] without context %}", "{% include 'none.html' ignore missing %}",
        "{% if b %}{% include 'fixed.html' without context %}{% endif %}{{ a }}",
        "{% for i in [a, b] if i %}{% include 'part.html' %}{{ loop.index }}{% else %}none{% endfor %}",
        "{% for i in [1, [2, a]] recursive %}({{ loop(i) if i is iterable else i }}){% endfor %}",
        "{% raw %}.a{b{c:d}}{% endraw %}", "a{b}", "{% if b %}b{% endif %}}", "\\", "{{ '{' }}{{ a }}",
        "}{{ a }}}", "\\{{ a }}",
    ]
)  # fmt: skip
CONTENTS = st.lists(FRAGMENTS, min_size=1, max_size=6).map("".join)
# A template alone, with a block of its own, and as the child of a layout.
TEMPLATES = st.builds(
    str.replace,
    st.sampled_from(
        [
            "CONTENT", "CONTENT", "({% block own scoped %}CONTENT{% endblock %}) {{ self.own() }}",
            "{% extends 'base.html' %}{% block letter %}CONTENT{% endblock %}",
            "{% extends 'base.html' %}{% set title = a %}{% block letter %}{{ super() }}CONTENT{% endblock %}",
            "{% if b %}{% extends 'base.html' %}{% endif %}CONTENT{% block letter %}.{% endblock %}",
            "{% extends 'base.html' if b else 'other.html' %}{% block letter %}CONTENT{% endblock %}",
            "{% if b %}{% block own %}CONTENT{% endblock %}{% endif %}{{ a }}",
            "{% for i in 'ab' %}{% block own scoped %}{{ i }}{% endblock %}{% endfor %}{{ self.own() }}CONTENT",
        ]
    ),
    st.just("CONTENT"),
    CONTENTS,
)  # fmt: skip
FILES = {
    "fixed.html": "<hr>{{ 1 }}",
    "other.html": "{% block letter %}{% endblock %}|{% block foot %}{{ a }}{% endblock %}",
    "part.html": "[{{ a }}|{{ b }}]",
    "macros.html": "{% macro strong(x) %}<strong>{{ x }}</strong>{% endmacro %}",
    "base.html": "<h1>{{ title|default(a) }}</h1>{% block letter %}{{ n }}{% endblock %}"
    "{% block foot %}{{ a }}é{% endblock %}",
}
ODD = st.sampled_from(["{", "{{", "<b>&amp;'\"", "\\", "\u2028", "é", "\x7f", "\n", "\ud800", "", "Ann"])
VALUES = st.lists(ODD | st.text(max_size=5), max_size=3).map("".join)
ROWS = st.fixed_dictionaries(
    {"a": VALUES, "b": st.none() | VALUES, "n": st.integers() | st.floats(allow_nan=False, allow_infinity=False)}
)


class PlainEnvironment(TemplateEnvironment):
    """Compiles as Jinja does."""

    code_generator_class = CodeGenerator


def render_plainly(folder: Path, name: str, row: dict[str, Any]) -> str:
    environment = PlainEnvironment(folder, autoescape=name.endswith(".html"))
    return environment.get_template(name).render(**row, recipient=make_recipient(row, "ann@b.example"))


def render_calls(documents: Documents, messages: list[Message]) -> dict[int, dict[str, str]]:
    """Return what the sandbox renders from the bulk calls of some messages: row -> part -> text."""
    calls: dict[BulkTemplate, list[Message]] = {}
    for message in messages:
        calls.setdefault(documents.choose_template(message), []).append(message)
    rendered: dict[int, dict[str, str]] = {}
    for template, together in calls.items():
        body = write_bulk([documents.write_entry(message, template) for message in together], template)
        document = orjson.loads(body)
        default = document["DefaultContent"]["Template"]
        variables = orjson.loads(default["TemplateData"]).keys()
        for message, entry in zip(together, document["BulkEmailEntries"], strict=True):
            data = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]
            assert orjson.loads(data).keys() == variables
            rendered[message.row] = {
                part.lower(): render(content, orjson.loads(data))
                for part, content in default["TemplateContent"].items()
            }
    return rendered


@settings(max_examples=50)  # each compiles its templates twice
@given(html=TEMPLATES, text=TEMPLATES, rows=st.lists(ROWS, min_size=1, max_size=4))
def test_a_message_has_the_bytes_of_plain_rendering(html: str, text: str, rows: list[dict[str, Any]]):
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, source in (FILES | {"body.html": html, "body.text": text}).items():
            (folder / file).write_text(source, encoding="utf-8")
        campaign = Campaign("c", folder, parse_spec(TOML, file="campaign.toml"))
        documents, content = Documents(prepare_envelope(campaign)), compile_content(campaign)
        writers = (make_utf8_writer(), documents.single, documents.bulk)
        renderers = [Renderer(content, campaign, run_key="k", signer=None, writer=writer) for writer in writers]
        in_bulk, expected = list[Message](), dict[int, dict[str, str]]()
        for number, row in enumerate(rows):
            try:
                plain, single, bulk = (renderer.render(row, number, "ann@b.example") for renderer in renderers)
            except RenderError:
                continue  # the next message must be whole anyway
            parts = {part: render_plainly(folder, f"body.{part}", row) for part in ("html", "text")}
            assert [part and part.written for part in (plain.html_part, plain.text_part)] == [
                part.encode() for part in parts.values()
            ]
            assert [part and part.written for part in (single.html_part, single.text_part)] == [
                orjson.dumps(part)[1:-1] for part in parts.values()
            ]
            fits = documents.fits_bulk(bulk, documents.write_entry(bulk, documents.choose_template(bulk)))
            if fits:
                in_bulk.append(bulk)
                expected[number] = {"subject": f"Hi {row['a']}", **parts}
            assert fits is not any("{{" in text for text in (f"Hi {row['a']}", *parts.values()))
            assert documents.write_single(bulk) == documents.write_single(single) == documents.write_single(plain)
        assert render_calls(documents, in_bulk) == expected


def test_what_all_messages_share_is_in_a_bulk_call_once(tmp_path: Path):
    source = "<p>Dear {{ a }},</p><p>a long letter</p>{% if b %}{{ b }}, and more{% endif %}<style>.a{b{c}}</style>"
    for part in ("html", "text"):
        (tmp_path / f"body.{part}").write_text(source, encoding="utf-8")
    campaign = Campaign("c", tmp_path, parse_spec(TOML, file="campaign.toml"))
    documents = Documents(prepare_envelope(campaign))
    renderer = Renderer(compile_content(campaign), campaign, run_key="k", signer=None, writer=documents.bulk)
    messages = [renderer.render({"a": "Ann", "b": b}, row, "ann@b.example") for row, b in enumerate(("c", None, "d"))]
    (template,) = {documents.choose_template(message) for message in messages}
    body = write_bulk([documents.write_entry(message, template) for message in messages], template)
    assert body.count(b"a long letter") == 2
    assert body.count(b"and more") == 4
    contents = orjson.loads(body)["DefaultContent"]["Template"]["TemplateContent"].values()
    assert all("}}" not in re.sub(r"{{[a-z]+}}", "", content) for content in contents)


def test_templates_of_bulk_calls_are_few(tmp_path: Path):
    for number in range(12):
        (tmp_path / f"{number}.html").write_text(f"layout {number} {{% block letter %}}{{% endblock %}}")
    (tmp_path / "body.html").write_text("{% extends b ~ '.html' %}{% block letter %}{{ a }}{% endblock %}")
    (tmp_path / "body.text").write_text("{{ a }}")
    campaign = Campaign("c", tmp_path, parse_spec(TOML, file="campaign.toml"))
    documents = Documents(prepare_envelope(campaign))
    renderer = Renderer(compile_content(campaign), campaign, run_key="k", signer=None, writer=documents.bulk)
    messages = [renderer.render({"a": "Ann", "b": n % 12}, n, "ann@b.example") for n in range(24)]
    assert len({documents.choose_template(message) for message in messages}) == 9
    rendered = render_calls(documents, messages)
    assert {row: parts["html"] for row, parts in rendered.items()} == {n: f"layout {n % 12} Ann" for n in range(24)}
