"""Which program opened or clicked, from user agents as they are seen."""

import time
from typing import Any

import pytest
from support.events import make_event, make_mail

from engine.feedback.events.agents import AGENT_RULES, MACHINES, Agent, Match, find_agent
from engine.feedback.events.records import FeedbackEvent, read_record

BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"
)
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
PREFETCH = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
APPLE_MAIL = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
OUTLOOK = (
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; Microsoft Outlook 16.0; ms-office)"
)
PHONE = (
    "Mozilla/5.0 (Linux; Android 9; CUBOT P30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0 Mobile Safari/537.36"
)
MAIL = make_mail("0100-a", "ann@example.com")
LATE = 3600.0


def read_one(kind: str, **details: Any) -> FeedbackEvent:
    (event,) = read_record(make_event(kind, MAIL, **details))
    return event


@pytest.mark.parametrize(
    ("kind", "user_agent", "seconds", "agent"),
    [
        ("Open", GMAIL, LATE, Agent.GMAIL_PROXY),
        ("Open", GMAIL.upper(), 0.5, Agent.GMAIL_PROXY),
        ("Open", PREFETCH, LATE, Agent.GMAIL_PREFETCH),
        ("Open", PREFETCH.removesuffix(" Mozilla/5.0"), LATE, None),
        ("Open", YAHOO, LATE, Agent.YAHOO_PROXY),
        ("Open", "Mozilla/5.0", LATE, Agent.APPLE_MPP),
        ("Open", " Mozilla/5.0\r\n", LATE, Agent.APPLE_MPP),
        ("Open", APPLE_MAIL, LATE, None),
        ("Open", OUTLOOK, LATE, None),
        ("Open", BROWSER, 0.0, None),
        ("Click", BROWSER, LATE, None),
        ("Click", PHONE, LATE, None),
        ("Click", BROWSER, 5.0, None),
        ("Click", BROWSER, 4.999, Agent.SCANNER),
        ("Click", BROWSER, 0.0, Agent.SCANNER),
        ("Click", BROWSER, -1.0, None),
        ("Click", BROWSER, float("inf"), None),
        ("Click", "Mozilla/5.0", LATE, Agent.CRAWLER),
        ("Click", "Barracuda Sentinel (EE)", LATE, Agent.SCANNER),
        ("Click", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", LATE, Agent.LINK_PREVIEW),
        ("Click", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", LATE, Agent.CRAWLER),
        ("Click", "python-requests/2.32.3", LATE, Agent.CRAWLER),
        ("Open", "Go-http-client/2.0", LATE, Agent.CRAWLER),
        ("Delivery", GMAIL, LATE, None),
        ("Complaint", "python-requests/2.32.3", 0.0, None),
    ],
)
def test_agent_is_named_by_the_first_rule_that_matches(
    kind: str, user_agent: str, seconds: float, agent: Agent | None
) -> None:
    assert find_agent(kind, user_agent, seconds) == agent


def test_gmails_proxy_counts_as_a_person_and_apples_does_not() -> None:
    assert not MACHINES & {Agent.GMAIL_PROXY, Agent.YAHOO_PROXY}
    assert {Agent.APPLE_MPP, Agent.GMAIL_PREFETCH, Agent.SCANNER, Agent.LINK_PREVIEW, Agent.CRAWLER} == MACHINES


def test_rules_of_one_agent_agree_and_their_values_are_lower_case() -> None:
    for agent in Agent:
        assert len({rule.is_person for rule in AGENT_RULES if rule.agent is agent}) == 1
    for rule in AGENT_RULES:
        assert all(value == value.lower() and value for value in rule.values)
        assert rule.source
        assert float(rule.values[0]) > 0 if rule.match is Match.SOONER else True


@pytest.mark.parametrize("user_agent", [None, 7, [], {}, "", " ", "\0", "\ud800", "é" * 10, b"x"])
def test_hostile_user_agent_is_nobody_known(user_agent: Any) -> None:
    assert find_agent("Open", user_agent, LATE) is None
    event = read_one("Open", userAgent=user_agent)
    assert (event.agent, event.detail) == (None, None)


def test_huge_user_agent_costs_no_more_than_a_long_one() -> None:
    huge = "x" * 20_000_000 + "GoogleImageProxy"
    started = time.process_time()
    assert find_agent("Click", huge, LATE) is None
    assert time.process_time() - started < 0.01


@pytest.mark.parametrize("kind", ["Open", "Click"])
def test_event_keeps_neither_user_agent_nor_ip_address(kind: str) -> None:
    event = read_one(kind, userAgent=BROWSER, ipAddress="192.0.2.77")
    assert event.detail is None
    assert not [value for value in event if isinstance(value, str) and ("Mozilla" in value or "192.0.2" in value)]
    assert event.id == read_one(kind, userAgent=GMAIL, ipAddress="192.0.2.78").id


def test_click_is_a_scanners_by_the_time_since_acceptance() -> None:
    assert read_one("Click", timestamp="2026-11-24T09:00:04.999Z").agent == Agent.SCANNER
    assert read_one("Click", timestamp="2026-11-24T09:00:05.000Z").agent is None
    assert read_one("Click", timestamp=None).agent is None


def test_complaint_keeps_the_program_that_reported_it() -> None:
    assert read_one("Complaint", userAgent="Yahoo!-Mail-Feedback/2.0").detail == "Yahoo!-Mail-Feedback/2.0"


@pytest.mark.parametrize(
    ("tags", "position"),
    [
        ({"mailrun-link": ["3"]}, 3),
        ({"mailrun-link": "3"}, 3),
        ({"mailrun-link": ["9999"], "partner": ["a"]}, 9999),
        ({"mailrun-link": ["3", "4"]}, 3),
        (None, None),
        ({}, None),
        ({"partner": ["3"]}, None),
        ({"mailrun-link": []}, None),
        ({"mailrun-link": ["0"]}, None),
        ({"mailrun-link": ["03"]}, None),
        ({"mailrun-link": ["-1"]}, None),
        ({"mailrun-link": ["10000"]}, None),
        ({"mailrun-link": ["٣"]}, None),
        ({"mailrun-link": ["3\n"]}, None),
        ({"mailrun-link": [3]}, None),
        ({"mailrun-link": {"a": "3"}}, None),
        ([["mailrun-link", "3"]], None),
        ("mailrun-link:3", None),
    ],
)
def test_position_is_read_from_mailruns_own_link_tag(tags: Any, position: int | None) -> None:
    event = read_one("Click", linkTags=tags)
    assert (event.position, event.link) == (position, "https://acme.example/")
