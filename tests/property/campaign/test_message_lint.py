"""Lint finds the same in a message, whatever it has checked before: messages of one shape are checked once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign.lint_findings import LintFinding
from engine.campaign.message import Envelope, Message, Part
from engine.campaign.message_lint import MessageLint
from engine.campaign.spec import Campaign, parse_spec

MARKETING = """\
from = "a@acme.example"
subject = "Hi"
audience.source = "a.csv"
content.html = "body.html"
unsubscribe.url = "https://acme.example/{{ token }}"
"""
CAMPAIGN = Campaign("welcome", Path("campaigns/welcome"), parse_spec(MARKETING, file="campaign.toml"))
# What is before and after a value; most of these are places where some values make a difference.
PLACES = st.sampled_from(
    [
        ("<p>", "</p>"), ("<title>", "</title>"), ('<p style="color:', '">'), ('<div style="display:', '">'),
        ("<style>a{display:", "}</style>"), ("<style>a{color:", "} div{font-size:"), ("<!-- ", " -->"), ("<!--", "<p>"),
        ('<a href="', '">x</a>'), ('<a href="https://x.example/?a=', '">x</a>'), ('<a href="http', '://x.example">x</a>'),
        ('<img alt="x" src="https://a.example/x.png" width="', '">'), ('<img alt="', '" src="https://a.example/x.png">'),
        ('<img alt="" src="cid:', '">'), ('<img src="https://a.example/x.png" ', "=x>"), ("<", ">"), ("<p", ">"),
        ("<p>%", "%</p>"), ("<p>{", "}</p>"), ("<p>[", "]</p>"), ("&", ";"),
        ('<a href="https://a.example/%7B%7', '">x</a>'),
        ('<a title="', '" href="https://a.example">x</a>'), ("<div class=", ">"), ("<div hidden", "='1'>"), ("</", ">"),
        ("<textarea>", "</textarea>"), ("<script>", "</script>"), ('<td bgcolor="', '">'), ("<font color='", "'>"),
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "Ann", "none", "#fff", "white", "0", "1px", "javascript:x", "https", "http://a.example", "https://a.example/%20",
        "https://b.example/?a=1&amp;b=2", "O&#39;Brien", "a-", "{b}", "", " ", "\u3164", "é", "%7B", "[x]", "display",
        "https://acme.example/2.abc.0123456789abcdefghijkl", "a\nb", "&lt;b&gt;", "nbsp", "cid:x", "--", "/a", "10",
    ]
)  # fmt: skip
LINKS = st.sampled_from([f"https://acme.example/2.{name}.0123456789abcdefghijkl" for name in ("abc", "def", "Zm9v")])


@st.composite
def audiences(draw: st.DrawFn) -> list[Message]:
    """Messages of one template, with different values."""
    places = draw(st.lists(PLACES, min_size=1, max_size=4))
    messages = []
    for row in range(draw(st.integers(2, 6))):
        link = draw(LINKS)
        pieces = ["<html><body>"]
        for before, after in places:
            pieces += [before, draw(VALUES | st.just(link)), after]
        pieces += ['<a href="', link, '">Unsubscribe</a>'] if draw(st.integers(0, 9)) else []
        text = draw(st.sampled_from([link] * 6 + ["no link", f"{link} {{{{ x }}}}", f"{link} %%a%%"]))
        subject = draw(st.sampled_from(["Hi"] * 6 + ["x" * 79, "Hi [[name]]"]))
        headers = (("List-Unsubscribe", f"<{link}>"),)
        messages.append(Message(row, "ann@example.com", subject, Part(pieces), Part([text]), headers, ()))
    return messages


def check_alone(message: Message) -> tuple[bool, dict[LintFinding, int], set[str]]:
    lint = MessageLint(CAMPAIGN, Envelope("a@b.example", (), (), None))
    return lint.check(message), dict(lint.findings.counts), lint.cids


@given(audiences())
def test_lint_finds_in_a_message_what_it_finds_in_it_alone(messages: list[Message]):
    lint = MessageLint(CAMPAIGN, Envelope("a@b.example", (), (), None))
    cids: set[str] = set()
    for message in messages:
        before = dict(lint.findings.counts)
        has_error = lint.check(message)
        alone_has_error, alone, alone_cids = check_alone(message)
        cids |= alone_cids
        added = {one: count - before.get(one, 0) for one, count in lint.findings.counts.items()}
        assert has_error is alone_has_error
        assert {one: count for one, count in added.items() if count} == {
            one: count for one, count in alone.items() if count and (one.code != "no_preheader" or one not in before)
        }
    assert lint.cids == cids


def test_messages_that_differ_in_words_and_links_are_checked_once(monkeypatch: pytest.MonkeyPatch):
    """Otherwise the preview of a large audience would take several times as long."""
    checked: list[str] = []

    def check(_: MessageLint, html: str) -> Iterator[LintFinding]:
        checked.append(html)
        return iter(())

    monkeypatch.setattr(MessageLint, "_check_html", check)
    lint = MessageLint(CAMPAIGN, Envelope("a@b.example", (), (), None))
    for row in range(100):
        link = f"https://acme.example/2.abc{row}.0123456789abcdefghijkl"
        pieces = [
            "<p>Hi ",
            f"Ann {row}",
            '</p><a href="',
            f"https://a.example/{row}?a=b&amp;c=%20",
            '">More</a><a href="',
        ]
        html = Part([*pieces, link, '">Unsubscribe</a><img alt="', f"É. {row}", '" src="https://a.example/x.png">'])
        lint.check(Message(row, "a@b.example", "Hi", html, Part([link]), (("List-Unsubscribe", f"<{link}>"),), ()))
    assert len(checked) == 1
