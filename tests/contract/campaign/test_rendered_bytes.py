"""Messages that are rendered and written piece by piece have the bytes of Jinja's own rendering, written as a whole."""

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
from engine.delivery.transports.ses_documents import Documents

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
        ]
    ),
    st.just("CONTENT"),
    CONTENTS,
)  # fmt: skip
FILES = {
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


def read_values(documents: Documents, message: Message) -> dict[str, str]:
    entry = orjson.loads(documents.write_entry(message))
    template = entry["ReplacementEmailContent"]["ReplacementTemplate"]
    values: dict[str, str] = orjson.loads(template["ReplacementTemplateData"])
    return values


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
        for row in rows:
            try:
                plain, single, bulk = (renderer.render(row, 1, "ann@b.example") for renderer in renderers)
            except RenderError:
                continue  # the next message must be whole anyway
            parts = {part: render_plainly(folder, f"body.{part}", row) for part in ("html", "text")}
            assert [part and part.written for part in (plain.html_part, plain.text_part)] == [
                part.encode() for part in parts.values()
            ]
            assert [part and part.written for part in (single.html_part, single.text_part)] == [
                orjson.dumps(part)[1:-1] for part in parts.values()
            ]
            assert read_values(documents, bulk) == {"subject": f"Hi {row['a']}", **parts}
            assert documents.write_single(bulk) == documents.write_single(single) == documents.write_single(plain)
