"""Rendering one recipient's message."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.campaign.content.templates import compile_content
from engine.campaign.message import Message
from engine.campaign.render import Renderer
from engine.campaign.render_error import RenderError
from engine.campaign.spec import Campaign, parse_spec
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import ConfigurationError, UsageError

SIGNER = TokenSigner([b"a key that only tests use"])
WAY_OUT = '\n[unsubscribe]\nurl = "https://acme.example/u/{{ token }}?from=mail"\nmailto = "out+1@acme.example"\n'


def campaign_of(folder: Path, html: str | None = None, text: str | None = None, **values: str) -> Campaign:
    """Write the templates of a campaign and return it; transactional unless a kind is given."""
    kind = values.get("kind", "transactional")
    lines = [f"subject = {json.dumps(values.get('subject', 'Hi'))}", f'kind = "{kind}"', 'from = "a@acme.example"']
    lines += ['audience.source = "a.csv"']
    lines += [f'suppression.topic = "{values["topic"]}"'] if "topic" in values else []
    for key, source in (("html", html), ("text", text)):
        if source is not None:
            (folder / f"body.{key}").write_text(source, encoding="utf-8")
            lines.append(f'content.{key} = "body.{key}"')
    source = "\n".join(lines) + (WAY_OUT if kind == "marketing" else "")
    return Campaign("welcome", folder, parse_spec(source, file="campaign.toml"))


def renderer_of(folder: Path, html: str | None = None, text: str | None = None, **values: str) -> Renderer:
    campaign = campaign_of(folder, html, text, **values)
    return Renderer(compile_content(campaign), campaign, run_key="2026-11-24", signer=SIGNER)


def render(folder: Path, html: str | None = None, text: str | None = None, row: Any = None, **values: str) -> Message:
    return renderer_of(folder, html, text, **values).render(row or {}, 7, "ann@example.com")


def failure(folder: Path, html: str | None = None, text: str | None = None, row: Any = None, **values: str) -> str:
    with pytest.raises(RenderError) as caught:
        render(folder, html, text, row=row, **values)
    return str(caught.value)


def test_a_message_carries_the_row_and_the_tags_that_lead_back_to_it(tmp_path: Path) -> None:
    message = render(tmp_path, text="Hi")
    assert (message.row, message.address, message.subject, message.html, message.text) == (
        7,
        "ann@example.com",
        "Hi",
        None,
        "Hi",
    )
    assert message.tags == (("mailrun-campaign", "welcome"), ("mailrun-key", "2026-11-24"), ("mailrun-row", "7"))
    assert message.headers == ()


def test_content_sees_columns_campaign_run_and_recipient(tmp_path: Path) -> None:
    source = (
        "{{ city }} {{ recipient.city }} {{ recipient['first name'] }} {{ recipient.address }} {{ recipient.items }}"
    )
    source += " {{ campaign.name }} {{ campaign.kind }} {{ run.name }} {{ run.key }} {{ range(2)|join }} {{ range }}"
    row = {"city": "Huế", "first name": "Ann", "items": 3, "campaign": "x", "range": "y"}
    assert render(tmp_path, text=source, row=row).text == (
        "Huế Huế Ann ann@example.com 3 welcome transactional welcome/2026-11-24 2026-11-24 01 y"
    )


def test_values_are_escaped_in_html_and_its_includes_alone(tmp_path: Path) -> None:
    (tmp_path / "foot.j2").write_text("{{ name }}", encoding="utf-8")
    html, text = "<p>{{ name }}</p>{% include 'foot.j2' %}", "{{ name }} {% include 'foot.j2' %}"
    message = render(tmp_path, html, text, row={"name": "<b>&\"'"}, subject="{{ name }}")
    assert message.html == "<p>&lt;b&gt;&amp;&#34;&#39;</p>&lt;b&gt;&amp;&#34;&#39;"
    assert message.text == "<b>&\"' <b>&\"'"
    assert message.subject == "<b>&\"'"


def test_a_missing_text_part_is_derived_from_the_rendered_html(tmp_path: Path) -> None:
    assert render(tmp_path, "<p>Hi {{ n }}</p><p>B</p>", row={"n": "A & B"}).text == "Hi A & B\n\nB\n"


def test_a_tag_alone_on_its_line_leaves_no_empty_line(tmp_path: Path) -> None:
    assert render(tmp_path, text="a\n  {% if city %}\nb\n  {% endif %}\nc\n", row={"city": None}).text == "a\nc\n"


def test_a_marketing_message_carries_one_click_unsubscribing(tmp_path: Path) -> None:
    message = render(tmp_path, "<a href='{{ unsubscribe_url }}'>out</a>", kind="marketing", topic="newsletter")
    token = SIGNER.sign("ann@example.com", "newsletter")
    url = f"https://acme.example/u/{token}?from=mail"
    assert message.html == f"<a href='{url}'>out</a>"
    assert message.headers == (
        ("List-Id", "<newsletter.acme.example>"),
        ("List-Unsubscribe", f"<{url}>, <mailto:out%2B1@acme.example?subject={token}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )


def test_unsubscribe_link_without_a_topic_is_for_the_campaign(tmp_path: Path) -> None:
    message = render(tmp_path, text="{{ unsubscribe_url }}", kind="marketing")
    token = str(message.text).removeprefix("https://acme.example/u/").removesuffix("?from=mail")
    assert SIGNER.verify(token) == ("ann@example.com", "welcome")


def test_longest_address_has_an_unsubscribe_link_that_fits_a_header(tmp_path: Path) -> None:
    address = "a" * 64 + "@" + ".".join(["b" * 60] * 3) + ".example"
    message = renderer_of(tmp_path, text="x", kind="marketing", topic="t" * 200).render({}, 1, address)
    name, value = message.headers[1]
    assert len(name) + len(value) <= 996
    assert "mailto:" not in value
    assert value.startswith("<https://")


def test_a_link_that_fits_no_header_fails_its_message(tmp_path: Path) -> None:
    assert failure(tmp_path, None, "x", kind="marketing", topic="t" * 800) == (
        "[unsubscribe] url: the link is longer than the 980 characters that SES accepts"
    )


def test_column_cannot_pose_as_the_unsubscribe_link(tmp_path: Path) -> None:
    reason = failure(tmp_path, None, "{{ unsubscribe_url }}", row={"unsubscribe_url": "https://evil.example"})
    assert reason == "body.text:1: unsubscribe_url is not defined"


def test_marketing_campaign_without_a_signer_is_refused_first(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, text="x", kind="marketing")
    with pytest.raises(ConfigurationError, match="the unsubscribe links of welcome need a signing key"):
        Renderer(compile_content(campaign), campaign, run_key="k", signer=None)


def test_a_run_key_that_cannot_be_a_tag_is_refused(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, text="x")
    with pytest.raises(UsageError, match="is not a valid run key"):
        Renderer(compile_content(campaign), campaign, run_key="a b", signer=None)


@pytest.mark.parametrize("test", ["{% if last %}Y{% else %}N{% endif %}", "{{ 'N' if last is none else 'Y' }}"])
def test_a_null_can_be_tested_for(tmp_path: Path, test: str) -> None:
    assert render(tmp_path, text=test, row={"last": None}).text == "N"


@pytest.mark.parametrize(
    ("template", "label"),
    [
        ("Hi {{ last }}", "last"),
        ("Hi {{ recipient.last }}", "recipient.last"),
        ("Hi {{ recipient['last'] }}", "recipient['last']"),
        ("Hi {{ last|upper }}", "last"),
        ("Hi {{ last|trim|title }}", "last"),
        ("Hi {{ 'Ms ' ~ last }}", "last"),
        ("Hi {{ [first, last]|join(' ') }}", "last"),
        ("Hi {{ 'Ms %s' % last }}", "last"),
        ("Hi {{ 'Ms %s %s' % (first, last) }}", "last"),
        ("Hi {{ 'Ms %s'|format(last) }}", "last"),
        ("Hi {{ 'Ms {}'.format(last) }}", "last"),
        ("{% set x %}Hi {{ last }}{% endset %}{{ x }}", "last"),
        ("{% macro hi(name) %}Hi {{ name }}{% endmacro %}{{ hi(last) }}", "name"),
        ("{% filter upper %}Hi {{ last }}{% endfilter %}", "last"),
        ("Hi {{ last|default('friend') }}", "last"),
        ("Hi {{ none }}", "this expression"),
        ("Hi {{ last or none }}", "this expression"),
    ],
)
def test_a_null_is_never_put_into_a_message(tmp_path: Path, template: str, label: str) -> None:
    reason = failure(tmp_path, None, template, row={"first": "Ann", "last": None})
    assert reason == f"body.text:1: {label} is null; test it with {{% if %}}, or give it a value in [audience] defaults"


def test_a_default_for_nulls_is_put_into_a_message(tmp_path: Path) -> None:
    assert render(tmp_path, text="Hi {{ last|default('friend', true) }}", row={"last": None}).text == "Hi friend"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("\n\n{{ nobody }}", ":3: nobody is not defined"),
        ("{{ recipient.nobody }}", ":1: recipient has no nobody"),
        ("{{ run.id }}", ":1: run has no id"),
        ("a\n{{ 1 // zero }}", ":2: ZeroDivisionError: integer division or modulo by zero"),
        ("{{ zero.x.y }}", ":1: int has no x"),
        (
            "{{ range(200000) }}",
            ":1: OverflowError: Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)",
        ),
        ("{% include name %}", ":1: the template nowhere.j2 is missing"),
        ("{{ 'x' * 10**17 }}", ":1: a text of 100,000,000,000,000,000 characters; 10,000,000 is the limit"),
        ("  \n", ": it is blank"),
        ('{{ "\\ud800" }}', ": it has an incomplete character (a lone surrogate)"),
        ("{% for x in range(20000) %}{{ 'x' * 1000 }}{% endfor %}", ": it is longer than 10,000,000 characters"),
        ("{{ 'x' * 10000001 }}", ":1: a text of 10,000,001 characters; 10,000,000 is the limit"),
        ("{{ 'x' * 9000000 }}{{ 'x' * 9000000 }}", ": it is longer than 10,000,000 characters"),
    ],
)
def test_a_failing_row_names_template_line_and_reason(tmp_path: Path, template: str, reason: str) -> None:
    assert failure(tmp_path, None, template, row={"zero": 0, "name": "nowhere.j2"}) == f"body.text{reason}"


def test_a_long_part_is_rendered_whole(tmp_path: Path) -> None:
    text = render(tmp_path, text="{% for x in range(9000) %}{{ x }},{% endfor %}").text
    assert text == "".join(f"{number}," for number in range(9000))


def test_a_failure_in_an_include_names_the_include(tmp_path: Path) -> None:
    (tmp_path / "foot.j2").write_text("\n{{ last }}", encoding="utf-8")
    assert failure(tmp_path, "{% include 'foot.j2' %}", row={"last": None}).startswith("foot.j2:2: last is null;")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ campaign.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ cycler.__init__.__globals__.os }}",
    ],
)
def test_a_template_that_reaches_for_internals_is_refused(tmp_path: Path, template: str) -> None:
    assert "unsafe" in failure(tmp_path, None, template)


@pytest.mark.parametrize("template", ["recipient._columns", "recipient['_columns']", "recipient._Recipient__columns"])
def test_a_template_cannot_reach_what_recipient_is_made_of(tmp_path: Path, template: str) -> None:
    assert re.search("recipient has no|unsafe", failure(tmp_path, None, f"{{{{ {template} }}}}"))


def test_function_of_templates_is_not_a_name_of_theirs(tmp_path: Path) -> None:
    assert "range is not defined" in failure(tmp_path, None, "{{ range.__globals__ }}")


@pytest.mark.parametrize("template", ["{{ things.append(1) }}", "{{ recipient.update(x=1) }}", "{{ lipsum() }}"])
def test_a_template_can_change_nothing_and_call_nothing_else(tmp_path: Path, template: str) -> None:
    assert failure(tmp_path, None, template, row={"things": [1]})


@pytest.mark.parametrize("value", ["a\r\nBcc: x@example.com", "a\nb", "a\tb", "a\0b", "a\x7f", "a\u2028b", "a\u202eb"])
def test_a_subject_with_control_characters_is_refused_not_cleaned(tmp_path: Path, value: str) -> None:
    reason = failure(tmp_path, None, "x", row={"name": value}, subject="Hi {{ name }}")
    assert reason.startswith("subject: it has a line break or control character (U+")


@pytest.mark.parametrize(
    ("subject", "reason"),
    [("{{ n }}", "subject: it is blank"), ("{{ 'x' * 999 }}", "subject: it is longer than 998")],
)
def test_a_subject_is_neither_blank_nor_endless(tmp_path: Path, subject: str, reason: str) -> None:
    assert failure(tmp_path, None, "x", row={"n": " "}, subject=subject).startswith(reason)


def test_an_address_with_control_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="the address has control characters"):
        renderer_of(tmp_path, text="x").render({}, 1, "a@b.example\r\nBcc: x@example.com")


def test_one_failing_row_leaves_the_next_one_whole(tmp_path: Path) -> None:
    renderer = renderer_of(tmp_path, text="{% set n = name|upper %}{{ n }}")
    with pytest.raises(RenderError):
        renderer.render({"name": None}, 1, "a@b.example")
    assert renderer.render({"name": "Bo"}, 2, "b@b.example").text == "BO"
