"""A campaign's own headers and tags, within the limits of SES."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.campaigns import TOML, make_renderer, parse_toml, refuse_toml, write_campaign

from engine.campaign.content.templates import check_names, compile_content
from engine.campaign.headers import LONGEST_HEADER, LONGEST_VALUE, encode_header
from engine.campaign.render_error import RenderError
from engine.errors import DataError
from engine.run.prepare.proofs import _mark

MARKETING = TOML.replace("transactional", "marketing") + (
    'text = "b"\n[unsubscribe]\nurl = "https://acme.example/{{ token }}"\n'
)


def test_headers_of_unsubscribe_links_count(tmp_path: Path) -> None:
    assert "keep at most 12" in refuse_toml("[headers]\n" + "".join(f'X-{n} = "a"\n' for n in range(13)), MARKETING)
    assert "List-Id" in refuse_toml('[headers]\nList-ID = "<a.b>"\n', MARKETING)
    assert parse_toml('[headers]\nList-ID = "<a.b>"\n').headers == {"List-ID": "<a.b>"}
    campaign = write_campaign(tmp_path, {"b": "Hi {{ unsubscribe_url }}"}, '[headers]\nX-A = "a"', toml=MARKETING)
    message = make_renderer(campaign).render({}, 1, "ann@example.com")
    assert [name for name, _ in message.headers] == ["List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "X-A"]


def test_message_carries_own_headers_and_tags(tmp_path: Path) -> None:
    toml = TOML + (
        'text = "b"\n[headers]\nX-Auto-Response-Suppress = "OOF, AutoReply"\nX-Entity-Ref-ID = "{{ email }}"\n'
        'X-Shop = "Café {{ city }}"\nX-Tier = "{% if vip %}gold{% endif %}"\n'
        '[delivery]\nfeedback_id = ["weekly", "news"]\ntags = { team = "growth" }\n'
    )
    campaign = write_campaign(tmp_path, {"b": "Hi"}, "", toml=toml)
    content = compile_content(campaign)
    assert content.columns_used() == frozenset({"email", "city", "vip"})
    renderer = make_renderer(campaign)
    message = renderer.render({"email": "a@b.example", "city": "Huế", "vip": False}, 1, "a@b.example")
    assert message.headers == (
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
        ("X-Entity-Ref-ID", "a@b.example"),
        ("X-Shop", "=?utf-8?b?Q2Fmw6kgSHXhur8=?="),
    )
    own = (("team", "growth"), ("ses:feedback-id-a", "weekly"), ("ses:feedback-id-b", "news"))
    assert message.tags[3:] == own
    assert _mark(message, "me@b.example", "welcome").tags == (("mailrun-proof", "welcome"), *own)
    assert ("X-Tier", "gold") in renderer.render({"email": "a", "city": "b", "vip": True}, 1, "a@b.example").headers


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        ("a\r\nBcc: b@c.example", "[headers] X-A: it has a line break or control character (U+000D)"),
        ("x" * 2000, "[headers] X-A: it is 2000 characters long"),
        (None, "[headers] X-A:1: v is null"),
    ],
)
def test_header_value_that_ses_refuses_fails_its_message(tmp_path: Path, value: str | None, reported: str) -> None:
    campaign = write_campaign(tmp_path, {"b": "Hi"}, 'text = "b"\n[headers]\nX-A = "{{ v }}"')
    with pytest.raises(RenderError) as caught:
        make_renderer(campaign).render({"v": value}, 1, "ann@example.com")
    assert str(caught.value).startswith(reported)


def test_names_in_headers_are_checked_with_file_line_and_key(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"b": "Hi"}, 'text = "b"\n[headers]\nX-A = "{{ citty }}"')
    with pytest.raises(DataError, match="did you mean city") as caught:
        check_names(compile_content(campaign), ["city"])
    assert caught.value.where.endswith("campaign.toml:9 headers.X-A")
    campaign = write_campaign(tmp_path, {"b": "Hi"}, 'text = "b"\n[headers]\nX-A = "{{ First name }}"')
    with pytest.raises(DataError) as caught:
        compile_content(campaign)
    assert 'recipient["First name"]' in caught.value.remedy
    assert caught.value.where.endswith("campaign.toml:9 headers.X-A")


@given(st.text(max_size=1200))
def test_encode_header_writes_printable_ascii_within_the_limits_or_refuses(text: str) -> None:
    try:
        value = encode_header("X-A", text)
    except ValueError:
        return
    assert value.isascii()
    assert value.isprintable()
    assert len(value) <= LONGEST_VALUE
    assert len("X-A") + len(value) <= LONGEST_HEADER
