"""Who opted out because of a run: by one click, the page, mail and SES, each recipient once, in every count."""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from support.campaigns import CAMPAIGN_WITH_LINKS
from support.events import make_event_of, write_events
from support.world import RUN, World

from engine.audience.planning.plan_files import read_lease
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.feedback.unsubscribe.lambda_handler import LambdaHandler, make_lambda_handler
from engine.ledger.identity import digest_run, read_identity
from engine.ledger.suppressed.opt_outs import list_opt_outs
from engine.run.manifest import read_manifest
from engine.workspace import open_workspace

CLICK = "List-Unsubscribe=One-Click"
PEOPLE = [f"person{number}@{'a' if number < 4 else 'b'}.example" for number in range(8)]


class _Form(HTMLParser):
    """The fields of a page's form."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "input":
            self.fields.append((str(dict(attrs)["name"]), str(dict(attrs)["value"])))


class Links:
    """The links of a run's messages, as recipients use them."""

    def __init__(self, world: World, handler: LambdaHandler) -> None:
        self._world = world
        self._handler = handler
        self.tokens: dict[str, str] = {}
        for message in world.accepted():
            header = next(one["value"] for one in message["headers"] if one["name"] == "List-Unsubscribe")
            found = re.fullmatch(r"<https://acme\.example/u/([^>]+)>, <mailto:[^?]+\?subject=\1>", header)
            assert found is not None, header
            self.tokens[message["to"][0]] = found[1]

    def request(self, address: str, method: str, body: str = "") -> str:
        event = {
            "rawPath": f"/u/{self.tokens[address]}",
            "headers": {"content-type": "application/x-www-form-urlencoded"},
            "requestContext": {"http": {"method": method}},
            "body": body,
        }
        reply = self._handler(event, None)
        assert reply["statusCode"] == 200
        return str(reply["body"])

    def click(self, address: str) -> None:
        self.request(address, "POST", CLICK)

    def press(self, address: str) -> None:
        form = _Form()
        form.feed(self.request(address, "GET"))
        self.request(address, "POST", urlencode(form.fields))

    def write(self, *addresses: str) -> None:
        folder = self._world.folder / "mails"
        folder.mkdir(exist_ok=True)
        for address in addresses:
            head = f"From: {address}\nTo: unsubscribe@acme.example\nSubject: {self.tokens[address]}\n\n\n"
            (folder / f"{address}.eml").write_text(head)
        assert self._world.run("inbound", "import", str(folder), "--json").code == 0

    def tell_ses(self, *addresses: str) -> None:
        accepted = [one for one in self._world.accepted() if one["to"][0] in addresses]
        write_events(self._world.folder / "events.jsonl", [make_event_of(one, "Subscription") for one in accepted])
        assert self._world.run("events", "import", "events.jsonl", "--json").code == 0


@pytest.fixture
def links(world: World, monkeypatch: pytest.MonkeyPatch) -> Links:
    monkeypatch.delenv("MAILRUN_LEDGER", raising=False)
    world.write("campaigns/hello/campaign.toml", CAMPAIGN_WITH_LINKS)
    world.write("campaigns/hello/body.html.j2", "<p>Dear {{ first_name }}</p><a href='{{ unsubscribe_url }}'>Out</a>")
    world.write("audiences/people.csv", "email,first_name\n" + "".join(f"{address},N\n" for address in PEOPLE))
    assert world.launch().json["sent"] == len(PEOPLE)
    return Links(world, make_lambda_handler(world.folder))


def test_recipient_who_opts_out_in_every_way_is_counted_once(world: World, links: Links) -> None:
    """In the launch, status, audit and --json; by the first link; SES alone where no link was used."""
    _check_tokens(world, links)
    everything, pressed, mailed, told_ses, clicked_later, *_ = PEOPLE
    links.click(everything)
    links.press(pressed)
    links.tell_ses(everything, told_ses, clicked_later)
    links.write(everything, mailed, pressed)
    for again in (links.press, links.click):
        again(everything)
    links.click(clicked_later)
    links.tell_ses(everything, mailed)
    status = world.run("status", RUN, "--json").json
    expected = {"total": 5, "ses": 1, "one_click": 2, "page": 1, "mailto": 1}
    assert (status["unsubscribes"], status["unsubscribed"]) == (expected, 5)
    for command in (("audit", RUN), ("launch", "hello", "--key", "test")):
        told = world.run(*command, "--json").json
        assert (told["unsubscribed"], told["sent"], told["balanced"]) == (5, len(PEOPLE), True)
    assert "unsubscribed: 5 (SES 1, one click 2, page 1, mail 1)" in world.run("status", RUN).stdout
    (run,) = world.run("status", "--json").json["runs"]
    assert run["unsubscribed"] == 5
    after = world.run("launch", "hello", "--key", "next", "--json").json
    assert (after["excluded"], after["sent"]) == ({"suppressed": 5}, len(PEOPLE) - 5)
    assert world.run("status", "hello/next", "--json").json["unsubscribes"]["total"] == 0
    _check_opt_outs(world, {everything: "one_click", pressed: "page", mailed: "mailto", clicked_later: "one_click"})
    assert world.run("prune", "--older-than", "0d", "--yes").code == 0
    status = world.run("status", RUN, "--json").json
    assert (status["unsubscribes"], status["unsubscribed"]) == (expected, 5)


def _read_plan(world: World) -> dict[tuple[int, int], str]:
    """Return the address of each row by lease and index."""
    return {
        (lease.ordinal, index): address
        for lease in read_manifest(world.run_folder).leases
        for index, address in enumerate(read_lease(world.run_folder / "plan", lease)["address"])
    }


def _check_tokens(world: World, links: Links) -> None:
    """Every message's token names its recipient's own row in the plan."""
    with open_workspace(world.folder) as place:
        signer, digest = TokenSigner(place.read_signing_keys()), digest_run(read_identity(place.ledger), RUN)
    plan = _read_plan(world)
    for address, token in links.tokens.items():
        found = signer.read(token)
        assert found is not None
        assert found.row is not None
        assert (found.address, found.topic, found.row.run) == (address, "hello", digest)
        assert plan[found.row.lease, found.row.index] == address
    assert len(links.tokens) == len(plan) == len(PEOPLE)


def _check_opt_outs(world: World, expected: dict[str, str]) -> None:
    plan = _read_plan(world)
    with open_workspace(world.folder) as place, place.ledger.read() as tx:
        found = {plan[one.lease, one.index]: str(one.method) for one in list_opt_outs(tx, RUN)}
    assert found == expected
