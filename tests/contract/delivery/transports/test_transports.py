"""The contract of every transport: a fault has one meaning, and accepted is what was handed over."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import orjson
import pytest
from support.credentials import bearer
from support.messages import make_message
from support.world import wait_until

from engine.account.client import Endpoint, open_account
from engine.campaign.message import Attachment, Envelope, Message
from engine.campaign.part_writers import make_utf8_writer
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transport import Item, TakeReplies, Transport
from engine.delivery.transports import callers, connection
from engine.delivery.transports.callers import BotocoreCaller, open_caller
from engine.delivery.transports.ses import SesTransport
from engine.delivery.transports.ses_documents import Documents
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.http.faults import AFTER, BEFORE
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings

SENDER = "news@acme.example"
ENVELOPE = Envelope(
    sender="=?utf-8?b?VsOpcm8=?= <news@acme.example>",
    reply_to=("hello@acme.example", '"Doe, Jo" <jo@acme.example>'),
    attachments=(Attachment("terms.pdf", "application/pdf", bytes(range(256))),),
    configuration_set="marketing",
)
MESSAGE = make_message(
    row=7,
    address="ann@b.example",
    subject="Chào bạn, 20 % 🎉",
    html="<p>Xin chào, Đặng &amp; Söhne</p>",
    text="Xin chào\nĐặng",
    headers=(("List-Unsubscribe", "<https://acme.example/u/T>"), ("X-Acme", "a b")),
    tags=(("mailrun-campaign", "welcome"), ("mailrun-row", "7")),
)

# fault -> what it means, and whether the message was accepted anyway.
MEANINGS = {
    "throttle": (ReplyMeaning.SLOW_DOWN, 0),
    "reject": (ReplyMeaning.REFUSED, 0),
    "pause_account": (ReplyMeaning.PAUSE, 0),
    "suspend_account": (ReplyMeaning.PAUSE, 0),
    "internal_error": (ReplyMeaning.IN_DOUBT, 0),
    "bad_gateway": (ReplyMeaning.IN_DOUBT, 0),
    "unavailable": (ReplyMeaning.IN_DOUBT, 0),
    "gateway_timeout": (ReplyMeaning.IN_DOUBT, 0),
    "drop_before": (ReplyMeaning.IN_DOUBT, 0),
    "internal_error_after": (ReplyMeaning.IN_DOUBT, 1),
    "bad_gateway_after": (ReplyMeaning.IN_DOUBT, 1),
    "unavailable_after": (ReplyMeaning.IN_DOUBT, 1),
    "gateway_timeout_after": (ReplyMeaning.IN_DOUBT, 1),
    "drop_after": (ReplyMeaning.IN_DOUBT, 1),
    "reset_after": (ReplyMeaning.IN_DOUBT, 1),
    "cut_200": (ReplyMeaning.IN_DOUBT, 1),
    "empty_200": (ReplyMeaning.IN_DOUBT, 1),
    "html_200": (ReplyMeaning.IN_DOUBT, 1),
    "no_answer": (ReplyMeaning.IN_DOUBT, 1),
}


class Tried(Protocol):
    """A transport, and the receiving side behind it."""

    transport: Transport

    def spoil(self, fault: str) -> None:
        """Apply a fault to the next send."""

    def accepted(self) -> list[str]:
        """Return the addresses of what the receiving side accepted."""


class TriedSes:
    """The real transport, over real HTTP, to the sandbox."""

    def __init__(self, sandbox: EmbeddedSandbox, transport: Transport, folder: Path) -> None:
        self.transport = transport
        self._sandbox, self._folder = sandbox, folder

    def spoil(self, fault: str) -> None:
        with closing(HTTPConnection(urlsplit(self._sandbox.url).netloc, timeout=10)) as connection:
            connection.request(
                "POST", "/_sandbox/faults", body=orjson.dumps({"kind": fault}), headers=bearer(self._sandbox)
            )
            assert connection.getresponse().status == 201

    def accepted(self) -> list[str]:
        return [message["to"][0] for message in read_record(self._folder)]


class TriedWithoutTask(TriedSes):
    """The lean client, which hands messages over without a task as soon as it has a connection."""

    first = make_message(row=1, address="first@b.example", subject="x", html=None, text="x", headers=(), tags=())
    handed_over = False

    async def connect(self) -> None:
        await self.transport.send([self.transport.prepare(self.first)])

    async def send(self, message: Message) -> SendReply:
        answered: asyncio.Future[Sequence[SendReply]] = asyncio.get_running_loop().create_future()
        items = [self.transport.prepare(message)]
        while not self.transport.begin(items, answered.set_result):
            if self.handed_over:  # a fault has ended the connection
                return (await self.transport.send(items))[0]
            await asyncio.sleep(0.001)  # until it was quiet for long enough
        self.handed_over = True
        return (await answered)[0]

    def accepted(self) -> list[str]:
        return [address for address in super().accepted() if address != self.first.address]


class TriedInMemory:
    """The transport of tests that need no server."""

    def __init__(self) -> None:
        self.transport: Transport = self
        self._faults: list[str] = []
        self._accepted: list[str] = []

    most_items, most_bytes, most_calls = 1, 0, 100
    writer = make_utf8_writer()

    def prepare(self, message: Message) -> Item:
        return Item(message.row, message, b"")

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:
        take([self._answer(item.message) for item in items])
        return True

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        return [self._answer(item.message) for item in items]

    def _answer(self, message: Message) -> SendReply:
        fault = self._faults.pop(0) if self._faults else None
        meaning, accepts = (ReplyMeaning.SENT, 1) if fault is None else MEANINGS[fault]
        self._accepted += [message.address] * accepts
        if meaning is ReplyMeaning.SENT:
            return SendReply(meaning, message_id=f"id-{len(self._accepted)}")
        return SendReply(meaning, detail=str(fault), remedy="fix it" if meaning is ReplyMeaning.PAUSE else "")

    def spoil(self, fault: str) -> None:
        self._faults.append(fault)

    def accepted(self) -> list[str]:
        return self._accepted


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    with run_in_thread(SandboxSettings(record_folder=tmp_path, max_send_rate=1000)) as running:
        yield running


def endpoint_of(sandbox: EmbeddedSandbox, *, url: str = "", secret: str = "") -> Endpoint:
    return Endpoint(url or sandbox.url, sandbox.region, sandbox.access_key_id, secret or sandbox.secret_access_key)


@asynccontextmanager
async def open_ses(endpoint: Endpoint, envelope: Envelope = ENVELOPE, *, lean: bool = True) -> AsyncIterator[Transport]:
    async with open_account(endpoint) as account:
        opened = await open_caller(account)
        try:
            caller = opened.caller if lean else BotocoreCaller(*await account.open_send_client())
            yield SesTransport(caller, Documents(envelope), sender_address=SENDER)
        finally:
            opened.close()


@pytest.fixture(params=["lean", "lean, without a task", "botocore", "memory"])
async def tried(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tried]:
    if request.param == "memory":
        yield TriedInMemory()
        return
    sandbox = request.getfixturevalue("sandbox")
    async with open_ses(endpoint_of(sandbox), lean=request.param.startswith("lean")) as transport:
        if not request.param.endswith("task"):
            yield TriedSes(sandbox, transport, tmp_path)
            return
        without_task = TriedWithoutTask(sandbox, transport, tmp_path)
        await without_task.connect()
        yield without_task


async def send_spoiled(tried: Tried, fault: str) -> SendReply:
    """Send with a fault; only for a server that never answers the timeout is shorter."""
    tried.spoil(fault)
    with pytest.MonkeyPatch.context() as patch:
        if fault == "no_answer":
            patch.setattr(callers, "CALL_TIMEOUT_SECONDS", 2.0)
            patch.setattr(connection, "ANSWER_SECONDS", 2.0)
        return await send(tried)


async def send(tried: Tried | Transport, message: Message = MESSAGE) -> SendReply:
    if isinstance(tried, TriedWithoutTask):
        return await tried.send(message)
    transport = tried.transport if isinstance(tried, TriedSes | TriedInMemory) else cast("Transport", tried)
    (reply,) = await transport.send([transport.prepare(message)])
    return reply


# -- every transport ---------------------------------------------------------------------------------------------------


async def test_accepted_message_has_a_unique_id(tried: Tried):
    replies = [await send(tried) for _ in range(3)]
    assert {reply.meaning for reply in replies} == {ReplyMeaning.SENT}
    assert len({reply.message_id for reply in replies}) == 3
    assert tried.accepted() == [MESSAGE.address] * 3


def test_every_fault_of_the_sandbox_has_its_meaning():
    assert set(MEANINGS) == {*BEFORE, *AFTER}


@pytest.mark.parametrize("fault", MEANINGS)
async def test_a_fault_has_one_meaning_and_one_transmission(tried: Tried, fault: str):
    reply = await send_spoiled(tried, fault)
    meaning, accepted = MEANINGS[fault]
    assert reply.meaning is meaning
    assert reply.message_id is None
    assert reply.detail
    assert bool(reply.remedy) is (meaning is ReplyMeaning.PAUSE)
    # A slow server accepts after a sender that gave up.
    await asyncio.to_thread(wait_until, lambda: len(tried.accepted()) >= accepted)
    assert len(tried.accepted()) == accepted


@pytest.mark.parametrize("fault", [f for f in MEANINGS if MEANINGS[f][0] is not ReplyMeaning.PAUSE])
async def test_after_a_fault_the_next_message_is_sent(tried: Tried, fault: str):
    await send_spoiled(tried, fault)
    assert (await send(tried)).meaning is ReplyMeaning.SENT


async def test_many_at_once_are_all_accepted_once(tried: Tried):
    replies = await asyncio.gather(*(send(tried) for _ in range(100)))
    assert {reply.meaning for reply in replies} == {ReplyMeaning.SENT}
    assert len(tried.accepted()) == 100


# -- SES alone ---------------------------------------------------------------------------------------------------------


async def test_what_ses_receives_is_the_message(sandbox: EmbeddedSandbox, tmp_path: Path):
    async with open_ses(endpoint_of(sandbox)) as transport:
        reply = await send(transport)
    received = next(read_record(tmp_path))
    assert received["message_id"] == reply.message_id
    assert received["from"] == ENVELOPE.sender
    assert received["to"] == [MESSAGE.address]
    assert received["reply_to"] == list(ENVELOPE.reply_to)
    assert received["configuration_set"] == "marketing"
    assert (received["subject"], received["html"], received["text"]) == (MESSAGE.subject, MESSAGE.html, MESSAGE.text)
    assert [(one["name"], one["value"]) for one in received["headers"]] == list(MESSAGE.headers)
    assert received["tags"] == dict(MESSAGE.tags)
    assert received["attachments"] == [{"name": "terms.pdf", "type": "application/pdf", "size": 256}]


async def test_absent_parts_of_a_message_are_not_in_its_request(sandbox: EmbeddedSandbox, tmp_path: Path):
    plain = make_message(row=1, address="ann@b.example", subject="Hi", html=None, text="x", headers=(), tags=())
    envelope = Envelope(sender=SENDER, reply_to=(), attachments=(), configuration_set=None)
    async with open_ses(endpoint_of(sandbox), envelope) as transport:
        assert (await send(transport, plain)).meaning is ReplyMeaning.SENT
    received = next(read_record(tmp_path))
    empty = ("html", "headers", "reply_to", "attachments", "configuration_set", "tags")
    assert not any(received[name] for name in empty)


async def test_wrong_credentials_pause_the_run(sandbox: EmbeddedSandbox):
    async with open_ses(endpoint_of(sandbox, secret="wrong")) as transport:
        reply = await send(transport)
    assert reply.meaning is ReplyMeaning.PAUSE
    assert "credentials" in reply.remedy


async def test_a_refused_connection_is_unreachable(sandbox: EmbeddedSandbox):
    with closing(socket.socket()) as unheard:  # bound, and nothing listens
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        async with open_ses(endpoint_of(sandbox, url=url)) as transport:
            assert (await send(transport)).meaning is ReplyMeaning.UNREACHABLE


async def test_a_server_that_cannot_speak_tls_is_unreachable(sandbox: EmbeddedSandbox, tmp_path: Path):
    async with open_ses(endpoint_of(sandbox, url=sandbox.url.replace("http:", "https:"))) as transport:
        assert (await send(transport)).meaning is ReplyMeaning.UNREACHABLE
    assert list(read_record(tmp_path)) == []


@pytest.mark.parametrize(
    ("settings", "meaning", "remedy"),
    [
        ({"identities": ("other.example",)}, ReplyMeaning.PAUSE, SENDER),
        ({"identities": ("acme.example",), "production_access": False}, ReplyMeaning.REFUSED, ""),
        ({"configuration_sets": ()}, ReplyMeaning.PAUSE, "configuration set"),
        ({"max_24_hour_send": 0}, ReplyMeaning.QUOTA, "24-hour quota"),
    ],
)
async def test_account_error_has_its_meaning_and_remedy(
    tmp_path: Path, settings: dict[str, Any], meaning: ReplyMeaning, remedy: str
):
    with run_in_thread(SandboxSettings(record_folder=tmp_path, **settings)) as sandbox:
        async with open_ses(endpoint_of(sandbox)) as transport:
            reply = await send(transport)
    assert reply.meaning is meaning
    assert remedy in reply.remedy


async def test_cancelled_send_raises_and_returns_no_reply(sandbox: EmbeddedSandbox):
    async with open_ses(endpoint_of(sandbox)) as transport:
        sending = asyncio.create_task(send(transport))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
