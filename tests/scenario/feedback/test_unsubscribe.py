"""Unsubscribe requests: a click on the link of a sent mail, a mail to its mailto: address, and SES events."""

import http.client
import json
import re
import signal
import socket
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.sqs import open_sqs
from support.world import World, open_world

from engine.feedback.unsubscribe.lambda_handler import make_lambda_handler
from engine.http.guard import WRONG_HOST
from engine.store.keys import UNSUBSCRIBE_KEY

CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello {{ first_name }}"

[audience]
source = "audiences/people.csv"

[content]
text = "body.txt.j2"

[unsubscribe]
url = "https://acme.example/u/{{ token }}"
mailto = "unsubscribe@acme.example"
"""
CLICK = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SERVER = "mx.acme.example"
RESULTS = f"Authentication-Results: {SERVER}; dmarc=pass header.from=example.com\n"  # the receiving server's


@pytest.fixture
def newsletter(world: World) -> World:
    world.write("campaigns/hello/campaign.toml", CAMPAIGN)
    world.write("campaigns/hello/body.txt.j2", "Dear {{ first_name }}\n\n{{ unsubscribe_url }}\n")
    world.write_people(3)
    assert world.launch().json["sent"] == 3
    return world


def token_of(world: World, address: str) -> str:
    (message,) = [one for one in world.accepted() if one["to"] == [address]]
    header = next(one["value"] for one in message["headers"] if one["name"] == "List-Unsubscribe")
    found = re.fullmatch(r"<https://acme\.example/u/([^>]+)>, <mailto:unsubscribe@acme\.example\?subject=\1>", header)
    assert found is not None, header
    return found[1]


def launch_again(world: World) -> dict[str, Any]:
    return world.run("launch", "hello", "--key", "next", "--json").json


def call(url: str, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, target, body, FORM | headers)
        reply = connection.getresponse()
        return reply.status, reply.read()


def test_one_click_keeps_the_recipient_out_of_the_next_run(newsletter: World) -> None:
    """A key that is set later does not break links that the store's key signed."""
    server = newsletter.start(
        "unsubscribe-server",
        "--port",
        "0",
        "--json",
        "--allow-host",
        "links.acme.example",
        MAILRUN_UNSUBSCRIBE_KEYS="k" * 40,
    )
    assert server.stdout is not None
    started = json.loads(server.stdout.readline())
    url = started["url"]
    assert started["unsubscribe_keys"] == {"configured": 1, "signs": "settings", "stored": True}
    token = token_of(newsletter, "person1@example.com")
    for target in (f"/u/{token}", "/healthz", "/"):
        for host in ("evil.example", "127.0.0.1.evil.example"):
            assert call(url, "POST", target, CLICK, Host=host) == (403, WRONG_HOST.encode())
    assert call(url, "GET", "/healthz", Host="localhost", Origin="https://webmail.example")[0] == 200
    assert call(url, "GET", f"/u/{token}", Host="links.acme.example")[0] == 200
    status, page = call(url, "GET", f"/u/{token[:-1]}")
    assert (status, b"not complete" in page) == (404, True)
    told = newsletter.run("suppress", "list", "--json").json
    assert told["total"] == 0, "looking changes nothing"
    for _ in range(2):
        status, page = call(url, "POST", f"/u/{token}", CLICK)
        assert (status, b"unsubscribed" in page) == (200, True)
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in raw.recv(1000)
    assert call(url, "POST", f"/u/{token}", b"x" * 100_000)[0] == 413
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=30)
    assert server.returncode == 0
    assert "unsubscribed" in log
    assert token not in log
    assert "person1" not in log
    (entry,) = newsletter.run("suppress", "list", "--json").json["entries"]
    assert (entry["address"], entry["topic"], entry["reason"]) == ("person1@example.com", "hello", "unsubscribe")
    assert launch_again(newsletter)["excluded"] == {"suppressed": 1}


def test_undo_removes_what_the_link_did_and_nothing_else(newsletter: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page undoes its own click; earlier entries of a person or an event stay."""
    monkeypatch.delenv("MAILRUN_LEDGER", raising=False)
    handler = make_lambda_handler(newsletter.folder)

    def post(address: str, body: str) -> int:
        event = {
            "rawPath": f"/u/{token_of(newsletter, address)}",
            "headers": {"content-type": FORM["Content-Type"], "accept-language": "fr"},
            "requestContext": {"http": {"method": "POST"}},
            "body": body,
        }
        reply = handler(event, None)
        assert 'lang="fr"' in str(reply["body"])
        status = reply["statusCode"]
        assert isinstance(status, int)
        return status

    assert newsletter.run("suppress", "add", "person1@example.com", "--topic", "hello").code == 0
    for address in ("person0@example.com", "person1@example.com"):
        assert post(address, CLICK.decode()) == 200
    assert [post("person0@example.com", "undo=1") for _ in range(2)] == [200, 200]
    assert post("person1@example.com", "undo=1") == 409
    assert launch_again(newsletter)["excluded"] == {"suppressed": 1}
    received = [message["to"] for message in newsletter.accepted() if message["tags"]["mailrun-key"] == "next"]
    assert sorted(received) == [["person0@example.com"], ["person2@example.com"]]


def test_link_with_many_parameters_and_apple_mail_request_work(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sent link is clicked at the server's handler, two mails of Apple's arrive, and three get no more mail."""
    monkeypatch.delenv("MAILRUN_LEDGER", raising=False)
    parameters = "&".join(f"utm_{name}=acme" for name in ("source", "medium", "campaign", "content", "term", "id"))
    link = f"https://acme.example/news/unsubscribe?{parameters}&lang=en&a=1&b=2&token="
    world.write("campaigns/hello/campaign.toml", CAMPAIGN.replace("https://acme.example/u/", link))
    world.write("campaigns/hello/body.txt.j2", "Dear {{ first_name }}\n\n{{ unsubscribe_url }}\n")
    world.write_people(4)
    assert world.run("check", "hello", "--json").code == 0
    assert world.launch().json["sent"] == 4
    urls = {
        message["to"][0]: re.findall("<([^>]+)>", header["value"])
        for message in world.accepted()
        for header in message["headers"]
        if header["name"] == "List-Unsubscribe"
    }
    sent = urlsplit(urls["person0@example.com"][0])
    event = {
        "rawPath": sent.path,
        "rawQueryString": sent.query,
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"http": {"method": "POST"}},
        "body": CLICK.decode(),
    }
    assert make_lambda_handler(world.folder)(event, None)["statusCode"] == 200
    token = urls["person1@example.com"][1].partition("subject=")[2]
    apple = "Auto-Submitted: auto-replied\nX-Apple-Unsubscribe: true\n\nThe mail program was asked to leave the list.\n"
    mails = tmp_path / "mails"
    mails.mkdir()
    for number, subject in enumerate([token, "unsubscribe"], 1):
        text = f"From: person{number}@example.com\nTo: unsubscribe@acme.example\nSubject: {subject}\n{apple}"
        (mails / f"{number}.eml").write_text(text if subject == token else RESULTS + text)
    (mails / "forged.eml").write_text(f"From: person3@example.com\nSubject: unsubscribe\n{apple}")
    told = world.run("inbound", "import", str(mails), "--json", MAILRUN_INBOUND_AUTHSERV_ID=SERVER).json
    assert (told["kinds"], told["suppressed"]) == ({"unsubscribe": 2, "other": 1}, 2)
    assert told["unproven"] == {"no_results": 1}
    again = launch_again(world)
    assert (again["excluded"], again["sent"], again["balanced"]) == ({"suppressed": 3}, 1, True)
    assert sorted(message["to"][0] for message in world.accepted()).count("person3@example.com") == 2
    assert len(world.accepted()) == 5


def test_the_lambda_handler_writes_the_same(newsletter: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILRUN_LEDGER", raising=False)
    handler = make_lambda_handler(newsletter.folder)
    event = {
        "rawPath": f"/u/{token_of(newsletter, 'person2@example.com')}",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"http": {"method": "POST"}},
        "body": CLICK.decode(),
    }
    assert handler(event, None)["statusCode"] == 200
    assert newsletter.run("suppress", "check", "person2@example.com", "--json").json["addresses"][0]["suppressed"]


def test_the_lambda_handler_starts_where_its_own_folder_cannot_be_written(
    newsletter: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_of(newsletter, "person2@example.com")
    unwritable = tmp_path / "task"
    unwritable.touch()  # a file: not even root makes a folder in it
    key = (newsletter.folder / ".mailrun" / UNSUBSCRIBE_KEY).read_text()
    for name, value in {
        "LAMBDA_TASK_ROOT": str(unwritable),
        "MAILRUN_LEDGER": newsletter.ledger_url,
        "MAILRUN_UNSUBSCRIBE_KEYS": key,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MAILRUN_WORKSPACE", raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir("/")
    event = {
        "rawPath": f"/u/{token}",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"http": {"method": "POST"}},
        "body": CLICK.decode(),
    }
    assert make_lambda_handler()(event, None)["statusCode"] == 200
    assert newsletter.run("suppress", "check", "person2@example.com", "--json").json["addresses"][0]["suppressed"]


def test_mail_to_the_mailto_link_unsubscribes_and_an_auto_reply_does_not(newsletter: World, tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    token = token_of(newsletter, "person0@example.com")
    head = "From: p@example.com\r\nTo: unsubscribe@acme.example\r\n"
    (folder / "wish").write_text(f"{head}Subject: {token}\r\n\r\n")
    away = token_of(newsletter, "person1@example.com")
    (folder / "away").write_text(f"{head}Auto-Submitted: auto-replied\r\nSubject: Re: {away}\r\n\r\n{away}\r\n")
    (folder / "stranger").write_text(f"{RESULTS}{head.replace('p@', 'never-mailed@')}Subject: unsubscribe\r\n\r\n")
    (folder / "known").write_text(f"{RESULTS}{head.replace('p@', 'person2@')}Subject: unsubscribe\r\n\r\n")
    newsletter.settings["MAILRUN_INBOUND_AUTHSERV_ID"] = SERVER
    told = newsletter.run("inbound", "import", str(folder), "--json").json
    assert told["kinds"] == {"unsubscribe": 3, "automatic": 1}
    assert (told["suppressed"], told["never_mailed"]) == (2, 1)
    assert launch_again(newsletter)["excluded"] == {"suppressed": 2}
    assert newsletter.run("inbound", "import", str(folder), "--json").json["suppressed"] == 0


def test_unsubscribe_request_applies_while_its_run_is_active(tmp_path: Path) -> None:
    with open_world(tmp_path, max_send_rate=20.0) as world:
        world.write_people(150)
        world.settings["MAILRUN_UNSUBSCRIBE_KEYS"] = "k" * 40
        process = world.start_launch()
        world.wait_for_accepted(20, process)
        (world.folder / "mails").mkdir()
        for number, sender in enumerate((world.accepted()[0]["to"][0], "stranger@example.com")):
            world.write(
                f"mails/{number}", f"{RESULTS}From: {sender}\nSubject: unsubscribe\nMessage-ID: <{number}@b>\n\n"
            )
        told = world.run("inbound", "import", "mails", "--json", MAILRUN_INBOUND_AUTHSERV_ID=SERVER).json
        process.kill()
        process.communicate()
        assert (told["suppressed"], told["never_mailed"]) == (1, 1)


def test_the_whole_loop_from_the_sandbox_to_the_next_run(world: World) -> None:
    """Bounces and complaints by domain come out of the sandbox's queue, and keep their people out of the next run."""
    rows = ["email,first_name", *(f"p{n}@{d}.example,N" for d in ("good", "dead", "angry") for n in range(4))]
    world.write("audiences/people.csv", "\n".join(rows) + "\n")
    rules = {
        "shuffle": 20,
        "duplicates": 0.5,
        "auto_suppress": False,
        "domains": {
            "dead.example": {"bounces": {"Permanent/General": 1}},
            "angry.example": {"complaints": {"abuse": 1}},
        },
    }
    world.change_behaviour(rules)
    world.settings["AWS_ENDPOINT_URL_SQS"] = world.server.url
    assert world.launch().json["sent"] == 12
    pulled = world.run("events", "pull", "--queue", world.server.queue_url, "--json", AWS_MAX_ATTEMPTS="1")
    assert pulled.code == 0, pulled.stderr
    assert pulled.json["suppressed"] == 8
    status = world.run("status", "hello/test", "--json").json
    assert (status["delivered"], status["bounced"], status["complained"]) == (8, 4, 4)
    assert launch_again(world)["excluded"] == {"suppressed": 8}


def test_mail_of_an_embedded_sandbox_recipient_is_an_opt_out(newsletter: World, tmp_path: Path) -> None:
    newsletter.write("audiences/people.csv", "email,first_name\nSandy@example.com,Sandy\nkim@example.com,Kim\n")
    assert newsletter.run("launch", "hello", "--sandbox", "--key", "s", "--json").json["sent"] == 2
    for sender in ("sandy", "stranger"):
        (tmp_path / f"{sender}.eml").write_text(
            f"{RESULTS}From: {sender}@example.com\nTo: unsubscribe@acme.example\nSubject: unsubscribe\n"
            "Auto-Submitted: auto-replied\nX-Apple-Unsubscribe: true\n\nThe mail program was asked to leave.\n"
        )
    told = newsletter.run("inbound", "import", str(tmp_path), "--json", MAILRUN_INBOUND_AUTHSERV_ID=SERVER).json
    assert (told["suppressed"], told["never_mailed"]) == (1, 1)
    assert launch_again(newsletter)["excluded"] == {"suppressed": 1}


def test_embedded_sandbox_keeps_events_until_they_are_pulled(world: World) -> None:
    world.write_people(5, "simulator.amazonses.com")
    rows = "email,first_name\nbounce+1@simulator.amazonses.com,N\na@b.example,N\n"
    world.write("audiences/people.csv", rows)
    assert world.run("launch", "hello", "--sandbox", "--key", "s", "--json").json["sent"] == 2
    pulled = world.run("events", "pull", "--sandbox", "--json")
    assert pulled.code == 0, pulled.stderr
    assert pulled.json["events"] == 4
    status = world.run("status", "hello/s", "--json").json
    assert (status["delivered"], status["bounced"]) == (1, 1)
    assert world.run("events", "pull", "--sandbox", "--json").json["events"] == 0


def test_firehose_files_of_the_sandbox_are_imported(tmp_path: Path) -> None:
    folder = tmp_path / "firehose"
    with open_world(tmp_path / "w", firehose_folder=folder, firehose_gzip=True) as world:
        world.write_people(4)
        assert world.launch().json["sent"] == 4
        world.write_firehose()
        told = world.run("events", "import", str(folder), "--json").json
        assert told["events"] == 8
        assert world.run("status", "hello/test", "--json").json["delivered"] == 4


def test_mails_are_pulled_from_a_queue_and_other_messages_set_aside(newsletter: World) -> None:
    newsletter.settings["AWS_ENDPOINT_URL_SQS"] = newsletter.server.url
    head = "From: p@example.com\r\nTo: unsubscribe@acme.example\r\n"
    mail = f"{head}Subject: {token_of(newsletter, 'person0@example.com')}\r\n\r\n"
    received = {"notificationType": "Received", "mail": {"messageId": "m"}, "receipt": {}, "content": mail}
    forged = {"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": json.dumps(received)}
    with closing(open_sqs(newsletter.server.url)) as sqs:
        queue = sqs.create_queue(QueueName="inbound")["QueueUrl"]
        for document in (received, forged, {"eventType": "Send"}):
            sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(document))
        pulled = newsletter.run("inbound", "pull", "--queue", queue, "--json")
        assert pulled.code == 65, pulled.stderr
        assert (pulled.json["mails"], pulled.json["suppressed"]) == (1, 1)
        assert sum(pulled.json["refused"].values()) == 2
        aside = [path.name for path in (newsletter.folder / ".mailrun" / "inbound-refused").iterdir()]
        assert sorted(name.rpartition("-")[0] for name in aside) == ["forged", "no-mail"]
        assert not sqs.receive_message(QueueUrl=queue).get("Messages")


def test_unsubscribe_server_does_not_start_without_keys(world: World) -> None:
    finished = world.run("unsubscribe-server", "--port", "0", "--json")
    assert finished.code == 78
    assert "MAILRUN_UNSUBSCRIBE_KEYS" in finished.json["error"]["remedy"]


def test_inbound_import_without_unsubscribe_keys_says_what_proves_mails(world: World) -> None:
    """Verdicts need no keys; a mail with a token counts as forged, and is imported again once the keys are there."""
    (world.folder / "mails").mkdir()
    mail = "From: a@example.com\nSubject: unsubscribe\nMessage-ID: <1@b>\n\n\n"
    world.write("mails/1", mail)
    told = world.run("inbound", "import", "mails")
    assert (told.code, "Set [inbound] authserv_id" in told.stdout) == (0, True)
    assert "There are no unsubscribe keys" in told.stderr
    world.write("mails/1", RESULTS + mail)
    world.write("mailrun.toml", f'[inbound]\nauthserv_id = "{SERVER}"\n')
    told = world.run("inbound", "import", "mails", "--json")
    assert (told.code, told.json["kinds"], told.json["never_mailed"]) == (0, {"unsubscribe": 1}, 1)
    assert not (world.folder / ".mailrun" / "unsubscribe.key").exists()
