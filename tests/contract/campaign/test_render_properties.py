"""Whatever the data is: nothing of it is evaluated, and no header has a control character."""

import html
from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st
from support.campaigns import SIGNER

from engine.campaign.content.templates import compile_content
from engine.campaign.render import Renderer
from engine.campaign.render_error import RenderError
from engine.campaign.spec import Campaign, parse_spec

TOML = """\
from = "a@acme.example"
subject = "Hi {{ name }}"
audience.source = "a.csv"
content = { html = "body.html", text = "body.txt" }
unsubscribe.url = "https://acme.example/{{ token }}"
"""
HOSTILE = st.sampled_from(
    ["{{7*7}}", "{{ ''.__class__ }}", "{% raw %}", "<script>", "a\r\nBcc: x", "\x00", "</p>", "&amp;"]
)
VALUES = st.one_of(st.text(), HOSTILE, st.lists(st.one_of(HOSTILE, st.text())).map("".join))
ADDRESSES = st.from_regex(r"[a-z0-9.+_-]{1,64}@[a-z0-9-]{1,60}\.example", fullmatch=True)


def make_renderer() -> Renderer:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body.html").write_text("<p>{{ name }}</p>", encoding="utf-8")
        (folder / "body.txt").write_text("{{ name }}|{{ recipient.name }}.", encoding="utf-8")
        campaign = Campaign("welcome", folder, parse_spec(TOML, file="campaign.toml"))
        return Renderer(compile_content(campaign), campaign, run_key="k", signer=SIGNER)


RENDERER = make_renderer()


@given(name=VALUES, address=st.one_of(ADDRESSES, st.text()))
def test_no_header_of_a_message_ever_has_a_control_character(name: str, address: str) -> None:
    try:
        message = RENDERER.render({"name": name}, 1, address)
    except RenderError:
        return
    headers = [("To", message.address), ("Subject", message.subject), *message.headers]
    assert not any(category(mark) == "Cc" for pair in headers for value in pair for mark in value)
    assert all(value.isascii() and value.isprintable() and len(value) <= 995 for _, value in message.headers)


@given(VALUES)
def test_values_are_escaped_in_html_and_never_evaluated(name: str) -> None:
    try:
        message = RENDERER.render({"name": name}, 1, "a@b.example")
    except RenderError as error:
        assert error.template == "subject"  # noqa: PT017 - the law is about which part may refuse a value
        return
    inner = str(message.html).removeprefix("<p>").removesuffix("</p>")
    assert not set(inner) & set("<>\"'")
    assert html.unescape(inner) == html.unescape(html.escape(name))
    assert message.text == f"{name}|{name}."
    assert message.subject == f"Hi {name}"
