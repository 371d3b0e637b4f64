"""The sample campaigns, as a new workspace gets them."""

import re
from typing import Any

import pytest
from support.paths import CAMPAIGNS

from engine.campaign.content.templates import check_names, compile_content
from engine.campaign.message import Message, prepare_envelope
from engine.campaign.mime import Composer
from engine.campaign.render import Renderer
from engine.campaign.spec import load_campaign
from engine.campaign.unsubscribe_tokens import TokenSigner

NAMES = ["welcome", "service-notice", "monthly-letter"]
COLUMNS = ["email", "first_name", "last_name", "country", "city", "locale", "plan", "points", "signed_up", "last_order"]
FULL = dict(zip(COLUMNS, ["", "Ann", "Lê", "VN", "Huế", "vi", "pro", "1240", "2026-10-03", "2026-11-01"], strict=True))
BARE: dict[str, Any] = dict.fromkeys(COLUMNS) | {"first_name": "there"}  # as defaults leave a row of nulls


def render(name: str, row: dict[str, Any]) -> Message:
    campaign = load_campaign(CAMPAIGNS / name)
    content = compile_content(campaign)
    check_names(content, COLUMNS)
    signer = TokenSigner([b"a key that only tests use"])
    message = Renderer(content, campaign, run_key="2026-11-24", signer=signer).render(row, 1, "ann@example.com")
    assert Composer(prepare_envelope(campaign)).compose(message)
    return message


@pytest.mark.parametrize("row", [FULL, BARE | {"plan": "pro"}])
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_renders_for_full_and_bare_rows(name: str, row: dict[str, Any]) -> None:
    message = render(name, row)
    assert "None" not in f"{message.subject}{message.html}{message.text}"
    assert row["first_name"] in str(message.html)
    assert row["first_name"] in str(message.text)
    assert "\n\n\n" not in str(message.text)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_loads_nothing_from_outside(name: str) -> None:
    html = str(render(name, FULL).html)
    assert not re.search(r"<(img|link|script|iframe)\b|url\(|@import", html)
    assert all(re.fullmatch(r"(status\.)?acme\.example", host) for host in re.findall(r"https://([^/\"]+)", html))


def test_welcome_has_its_unsubscribe_link_in_html_text_and_header() -> None:
    message = render("welcome", FULL)
    (url,) = re.findall(r"<(https://acme\.example/u/[^>]+)>", dict(message.headers)["List-Unsubscribe"])
    assert url in str(message.html)
    assert url in str(message.text)


def test_notice_has_no_unsubscribe_link() -> None:
    message = render("service-notice", FULL)
    assert message.headers == ()
    assert "nsubscribe" not in f"{message.html}{message.text}"


@pytest.mark.parametrize("points", [None, "0", 0])
def test_welcome_sample_omits_missing_points(points: str | int | None) -> None:
    assert "points" not in str(render("welcome", FULL | {"points": points}).text)


@pytest.mark.parametrize(
    ("locale", "greeting", "since", "direction"),
    [
        ("vi-VN", "Xin chào Ann", "3 tháng 10, 2026", "ltr"),
        ("ar-EG", "مرحبًا Ann", "3 أكتوبر 2026", "rtl"),
        ("de-DE", "Hello Ann", "October 3, 2026", "ltr"),
    ],
)
def test_the_monthly_letter_is_in_the_readers_language(locale: str, greeting: str, since: str, direction: str) -> None:
    message = render("monthly-letter", FULL | {"locale": locale})
    assert greeting in str(message.html)
    assert greeting in str(message.text)
    assert since in str(message.text)
    assert ('dir="rtl"' in str(message.html)) == (direction == "rtl")
    assert "Unsubscribe" in str(message.text) or greeting != "Hello Ann"
