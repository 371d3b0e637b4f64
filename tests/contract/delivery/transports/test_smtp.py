"""SMTP: TLS, AUTH, reuse and reconnect, SES's headers, and what misbehaviour of servers means."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from msgspec.structs import replace
from pydantic import SecretStr
from support.clock import VirtualClock
from support.messages import make_message
from support.smtp import NAME, PASSWORD, Mailroom, run_script, run_smtp

from engine.account.client import open_account
from engine.campaign.message import Envelope, Message
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transports import smtp as smtp_module
from engine.delivery.transports.message_identity import to_seven_bit
from engine.delivery.transports.smtp import SmtpTransport
from engine.delivery.transports.smtp_server import SmtpServer, derive_password, find_ses_server, parse_server
from engine.errors import ConfigurationError
from engine.settings import Settings

TAGS = (("mailrun-campaign", "c"), ("mailrun-key", "k"), ("mailrun-row", "7"))
MESSAGE = make_message(7, "ann@example.com", "Hé", "<p>é</p>", "Grüße\n.\n..dots\n", (("X-A", "b"),), TAGS)
ENVELOPE = Envelope("Acme <news@acme.example>", ("help@acme.example",), (), "marketing")
SENDER = "news@acme.example"
CLOCK = VirtualClock()


@asynccontextmanager
async def transporting(port: int, **given: Any) -> AsyncIterator[SmtpTransport]:
    envelope = given.pop("envelope", ENVELOPE)
    server = SmtpServer(**({"host": "127.0.0.1", "port": port, "security": "none"} | given))  # type: ignore[arg-type] # as each test has it
    transport = SmtpTransport(server, envelope, sender_address=SENDER, clock=CLOCK)
    try:
        yield transport
    finally:
        await transport.close()
        for _ in range(3):
            await asyncio.sleep(0)


async def send(transport: SmtpTransport, message: Message = MESSAGE) -> SendReply:
    (reply,) = await transport.send([transport.prepare(message)])
    return reply


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    authority, path = trustme.CA(), tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, path


async def test_a_message_arrives_whole_and_its_id_is_taken_from_the_250():
    room = Mailroom()
    async with run_smtp(room) as port, transporting(port) as transport:
        assert await send(transport) == SendReply(ReplyMeaning.SENT, message_id="0100-0001")
    ((sender, recipients, content),) = room.accepted
    assert (sender, recipients) == (SENDER, ["ann@example.com"])
    mail = message_from_bytes(content, policy=policy.default)
    assert mail["Subject"] == "Hé"
    assert mail["Message-ID"] == "<c.k.7@acme.example>"
    assert mail["Date"] is not None
    assert mail["X-SES-MESSAGE-TAGS"] is None
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n") == "Grüße\n.\n..dots\n"


async def test_ses_gets_its_own_headers():
    room = Mailroom()
    async with run_smtp(room) as port, transporting(port, ses=True) as transport:
        await send(transport)
    mail = message_from_bytes(room.accepted[0][2])
    assert mail["X-SES-CONFIGURATION-SET"] == "marketing"
    assert mail["X-SES-MESSAGE-TAGS"] == "mailrun-campaign=c, mailrun-key=k, mailrun-row=7"
    assert (mail["Message-ID"], mail["X-SES-TENANT"]) == (None, None)


async def test_ses_gets_tenant_and_feedback_tags_and_no_other_server_does():
    feedback = (("ses:feedback-id-a", "news"), ("ses:feedback-id-b", "acme"))
    message, envelope = replace(MESSAGE, tags=TAGS[:1] + feedback), replace(ENVELOPE, tenant="shop")
    for is_ses in (True, False):
        room = Mailroom()
        async with run_smtp(room) as port, transporting(port, envelope=envelope, ses=is_ses) as transport:
            await send(transport, message)
        mail = message_from_bytes(room.accepted[0][2])
        tags = "mailrun-campaign=c, ses:feedback-id-a=news, ses:feedback-id-b=acme"
        assert (mail["X-SES-TENANT"], mail["X-SES-MESSAGE-TAGS"]) == (("shop", tags) if is_ses else (None, None))
        assert mail["Feedback-ID"] == (None if is_ses else "news:acme:acme.example")


@pytest.mark.parametrize("kind", ["starttls", "tls"])
async def test_message_is_sent_with_tls_and_login(certificates: tuple[ssl.SSLContext, Path], kind: str):
    context, bundle = certificates
    room, secure = Mailroom(), {kind: context}
    given = {"security": kind, "ca_bundle": str(bundle)}
    login = {"username": NAME.decode(), "password": PASSWORD.decode()}
    async with run_smtp(room, **secure, auth=kind == "starttls") as port:
        async with transporting(port, **given, **(login if kind == "starttls" else {})) as transport:
            assert (await send(transport)).meaning is ReplyMeaning.SENT
        if kind == "starttls":
            async with transporting(port, **given, **(login | {"password": "wrong"})) as transport:
                reply = await send(transport)
                assert (reply.meaning, bool(reply.remedy)) == (ReplyMeaning.PAUSE, True)
            async with transporting(port, **given) as transport:
                assert (await send(transport)).meaning is ReplyMeaning.PAUSE  # 530: log in first
        async with transporting(port, **(given | {"ca_bundle": None})) as transport:
            assert (await send(transport)).meaning is ReplyMeaning.UNREACHABLE  # the certificate of an unknown issuer
    assert len(room.accepted) == 1


async def test_nothing_is_sent_unencrypted_to_a_server_without_starttls():
    room = Mailroom()
    async with run_smtp(room) as port, transporting(port, security="starttls") as transport:
        assert (await send(transport)).meaning is ReplyMeaning.UNREACHABLE
    assert not room.accepted


async def test_connections_are_used_again_and_renewed_after_many_messages(monkeypatch: pytest.MonkeyPatch):
    room = Mailroom()
    async with run_smtp(room) as port, transporting(port) as transport:
        for _ in range(3):
            await send(transport)
        assert room.connections == 1
        monkeypatch.setattr(smtp_module, "MESSAGES_A_CONNECTION", 3)
        await send(transport)
        assert room.connections == 2
        await asyncio.gather(*(send(transport) for _ in range(4)))
        assert room.connections > 2
    assert len(room.accepted) == 8


async def test_server_with_few_connections_gets_every_message():
    room = Mailroom(most_connections=3)
    async with run_smtp(room) as port, transporting(port) as transport:
        replies = [reply.meaning for reply in await asyncio.gather(*(send(transport) for _ in range(60)))]
        assert replies == [ReplyMeaning.SENT] * 60
        refused = room.refused
        await asyncio.gather(*(send(transport) for _ in range(60)))
        assert room.refused == refused, "it is not asked for more than it takes"
        room.most_connections = 4
        CLOCK.advance(smtp_module.MORE_AFTER_SECONDS)
        await asyncio.gather(*(send(transport) for _ in range(60)))
        assert len(room.open) == 4
    assert len(room.accepted) == 180


MANNERS = {
    "mail:454 Throttling failure: Maximum sending rate exceeded.": (ReplyMeaning.SLOW_DOWN, 0),
    "mail:554 Access denied": (ReplyMeaning.PAUSE, 0),
    "mail:drop": (ReplyMeaning.UNREACHABLE, 0),
    "rcpt:553 Invalid email address.": (ReplyMeaning.REFUSED, 0),
    "rcpt:450 Mailbox busy": (ReplyMeaning.RETRY, 0),
    "rcpt:drop": (ReplyMeaning.UNREACHABLE, 0),
    "refuse:454 Throttling failure: Maximum sending rate exceeded.": (ReplyMeaning.SLOW_DOWN, 0),
    "refuse:454 Throttling failure: Daily message quota exceeded.": (ReplyMeaning.QUOTA, 0),
    "refuse:451 Temporary service failure": (ReplyMeaning.RETRY, 0),
    "refuse:552 Message is too long.": (ReplyMeaning.REFUSED, 0),
    f"refuse:554 Message rejected: Email address is not verified: {SENDER}": (ReplyMeaning.PAUSE, 0),
    "refuse:421 closing": (ReplyMeaning.UNREACHABLE, 0),
    "after:drop": (ReplyMeaning.IN_DOUBT, 1),
}


@pytest.mark.parametrize("manner", MANNERS)
async def test_misbehaviour_has_one_meaning_and_the_next_message_is_sent(manner: str):
    room, (meaning, accepted) = Mailroom([manner]), MANNERS[manner]
    async with run_smtp(room) as port, transporting(port) as transport:
        assert (await send(transport)).meaning is meaning
        assert len(room.accepted) == accepted
        assert (await send(transport)).meaning is ReplyMeaning.SENT
        assert len(room.accepted) == accepted + 1


HELLO = (b"220 mail.test\r\n", b"250 mail.test\r\n")
SCRIPTS = {
    "no greeting": ((b"",), ReplyMeaning.UNREACHABLE),
    "busy": ((b"421 Too many concurrent SMTP connections\r\n",), ReplyMeaning.UNREACHABLE),
    "not SMTP": ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), ReplyMeaning.UNREACHABLE),
    "gone after EHLO": ((*HELLO, b""), ReplyMeaning.UNREACHABLE),
    "gone before 354": ((*HELLO, b"250 ok\r\n", b"250 ok\r\n", b""), ReplyMeaning.UNREACHABLE),
    "refuses DATA": ((*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"554 no\r\n", b"250 reset\r\n"), ReplyMeaning.REFUSED),
    "gone after the dot": ((*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b""), ReplyMeaning.IN_DOUBT),
    "no reply after the dot": ((*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250-"), ReplyMeaning.IN_DOUBT),
    "nonsense after the dot": (
        (*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"hello\r\n"),
        ReplyMeaning.IN_DOUBT,
    ),
    "many lines": (
        (*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250-2.0.0 fine\r\n250 2.0.0 Ok: queued as 4XyZ12\r\n"),
        ReplyMeaning.SENT,
    ),
}


@pytest.mark.parametrize(("lines", "meaning"), SCRIPTS.values(), ids=SCRIPTS)
async def test_reply_of_a_scripted_server_has_its_meaning(
    lines: tuple[bytes, ...], meaning: ReplyMeaning, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(smtp_module, "REPLY_SECONDS", 0.2)
    async with run_script(*lines) as port:
        async with transporting(port) as transport:
            reply = await send(transport)
        assert reply.meaning is meaning
        assert reply.message_id == ("4XyZ12" if meaning is ReplyMeaning.SENT else None)


@pytest.mark.parametrize("twice", [b"MAIL", b"RCPT", b"DATA", b"."])
async def test_duplicate_reply_is_never_used_for_the_next_message(twice: bytes):
    accepted: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            writer.write(b"220 hi\r\n")
            while line := await reader.readline():
                verb, reply = line[:4], b"354 go on\r\n" if line.startswith(b"DATA") else b"250 Ok\r\n"
                writer.write(reply * (2 if verb == twice else 1))
                if verb == b"DATA":
                    content = await reader.readuntil(b"\r\n.\r\n")
                    accepted.append(str(message_from_bytes(content)["X-Number"]))
                    writer.write(b"250 Ok 0100-%b\r\n" % accepted[-1].encode() * (2 if twice == b"." else 1))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    replies: dict[str, SendReply] = {}
    async with server, transporting(server.sockets[0].getsockname()[1]) as transport:
        for number in map(str, range(6)):
            replies[number] = await send(transport, replace(MESSAGE, headers=(("X-Number", number),)))
    sent = {number for number, reply in replies.items() if reply.meaning is ReplyMeaning.SENT}
    in_doubt = {number for number, reply in replies.items() if reply.meaning is ReplyMeaning.IN_DOUBT}
    assert sent <= set(accepted) <= sent | in_doubt
    assert len(accepted) == len(set(accepted))
    assert all(replies[number].message_id == f"0100-{number}" for number in sent)


async def test_idle_connection_with_unread_data_is_not_used():
    room = Mailroom()
    async with run_smtp(room) as port, transporting(port) as transport:
        await send(transport)
        (server,) = room.open
        cast("asyncio.Transport", server.transport).write(b"421 4.4.2 Timeout\r\n")
        assert (await send(transport)).meaning is ReplyMeaning.SENT
    assert (room.connections, len(room.accepted)) == (2, 2)


async def test_missing_server_is_unreachable():
    async with run_script(b"") as port:
        pass
    async with transporting(port) as transport:
        assert (await send(transport)).meaning is ReplyMeaning.UNREACHABLE


def test_a_server_without_8bitmime_gets_seven_bits_with_the_same_content():
    kind = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    mail = b"Subject: x\r\n" + kind + b"\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    seven = to_seven_bit(mail)
    assert seven.isascii()
    assert message_from_bytes(seven, policy=policy.default).get_content().strip() == "Grüße"
    assert to_seven_bit(b"Subject: x\r\n\r\nplain\r\n") == b"Subject: x\r\n\r\nplain\r\n"


@pytest.mark.parametrize(
    ("region", "password"),
    [
        ("us-east-1", "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"),
        ("eu-west-1", "BMW5RDrXmmVs0lV7GpI4oLkHXpZ4stDsk6q91z1g38Pk"),
    ],
)
def test_the_smtp_password_is_derived_as_aws_publishes_it(region: str, password: str):
    assert derive_password("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", region) == password


async def test_ses_server_and_password_are_derived_from_the_account(aws: pytest.MonkeyPatch):
    aws.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    aws.setenv("AWS_DEFAULT_REGION", "us-east-1")
    async with open_account() as account:
        server = await find_ses_server(account)
    assert (server.host, server.port, server.security) == ("email-smtp.us-east-1.amazonaws.com", 587, "starttls")
    assert (server.username, server.password) == ("AKIDENV", "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_USE_FIPS_ENDPOINT", "true", "email-fips.eu-west-1"),
        ("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:9", "127.0.0.1"),
        ("AWS_SESSION_TOKEN", "t", "temporary"),
    ],
)
async def test_aws_setting_that_smtp_cannot_follow_is_refused(
    aws: pytest.MonkeyPatch, name: str, value: str, said: str
):
    aws.setenv(name, value)
    async with open_account() as account:
        with pytest.raises(ConfigurationError, match=said):
            await find_ses_server(account)


def read_server(url: str, **more: str) -> SmtpServer:
    secret = SecretStr(more.get("password", ""))
    return parse_server(
        Settings(workspace=Path("nowhere"), smtp_url=url, smtp_username=more.get("username", ""), smtp_password=secret)
    )


def test_servers_are_read_from_their_urls():
    assert read_server("smtp://mail.example").url == "smtp://mail.example:587"
    assert read_server("smtps://mail.example:2465").security == "tls"
    plain = read_server("smtp+plain://127.0.0.1:2525", username="u", password="p")
    assert (plain.security, plain.port, plain.username, plain.password) == ("none", 2525, "u", "p")
    assert "p" not in repr(plain).replace("plain", "").partition("password")[2]
    assert read_server("smtp://email-smtp.eu-west-1.amazonaws.com").ses


@pytest.mark.parametrize(
    "url", ["mail.example", "http://mail.example", "smtp://", "smtp://u:p@mail.example", "smtp://h/path", "smtp://h:0x"]
)
def test_invalid_server_is_refused_with_what_to_write(url: str):
    with pytest.raises(ConfigurationError) as refused:
        read_server(url)
    assert refused.value.remedy
    assert ":p@" not in str(refused.value)


def test_password_is_never_sent_unencrypted():
    with pytest.raises(ConfigurationError, match="unencrypted"):
        read_server("smtp+plain://mail.example", username="u", password="p")
