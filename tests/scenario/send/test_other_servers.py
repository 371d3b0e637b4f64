"""Servers of others: doubles of SES, SMTP servers that refuse, and pages where answers should be."""

import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import pytest
import trustme
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends
from support.postgres import free_port
from support.smtp import NAME, PASSWORD, Mailroom, smtp_in_thread
from support.world import CAMPAIGN, Finished, World

CHECK, LAUNCH = ("check", "hello"), ("launch", "hello", "--key", "test")
SMTP = '[delivery]\ntransport = "smtp"\nmax_rate = 500\n'


def write_campaign(world: World, more: str) -> None:
    world.write("campaigns/hello/campaign.toml", f"{CAMPAIGN}\n{more}")


# -- doubles of SES ----------------------------------------------------------------------------------------------------


@pytest.fixture
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def test_a_launch_goes_to_moto_with_max_rate_as_its_limit(world: World, moto: str):
    account = boto3.client(
        "ses", endpoint_url=moto, region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    account.verify_domain_identity(Domain="acme.example")
    world.write_people(20)
    write_campaign(world, "[delivery]\nmax_rate = 200\n")
    launched = launch_at(world, moto)
    assert (launched.code, launched.json["sent"]) == (0, 20), launched.stderr
    assert f"{moto} is not SES and does not support GetAccount" in launched.stderr
    assert "AWS_ENDPOINT_URL_SESV2" in launched.stderr
    assert "the limit is max_rate, 200" in launched.stderr
    assert world.run("audit", "hello/test").code == 0
    messages = ses_backends["123456789012"]["eu-west-1"].sent_messages
    received = Counter(address for message in messages for address in message.destinations["ToAddresses"])
    assert received == Counter(f"person{i}@example.com" for i in range(20))


def test_partial_ses_server_without_max_rate_is_refused(world: World, moto: str):
    world.write_people(3)
    refused = launch_at(world, moto)
    assert refused.code == 78
    assert "does not support GetAccount" in refused.stderr
    assert "max_rate" in refused.stderr
    assert "--sandbox" in refused.stderr
    assert "<" not in refused.stderr


@pytest.mark.parametrize("status", [200, 502])
def test_page_in_place_of_ses_is_never_printed(world: World, status: int):
    world.write_people(3)
    with page_server(status) as url:
        refused = launch_at(world, url)
        checked = world.run("check", "hello", AWS_ENDPOINT_URL_SESV2=url)
    assert refused.code in (69, 78), refused.stderr
    assert checked.code in (69, 78)
    for told in (refused, checked):
        assert "<html" not in told.stdout + told.stderr


def launch_at(world: World, url: str) -> Finished:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}
    return world.run("launch", "hello", "--key", "test", "--json", folder=None, AWS_ENDPOINT_URL_SESV2=url, **keys)


@contextmanager
def page_server(status: int) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><body><h1>It works!</h1></body></html>")

        do_POST = do_GET  # noqa: N815 - as above

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# -- SMTP --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mail_world(world: World) -> World:
    world.write_people(3)
    write_campaign(world, SMTP)
    return world


def run_both(world: World, code: int, *words: str, **environment: str | None) -> None:
    """Check and launch report the same, and nothing is sent."""
    run_each(world, code, *words, commands=(CHECK, LAUNCH), **environment)


def run_each(
    world: World, code: int, *words: str, commands: Sequence[Sequence[str]] = (CHECK,), **environment: str | None
) -> None:
    for command in commands:
        told = world.run(*command, folder=None, **environment)
        assert told.code == code, told.stdout + told.stderr
        for word in words:
            assert word in told.stdout + told.stderr
        assert "SES" not in told.stdout + told.stderr
        assert "region" not in told.stdout + told.stderr


def test_check_passes_when_the_smtp_server_accepts_the_mail(mail_world: World):
    room = Mailroom()
    with smtp_in_thread(room) as port:
        checked = mail_world.run("check", "hello", MAILRUN_SMTP_URL=f"smtp+plain://127.0.0.1:{port}")
    assert checked.code == 0, checked.stdout
    assert room.connections == 1
    assert room.accepted == []


def test_missing_smtp_server_is_reported_at_once(mail_world: World):
    url = f"smtp+plain://127.0.0.1:{free_port()}"
    run_both(mail_world, 69, f"the SMTP server {url} cannot be reached", "MAILRUN_SMTP_URL", MAILRUN_SMTP_URL=url)


def test_refused_smtp_login_is_reported(mail_world: World, tmp_path: Path):
    authority, bundle = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    room = Mailroom()
    with smtp_in_thread(room, starttls=context, auth=True) as port:
        known = {"MAILRUN_SMTP_URL": f"smtp://127.0.0.1:{port}", "MAILRUN_SMTP_CA_BUNDLE": str(bundle)}
        login = known | {"MAILRUN_SMTP_USERNAME": NAME.decode(), "MAILRUN_SMTP_PASSWORD": "wrong"}
        run_both(mail_world, 78, "refuses the login: 535", "MAILRUN_SMTP_USERNAME", **login)
        run_each(mail_world, 78, "530", "MAILRUN_SMTP_USERNAME and MAILRUN_SMTP_PASSWORD", **known)
        run_each(mail_world, 78, "TLS with the SMTP server", "CA_BUNDLE", **(login | {"MAILRUN_SMTP_CA_BUNDLE": ""}))
        right = mail_world.run("check", "hello", folder=None, **(login | {"MAILRUN_SMTP_PASSWORD": PASSWORD.decode()}))
        assert right.code == 0, right.stdout
    assert room.accepted == []


def test_sender_that_the_smtp_server_refuses_is_reported(mail_world: World):
    room = Mailroom(["mail:553 5.1.8 Domain of sender address does not exist"] * 2)
    with smtp_in_thread(room) as port:
        url = f"smtp+plain://127.0.0.1:{port}"
        run_both(mail_world, 69, "does not accept mail from news@acme.example: 553", "from", MAILRUN_SMTP_URL=url)
    assert room.accepted == []


def test_server_without_starttls_is_reported(mail_world: World):
    with smtp_in_thread(Mailroom()) as port:
        run_each(mail_world, 78, "does not offer STARTTLS", "smtps://", MAILRUN_SMTP_URL=f"smtp://127.0.0.1:{port}")


def test_temporarily_busy_server_does_not_stop_a_launch(mail_world: World):
    room = Mailroom(["mail:450 4.7.1 Error: too much mail"])
    with smtp_in_thread(room) as port:
        url = f"smtp+plain://127.0.0.1:{port}"
        launched = mail_world.run("launch", "hello", "--key", "test", "--json", MAILRUN_SMTP_URL=url)
    assert (launched.code, launched.json["sent"]) == (0, 3), launched.stderr
    assert "too much mail" in launched.stderr
    assert len(room.accepted) == 3


def test_smtp_settings_that_are_missing_are_named(mail_world: World):
    nothing = dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    for command in (CHECK, LAUNCH):
        refused = mail_world.run(*command, folder=None, **nothing)
        assert refused.code == 78
        assert "no SMTP server is set" in refused.stdout + refused.stderr
        assert "MAILRUN_SMTP_URL" in refused.stdout + refused.stderr
