"""The figures of a run equal `status`, `audit` and the Parquet files, after whatever happens to the run."""

import json
import random
import re
from datetime import datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from support.campaigns import CAMPAIGN_WITH_LINKS
from support.doubt import leave_in_doubt
from support.events import make_event_of, write_events
from support.plain_figures import check_against_files
from support.world import RUN, World

from engine.ledger.event_flags import SHOWN
from engine.ledger.journal import Outcome
from engine.report.figures.document import Figures

HTML = """\
<p>Dear {{ first_name }}, <a href="https://acme.example/sale?to={{ first_name }}">our sale</a> and
<a href="https://acme.example/help">help</a>; <a href="{{ unsubscribe_url }}">unsubscribe</a></p>
"""
CLICK = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def read(world: World, name: str = RUN) -> Figures:
    """Read the figures that the last command left."""
    return msgspec.json.decode(
        (world.folder / ".mailrun" / "runs" / name / "report" / "figures.json").read_bytes(), type=Figures
    )


def check(world: World, **more: int) -> Figures:
    """Check the figures that the last command left against `status`, `audit` and the files."""
    figures = read(world)
    for command in ("status", "audit"):
        told = world.run(command, RUN, "--json").json
        for name, count in figures.accounts.items():
            expected = sum(told["excluded"].values()) if name == "excluded" else told[name]
            assert (command, name, count) == (command, name, expected)
        assert {cause.name: cause.rows for cause in figures.exclusions} == told["excluded"]
        assert dict(figures.feedback) == {name: told[name] for name in SHOWN}
        assert figures.state == told["state"]
    check_against_files(figures, world.folder / ".mailrun", **more)
    return figures


def later(entry: dict[str, Any], minutes: int) -> str:
    """Return a time after a message was accepted."""
    return (datetime.fromisoformat(entry["at"]) + timedelta(minutes=minutes)).isoformat()


def make_events(accepted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of every kind that come back for a campaign."""

    def bounce(entry: dict[str, Any], status: str, text: str, kind: str, subtype: str) -> dict[str, Any]:
        to = [{"emailAddress": entry["to"][0], "status": status, "diagnosticCode": f"smtp; {text}"}]
        return make_event_of(entry, "Bounce", bounceType=kind, bounceSubType=subtype, bouncedRecipients=to)

    def click(entry: dict[str, Any], position: int, path: str, **more: Any) -> dict[str, Any]:
        tags = {"mailrun-link": [str(position)]}
        return make_event_of(entry, "Click", link=f"https://acme.example/{path}", linkTags=tags, **more)

    return [
        *(make_event_of(entry, "Send") for entry in accepted),
        *(make_event_of(entry, "Delivery") for entry in accepted[8:]),
        *(bounce(one, "5.1.1", f"550 5.1.1 <{one['to'][0]}> unknown", "Permanent", "NoEmail") for one in accepted[:3]),
        *(bounce(one, "4.2.2", f"452 {one['to'][0]} is full", "Transient", "MailboxFull") for one in accepted[3:5]),
        bounce(accepted[5], "5.7.1", "554 5.7.1 spam", "Permanent", "OnAccountSuppressionList"),
        *(make_event_of(entry, "Complaint") for entry in accepted[8:10]),
        *(make_event_of(entry, "DeliveryDelay") for entry in accepted[10:13]),
        *(make_event_of(entry, "Open") for entry in accepted[13:20]),
        *(
            make_event_of(entry, "Open", userAgent="Mozilla/5.0", timestamp=later(entry, minutes=2))
            for entry in accepted[18:26]
        ),
        *(click(entry, 1, f"sale?to=Name{n}") for n, entry in enumerate(accepted[13:17])),
        click(accepted[13], 2, "help"), click(accepted[27], 2, "help", userAgent="Barracuda Sentinel (EE)"),
        make_event_of(accepted[28], "Subscription"), make_event_of(accepted[29], "Reject"),
    ]  # fmt: skip


def token_of(entry: dict[str, Any]) -> str:
    header = next(one["value"] for one in entry["headers"] if one["name"] == "List-Unsubscribe")
    found = re.search(r"<https://acme\.example/u/([^>]+)>", header)
    assert found is not None, header
    return found[1]


def opt_out(world: World, one_click: dict[str, Any], page: dict[str, Any], by_mail: dict[str, Any]) -> None:
    """Opt three recipients out, each in another way."""
    server = world.start("unsubscribe-server", "--port", "0", "--json")
    try:
        assert server.stdout is not None
        netloc = urlsplit(json.loads(server.stdout.readline())["url"]).netloc
        for entry, body in ((one_click, CLICK), (page, CLICK + b"&by=page")):
            connection = HTTPConnection(netloc, timeout=30)
            connection.request("POST", f"/{token_of(entry)}", body, FORM)
            assert connection.getresponse().status == 200
            connection.close()
    finally:
        server.terminate()
        server.communicate()
    mail = f"From: a@b.example\nTo: unsubscribe@acme.example\nSubject: {token_of(by_mail)}\n\nplease\n"
    (world.folder / "mail.eml").write_text(mail, encoding="utf-8")
    assert world.run("inbound", "import", "mail.eml").code == 0


@pytest.fixture
def newsletter(world: World) -> World:
    world.write("campaigns/hello/campaign.toml", CAMPAIGN_WITH_LINKS)
    world.write("campaigns/hello/body.html.j2", HTML)
    people = "".join(f"person{n}@{'big' if n % 3 else 'small'}.example,Name{n}\n" for n in range(60))
    world.write("audiences/people.csv", f"email,first_name\n{people}nobody,X\nperson1@big.example,Y\n")
    return world


def test_figures_equal_status_audit_and_files_whatever_comes_back(newsletter: World) -> None:
    newsletter.fault("reject", count=4)
    launched = newsletter.launch()
    assert (launched.code, launched.json["refused"]) == (3, 4), launched.stderr
    assert newsletter.run("report", RUN).code == 0
    assert check(newsletter).outcomes[1].reasons[0].rows == 4

    accepted = newsletter.accepted()
    events = make_events(accepted)
    write_events(newsletter.folder / "events.jsonl", events)
    assert newsletter.run("events", "import", "events.jsonl").code == 0
    first = check(newsletter)
    assert [(one.kind, one.code, one.text, one.recipients) for one in first.bounces] == [
        ("hard", "5.1.1", "<…> unknown", 3),
        ("soft", "4.2.2", "… is full", 2),
    ]
    assert (first.opens.people, first.opens.machines) == (7, {"Apple Mail Privacy Protection": 6})
    assert [(one.position, one.url, one.recipients, one.machine_clicks) for one in first.links] == [
        (1, "https://acme.example/sale?to={{ first_name }}", 4, 0),
        (2, "https://acme.example/help", 1, 1),
    ]

    opt_out(newsletter, accepted[30], accepted[31], accepted[32])
    opted_out = check(newsletter, opt_outs=3)
    ways = opted_out.unsubscribes
    assert (ways.total, ways.ses, ways.one_click, ways.page, ways.mailto) == (4, 1, 1, 1, 1)

    dice = random.Random(7)
    again = [*events, *dice.sample(events, 20)]
    dice.shuffle(again)
    write_events(newsletter.folder / "again.jsonl", again)
    assert newsletter.run("events", "import", "again.jsonl").code == 0
    repeated = check(newsletter, opt_outs=3)
    for name in (
        "outcomes",
        "feedback",
        "bounces",
        "opens",
        "links",
        "unsubscribes",
        "tables",
        "time_line",
        "exclusions",
    ):
        assert getattr(repeated, name) == getattr(opted_out, name), name
    assert not re.search(r"person\d", msgspec.json.encode(repeated).decode())


def test_figures_equal_status_and_audit_after_resolve(world: World) -> None:
    hanging = leave_in_doubt(world, people=120)
    assert world.run("report", RUN).code == 0
    doubtful = check(world)
    assert doubtful.accounts["in_doubt"] == hanging
    assert doubtful.advice[0].command == f"mailrun resolve {RUN}"
    assert world.run("resolve", RUN, "--skip").code == 0
    settled = check(world)
    assert settled.accounts["in_doubt"] == 0
    assert {one.outcome: one.recipients for one in settled.outcomes}[Outcome.SENT] == settled.accounts["sent"]
    assert not any("resolve" in one.command for one in settled.advice)
