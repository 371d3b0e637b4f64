"""`check` says what Gmail, Yahoo and Microsoft would reject; a launch is refused only where rejection is certain.

DNS, SES, the unsubscribe server and its TLS are real servers on loopback.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.certificates import make_certificate
from support.dns import NO_REPLY, Zone, serve_dns
from support.sending_domain import make_zone
from support.ses import open_ses
from support.world import World

CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello {{ first_name }}"

[audience]
source = "audiences/people.csv"

[content]
text = "body.txt.j2"

[unsubscribe]
url = "URL"
"""
MAIL_FROM = "bounce.acme.example"
RULES_THAT_PASS = {
    "spf", "dkim", "dmarc", "alignment", "one_click_headers", "one_click_answers", "visible_link", "list_id", "tls",
    "reverse_dns",
}  # fmt: skip


@contextmanager
def serve_tls(context: ssl.SSLContext, port: int) -> Iterator[int]:
    """Serve TLS on loopback, and hand what comes to a port, as a load balancer does."""
    started: Future[tuple[int, Callable[[], object]]] = Future()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass  # the other side has gone
        finally:
            writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, inner_writer), carry(inner_reader, writer))

    async def serve() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as server:
            started.set_result((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(stopped.set)))
            await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    bound, stop = started.result(timeout=10)
    try:
        yield bound
    finally:
        stop()
        thread.join()


class Sender:
    """A world whose sender is in order; stories break one thing."""

    def __init__(self, world: World, zone: Zone) -> None:
        self.world, self.zone = world, zone

    def check(self, *options: str) -> tuple[int, dict[str, Any]]:
        finished = self.world.run("check", "hello", "--json", *options)
        return finished.code, {row["code"]: row for row in finished.json["sender_rules"] if row["code"] != "spam_rate"}


@pytest.fixture
def sender(world: World, tmp_path: Path) -> Iterator[Sender]:
    world.write("campaigns/hello/campaign.toml", CAMPAIGN.replace("URL", "https://localhost:1/u/{{ token }}"))
    world.write("campaigns/hello/body.txt.j2", "Dear {{ first_name }}\n\n{{ unsubscribe_url }}\n")
    world.write_people(3)
    assert world.run("plan", "hello").code == 0
    certificate, context = make_certificate(tmp_path)
    with open_ses(world.server) as ses:
        ses.put_email_identity_mail_from_attributes(EmailIdentity="acme.example", MailFromDomain=MAIL_FROM)
    world._control("PATCH", "/_sandbox/identities", {"identity": "acme.example", "mail_from_status": "SUCCESS"})
    assert world.run("check", "hello").code == 0  # makes the store's unsubscribe key
    server = world.fork("unsubscribe-server", "--port", "0", "--json")
    assert server.stdout is not None
    port = urlsplit(json.loads(server.stdout.readline())["url"]).port
    assert port is not None
    zone = make_zone()
    with serve_tls(context, port) as tls, serve_dns(zone) as dns:
        url = f"https://localhost:{tls}/u/{{{{ token }}}}"
        world.write("campaigns/hello/campaign.toml", CAMPAIGN.replace("URL", url))
        world.settings |= {"MAILRUN_DNS_NAMESERVERS": dns, "SSL_CERT_FILE": str(certificate)}
        yield Sender(world, zone)


def change_identity(sender: Sender, **statuses: str) -> None:
    sender.world._control("PATCH", "/_sandbox/identities", {"identity": "acme.example", **statuses})


def test_everything_in_order_passes_and_the_probe_records_nothing(sender: Sender) -> None:
    code, rows = sender.check()
    assert {name for name, row in rows.items() if row["verdict"] == "pass"} == RULES_THAT_PASS, rows
    assert code == 0
    assert rows["dmarc"]["receivers"]["microsoft"]["demand"] == "required"
    listed = sender.world.run("suppress", "list", "--json").json
    assert listed["total"] == 0
    shown = sender.world.run("check", "hello")
    assert (shown.code, "sender rules of Gmail, Yahoo and Microsoft: 10 of 13 checks passed" in shown.stdout) == (
        0,
        True,
    )


def remove_dmarc(sender: Sender) -> None:
    sender.zone.replace("_dmarc.acme.example", "TXT")


def spoil_spf(sender: Sender) -> None:
    sender.zone.replace(MAIL_FROM, "TXT")


def stop_signing(sender: Sender) -> None:
    change_identity(sender, dkim_status="FAILED")


def stop_everything(sender: Sender) -> None:
    change_identity(sender, dkim_status="FAILED", mail_from_status="FAILED")


def move_link(sender: Sender) -> None:
    sender.world.write("campaigns/hello/campaign.toml", CAMPAIGN.replace("URL", "https://localhost:1/u/{{ token }}"))


def offer_mail_alone(sender: Sender) -> None:
    text = CAMPAIGN.replace('url = "URL"', 'mailto = "u@acme.example"')
    sender.world.write("campaigns/hello/campaign.toml", text)


@pytest.mark.parametrize(
    ("spoil", "broken", "code"),
    [
        (remove_dmarc, {"dmarc"}, 69),
        (spoil_spf, {"spf"}, 69),
        (stop_signing, {"dkim"}, 69),
        (stop_everything, {"dkim", "alignment"}, 69),
        (move_link, {"one_click_answers"}, 69),
        (offer_mail_alone, {"one_click_headers"}, 65),
    ],
    ids=["dmarc", "spf", "dkim", "alignment", "link", "mailto"],
)
def test_check_names_what_is_broken_and_who_rejects_it(
    sender: Sender, spoil: Callable[[Sender], None], broken: set[str], code: int
) -> None:
    spoil(sender)
    found, rows = sender.check()
    assert {name for name, row in rows.items() if row["verdict"] == "fail"} == broken
    assert found == code
    for name in broken:
        assert rows[name]["what"]
        assert rows[name]["where"]
        assert rows[name]["remedy"]
        assert rows[name]["receivers"]["gmail"]["verdict"] == "fail"
    shown = sender.world.run("check", "hello")
    assert f"ERROR {min(broken)}: " in shown.stdout
    assert "rejected or filtered by gmail, yahoo" in shown.stdout


def test_silent_name_server_is_unknown_and_fails_nothing(sender: Sender) -> None:
    for name in ("_dmarc.acme.example", "_dmarc.example", MAIL_FROM):
        sender.zone.fail(name, NO_REPLY)
    code, rows = sender.check()
    assert (code, rows["dmarc"]["verdict"], rows["spf"]["verdict"]) == (0, "unknown", "unknown")


@pytest.mark.parametrize("option", [("--sandbox",), ("--transport", "outbox")], ids=" ".join)
def test_trial_asks_no_network(sender: Sender, option: tuple[str, ...]) -> None:
    sender.zone.asked.clear()
    code, rows = sender.check(*option)
    assert (code, set(rows)) == (0, {"one_click_headers", "visible_link", "list_id"})
    assert not sender.zone.asked


def test_launch_is_refused_where_every_message_is_rejected(sender: Sender) -> None:
    stop_everything(sender)
    refused = sender.world.launch()
    assert (refused.code, "ask them to reject" in refused.stderr or "asks them to reject" in refused.stderr) == (
        69,
        True,
    )
    assert sender.world.accepted_count() == 0
    sender.zone.replace("_dmarc.acme.example", "TXT", "v=DMARC1; p=none")
    assert sender.world.launch().json["sent"] == 3


def test_launch_is_refused_while_ses_would_reject_every_call(sender: Sender) -> None:
    with open_ses(sender.world.server) as ses:
        ses.put_email_identity_mail_from_attributes(
            EmailIdentity="acme.example", MailFromDomain=MAIL_FROM, BehaviorOnMxFailure="REJECT_MESSAGE"
        )
    change_identity(sender, mail_from_status="FAILED")
    refused = sender.world.launch()
    assert (refused.code, "SES refuses mail" in refused.stderr) == (69, True)


@pytest.mark.parametrize("spoil", [remove_dmarc, spoil_spf, stop_signing, move_link])
def test_launch_goes_on_where_rejection_is_not_certain(sender: Sender, spoil: Callable[[Sender], None]) -> None:
    spoil(sender)
    assert sender.world.launch().json["sent"] == 3


def test_large_launch_warns_of_a_missing_dmarc_record(sender: Sender) -> None:
    remove_dmarc(sender)
    sender.world.write_people(5000)
    launched = sender.world.launch()
    assert launched.json["sent"] == 5000
    assert "gmail, yahoo, microsoft may reject this run" in launched.stderr


def test_silent_name_server_does_not_stop_a_launch(sender: Sender) -> None:
    for name in ("_dmarc.acme.example", "_dmarc.example", MAIL_FROM):
        sender.zone.fail(name, NO_REPLY)
    assert sender.world.launch().json["sent"] == 3
