"""Canaries: an address, a token and secrets that no log line, reason, report or error may contain, whatever fails."""

import http.client
import json
import logging
import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from support.world import RUN, World

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.cli.table import cli
from engine.feedback.unsubscribe.lambda_handler import make_lambda_handler
from engine.store.keys import UNSUBSCRIBE_KEY

PERSON = "kestrel.person@example.com"
KEY = "kestrel-unsubscribe-key-0123456789"
SECRETS: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": "AKIAKESTREL0123456789",
    "AWS_SECRET_ACCESS_KEY": "kestrel/Secret+Key/0123456789abcdefghijkl",
    "AWS_SESSION_TOKEN": "IQoJkestrelSession//" + "kestrel+" * 30,
    "MAILRUN_UNSUBSCRIBE_KEYS": KEY,
    "MAILRUN_SMTP_PASSWORD": "kestrel-smtp-password",
}
TOKEN = TokenSigner([KEY.encode()]).sign(PERSON, "news")
CONFIRM = "2336412f37kestrel5e2b2f6a"
# Where a store has addresses: docs/guides/back-up-and-restore.md, "Where addresses are".
HOLD_ADDRESSES = re.compile(r"runs/.*/(plan|outcomes)/.*\.parquet|ledger\.db.*|previews/.*")
CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello"

[audience]
source = "audiences/people.csv"

[content]
text = "body.txt.j2"

[unsubscribe]
url = "https://acme.example/u/{{ token }}"
mailto = "unsubscribe@acme.example"
"""


class RudeSes(BaseHTTPRequestHandler):
    """An SES that refuses: it names the recipient once, and then quotes the request, as SES does."""

    protocol_version = "HTTP/1.1"
    named = False

    def do_GET(self) -> None:
        account = {"SendQuota": {"Max24HourSend": -1, "MaxSendRate": 50, "SentLast24Hours": 0}}
        facts = {"ProductionAccessEnabled": True, "SendingEnabled": True, "VerifiedForSendingStatus": True}
        self._answer(200, account | facts)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not RudeSes.named:
            RudeSes.named = True
            said = f"Address {PERSON} is on the list of {self.headers['Authorization']}"
            self._answer(400, {"message": said}, "MessageRejected")
            return
        headers = "\n".join(f"{name.lower()}:{value}" for name, value in self.headers.items())
        said = (
            "The request signature we calculated does not match the signature you provided.\n\n"
            f"The Canonical String for this request should have been\n'POST\n{self.path}\n\n{headers}\n\n{body!r}'\n\n"
            f"for {PERSON}, {SECRETS['AWS_SECRET_ACCESS_KEY']} and {TOKEN}"
        )
        self._answer(403, {"message": said}, "SignatureDoesNotMatch")

    def _answer(self, status: int, document: dict[str, Any], error: str = "") -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def run_rude_ses() -> Iterator[str]:
    RudeSes.named = False
    with ThreadingHTTPServer(("127.0.0.1", 0), RudeSes) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def find_canaries(text: str) -> list[str]:
    """Find secrets in a text, each with its context; a masked address begins with `c***`."""
    known = "kestrel", "Credential=AK", TOKEN[:20]
    return [text[max(at - 80, 0) : at + 80] for word in known if (at := text.lower().find(word.lower())) >= 0]


def read_texts(path: Path) -> str:
    if path.suffix == ".parquet":
        return pl.read_parquet(path).write_ndjson()
    return path.read_bytes().decode("latin-1")


COMMANDS = (
    ("status", RUN, "--json"),
    ("status", RUN),
    ("audit", RUN, "-v"),
    ("resolve", RUN, "--json"),
    ("resolve", RUN),
    ("config", "--json"),
    ("events", "import", "confirm.json", "-v"),
)


def run_here(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command in this process, and return all that it prints."""
    cli.main([*words], standalone_mode=False)
    printed = capfd.readouterr()
    return printed.out + printed.err


def test_quoted_requests_are_nowhere_and_addresses_where_documented(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """A launch that SES refuses, with the most output; then every report of it, and every file."""
    world.write("campaigns/hello/campaign.toml", CAMPAIGN)
    world.write("campaigns/hello/body.txt.j2", "Dear reader\n\n{{ unsubscribe_url }}\n")
    world.write("audiences/people.csv", f"email\n{PERSON}\nother@example.com\nkestrel.person@@example..com\n")
    confirmation = {
        "Type": "SubscriptionConfirmation",
        "Message": f"for {PERSON}",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t",
        "SubscribeURL": f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token={CONFIRM}",
        "Token": CONFIRM,
    }
    world.write("confirm.json", json.dumps(confirmation))
    with run_rude_ses() as url:
        launched = world.run("launch", "hello", "--key", "test", "--json", "-vv", AWS_ENDPOINT_URL_SESV2=url, **SECRETS)
    assert launched.code == 75, launched.stderr
    assert find_canaries(launched.stdout + launched.stderr) == []
    for name, value in (world.environment() | SECRETS).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)
    told = {words: run_here(capfd, *words) for words in COMMANDS}
    for words, text in told.items():
        assert find_canaries(text) == [], words
    status = json.loads(told[COMMANDS[0]].partition("\n")[0])
    assert status["reason"].startswith("SignatureDoesNotMatch: The request signature"), status["reason"]
    assert (status["sent"], status["refused"], status["excluded"]) == (0, 1, {"invalid_address": 1})
    files = [path for path in (world.folder / ".mailrun").rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        name = path.relative_to(world.folder / ".mailrun").as_posix()
        text = (
            read_texts(path).replace("kestrel.person@", "c***@") if HOLD_ADDRESSES.fullmatch(name) else read_texts(path)
        )
        assert find_canaries(f"{name}\n{text}") == [], name


def refuse_writes(folder: Path) -> None:
    """Let the ledger refuse opt-outs, as a file that has become read-only does."""
    with closing(sqlite3.connect(folder / ".mailrun" / "ledger.db")) as ledger, ledger:
        refusal = f"RAISE(ABORT, 'attempt to write a readonly database: {PERSON}')"
        ledger.execute(f"CREATE TRIGGER refusal BEFORE INSERT ON suppression BEGIN SELECT {refusal}; END")


def ask(url: str, method: str, body: bytes = b"") -> tuple[int, str | None, bytes]:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, f"/u/{TOKEN}", body, {"Content-Type": "application/x-www-form-urlencoded"})
        reply = connection.getresponse()
        return reply.status, reply.headers["Retry-After"], reply.read()


MALFORMED = (
    f"GET /u/{TOKEN} HTTP/1.1\r\nHost: x\r\nAuthorization {PERSON}\r\n\r\n",
    f"GET /u/{TOKEN} HTTP/9.kestrel\r\n\r\n",
    f"GET /u/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: kestrel\r\n\r\n",
    f"/u/{TOKEN}\r\n\r\n",
)


def send_malformed(url: str) -> None:
    for text in MALFORMED:
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30) as raw:
            raw.sendall(text.encode())
            assert b" 400 " in raw.recv(1000), text


def test_unsubscribe_server_answers_503_when_the_ledger_refuses(world: World):
    server = world.start("unsubscribe-server", "--port", "0", "--json", "-vv", MAILRUN_UNSUBSCRIBE_KEYS=KEY)
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]
    send_malformed(url)
    assert ask(url, "GET")[0] == 200, "looking needs no ledger"
    refuse_writes(world.folder)
    status, again, page = ask(url, "POST", b"List-Unsubscribe=One-Click")
    assert (status, again) == (503, "30")
    assert b"try again" in page
    assert find_canaries(page.decode()) == []
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=30)
    assert server.returncode == 0
    assert find_canaries(log) == []
    events = {event["event"]: event for event in map(json.loads, log.splitlines())}
    assert events["unsubscribe.refused"]["what"].startswith("the ledger cannot be used: attempt to write")
    assert events["unsubscribe.request"]["status"] == 503


def test_the_sandbox_logs_no_request_that_it_cannot_read(world: World, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        send_malformed(world.server.url)
    assert {record.getMessage() for record in caplog.records} <= {
        f"a request was refused: {kind}"
        for kind in ("BadStatusLine", "InvalidHeader", "BadHttpMessage", "BadHttpMethod")
    }
    assert {record.levelname for record in caplog.records} <= {"INFO", "DEBUG"}
    assert find_canaries(caplog.text) == []


def fail(*_: object) -> None:
    """Be a bug that quotes an address."""
    raise KeyError(PERSON)


EVENT = {
    "rawPath": f"/u/{TOKEN}",
    "headers": {"content-type": "application/x-www-form-urlencoded"},
    "requestContext": {"http": {"method": "POST"}},
    "body": "List-Unsubscribe=One-Click",
}


def test_lambda_handler_answers_503_when_the_ledger_refuses_or_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """Unreachable at the start, back, then read-only: the answer hides the cause, and the log hides the address."""
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", KEY)
    monkeypatch.setenv("MAILRUN_LEDGER", "postgresql://ann:kestrel@127.0.0.1:9/mailrun")
    handler = make_lambda_handler(world.folder)
    replies: list[Any] = [handler(EVENT, None)]
    monkeypatch.delenv("MAILRUN_LEDGER")
    (world.folder / ".mailrun").mkdir(exist_ok=True)
    replies.append(handler(EVENT, None))
    refuse_writes(world.folder)
    replies.append(handler(EVENT, None))
    monkeypatch.setattr("engine.feedback.unsubscribe.lambda_handler.answer_request", fail)
    replies.append(handler(EVENT, None))
    assert [reply["statusCode"] for reply in replies] == [503, 200, 503, 503]
    for reply in (replies[0], *replies[2:]):
        assert reply["headers"]["retry-after"] == "30"
        assert "try again" in reply["body"]
        assert find_canaries(str(reply)) == []
    told = capfd.readouterr()
    assert find_canaries(told.out + told.err) == []
    assert "unsubscribe.failed" in told.err
    assert (world.folder / ".mailrun" / UNSUBSCRIBE_KEY).exists() is False
