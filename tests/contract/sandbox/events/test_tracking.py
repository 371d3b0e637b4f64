"""Opens and clicks as SES reports them: tags of links, user agents of people and machines, times."""

import re
import time
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from engine.feedback.events.agents import MACHINES, Agent
from engine.feedback.events.records import read_record
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.event_plan import plan_events
from engine.sandbox.events.event_records import make_record
from engine.sandbox.events.readers import OF_ALL, find_reader
from engine.sandbox.events.tracking import TrackedLink, list_tracked, remove_own_attributes

PEOPLE = [f"p{number}@b.example" for number in range(400)]
HTML = (
    '<a ses:tags="mailrun-link:1" href="https://a.example/?x=1&amp;y">a</a><a href="mailto:a@b.example">m</a>'
    '<a ses:tags="mailrun-link:3;p:q;" href="https://a.example/?x=1&amp;y">b</a>'
    '<a ses:no-track href="https://n.example">n</a>'
)


def make_message(address: str, html: str | None = HTML) -> dict[str, Any]:
    return {
        "message_id": f"0100-{address}", "at": "2026-11-24T09:00:00Z", "from": "n@acme.example", "to": [address],
        "fate": "delivered", "html": html, "tracking": {}, "subject": "s", "reply_to": [], "raw": None, "headers": [],
        "operation": "SendEmail", "configuration_set": "news", "tags": {},
    }  # fmt: skip


def make_records(address: str, html: str | None = HTML, **rule: Any) -> list[dict[str, Any]]:
    behaviour = Behaviour.from_document({"default": {"click": 1, **rule}})
    message = make_message(address, html)
    return [make_record(message, event) for event in plan_events(message, behaviour)]


def test_links_are_tracked_as_ses_tracks_them():
    assert list_tracked(HTML) == [
        TrackedLink("https://a.example/?x=1&y", {"mailrun-link": ["1"]}),
        TrackedLink("https://a.example/?x=1&y", {"mailrun-link": ["3"], "p": ["q"]}),
    ]
    assert list_tracked('<a ses:tags="a b:c;:;x:y" HREF="HTTP://b">b</a>') == [TrackedLink("HTTP://b", {"x": ["y"]})]
    assert list_tracked('<a href="https://b" ses:tags>b</a>') == [TrackedLink("https://b", None)]
    assert list_tracked('<!--[if mso]><a href="https://b">b</a><![endif]--><abbr href="https://b">') == []
    assert len(list_tracked('<a href="https://b">b</a>' * 300)) == 250


@pytest.mark.parametrize(
    ("html", "delivered"),
    [
        (HTML, re.sub(r" ses:(tags=\"[^\"]*\"|no-track)", "", HTML)),
        ("<A HREF=x SES:TAGS = 'a:b' ses:no-track>", "<A HREF=x>"),
        ('<a title="ses:tags=1 ses:no-track" ses:tags=a:b>', '<a title="ses:tags=1 ses:no-track">'),
        *((other, other) for other in ('<p ses:tags="a:b">ses:no-track</p>', '<abbr ses:tags="a">', "<a>ses:no-track")),
    ],
)  # fmt: skip
def test_own_attributes_are_removed_from_links_alone(html: str, delivered: str):
    assert remove_own_attributes(html) == delivered


def test_hostile_html_is_read_in_linear_time():
    started = time.process_time()
    for piece in ("<a ", "<a ses:tags", '<a href="', "<a '", "<a " + " " * 50, 'ses:tags="a:b" ', "<!--", "<a x=1 "):
        html = piece * (200_000 // len(piece))
        list_tracked(html)
        remove_own_attributes(html)
    assert time.process_time() - started < 3


@pytest.mark.parametrize("html", [None, "", "<p>no link</p>", '<a ses:no-track href="https://a.example">a</a>'])
def test_message_without_a_tracked_link_is_opened_and_not_clicked(html: str | None):
    assert [record["eventType"] for record in make_records("ann@b.example", html)] == ["Send", "Delivery", "Open"]


def test_people_click_one_link_and_scanners_all_at_once():
    """The position that mailrun reads is that of the link; the events of one address are the same each time."""
    seen, positions = Counter[str](), Counter[int | None]()
    for address in PEOPLE:
        records = make_records(address)
        assert records == make_records(address)
        clicks = [event for record in records for event in read_record(record) if event.kind == "Click"]
        assert len({event.id for event in clicks}) == len(clicks)
        by_machine = {event.agent for event in clicks} == {Agent.SCANNER}
        assert len(clicks) == (2 if by_machine else 1)
        assert by_machine is find_reader(address).clicks_all
        assert {event.link for event in clicks} == {"https://a.example/?x=1&y"}
        positions.update(event.position for event in clicks)
        seen["scanners" if by_machine else "people"] += 1
    assert seen["people"] > 8 * seen["scanners"] > 0
    assert positions.keys() == {1, 3}
    assert min(positions.values()) > 100


def test_opens_exercise_every_rule_in_realistic_shares():
    agents = Counter[str | None]()
    for address in PEOPLE:
        (opened,) = [event for record in make_records(address) for event in read_record(record) if event.kind == "Open"]
        agents[opened.agent] += 1
    assert agents.keys() >= {None, Agent.APPLE_MPP, Agent.GMAIL_PROXY, Agent.GMAIL_PREFETCH, Agent.YAHOO_PROXY}
    assert agents[Agent.SCANNER] > 0
    machines = sum(count for agent, count in agents.items() if agent in MACHINES)
    assert 0.4 < machines / len(PEOPLE) < 0.7
    assert round(sum(share for _, share in OF_ALL), 9) == 1


@pytest.mark.parametrize(
    ("domain", "agents"),
    [
        ("gmail.com", {Agent.GMAIL_PROXY, Agent.GMAIL_PREFETCH, Agent.APPLE_MPP}),
        ("YAHOO.com", {Agent.YAHOO_PROXY, Agent.APPLE_MPP}),
        ("icloud.com", {Agent.APPLE_MPP, None}),
    ],
)
def test_receivers_have_their_own_programs(domain: str, agents: set[str | None]):
    found = set()
    for number in range(100):
        records = make_records(f"p{number}@{domain}")
        found |= {event.agent for record in records for event in read_record(record) if event.kind == "Open"}
    assert found == agents


def test_click_of_a_person_is_late_and_follows_the_rule():
    person = next(one for one in PEOPLE if not find_reader(one).clicks_all)
    scanner = next(one for one in PEOPLE if find_reader(one).clicks_all)

    def tell_seconds(address: str, **rule: Any) -> float:
        click = next(record["click"] for record in make_records(address, **rule) if record["eventType"] == "Click")
        return (datetime.fromisoformat(click["timestamp"]) - datetime.fromisoformat("2026-11-24T09:00:00Z")).seconds

    assert (tell_seconds(person), tell_seconds(person, after={"Click": 90})) == (20, 90)
    assert (tell_seconds(scanner), tell_seconds(scanner, after={"Click": 90})) == (1, 1)
