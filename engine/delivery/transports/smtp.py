"""`transport = "smtp"`: SES's SMTP interface, or any other server, over a pool of connections.

The hand-over is done step by step, so that the result of a lost connection is certain: before the final dot
was begun nothing was accepted; after it, without a reply, the message is in doubt.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Sequence

import aiosmtplib

from engine.campaign.message import Envelope, Message
from engine.campaign.mime import Composer
from engine.campaign.part_writers import make_utf8_writer
from engine.clock import Clock, SystemClock
from engine.delivery.replies import ReplyMeaning, SendReply, bound_detail
from engine.delivery.smtp_replies import Phase, read_smtp, wants_fewer_connections
from engine.delivery.transport import Item, TakeReplies
from engine.delivery.transports.message_identity import make_identity, to_seven_bit
from engine.delivery.transports.smtp_server import SmtpServer, make_tls_context, open_client
from engine.delivery.transports.socket_state import is_quiet

CONNECT_SECONDS = 10.0
REPLY_SECONDS = 60.0  # for each reply; RFC 5321 4.5.3.2.6 allows ten minutes after the dot, too long for a campaign
MESSAGES_A_CONNECTION = 500  # then a new one: load balancers cut old connections in the middle of a message
IDLE_SECONDS = 8.0  # SES closes idle connections after 10 s
MOST_CONNECTIONS = 32
MORE_AFTER_SECONDS = 60.0  # wait before opening another connection at a server that refused one

_LONG_TAGS = 900  # characters of all tags
_DOT = re.compile(rb"^\.", re.MULTILINE)
# SES: "Ok 0100…"; Postfix: "2.0.0 Ok: queued as 4XyZ…"; others use any text.
_QUEUED_AS = re.compile(r"(?:ok:?(?: queued as)?|queued as|id=) *(?P<id>[A-Za-z0-9][\w.@+-]{4,})", re.IGNORECASE)


class _Connection:
    """One connection of the pool."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.messages = 0
        self.idle_since = 0.0
        self.eight_bit = client.supports_extension("8bitmime")

    @property
    def is_usable(self) -> bool:
        """Return whether the server has neither closed the connection nor sent anything since its last reply."""
        return self.client.is_connected and is_quiet(self.client.get_transport_info("socket").fileno())


class SmtpTransport:
    """Hands messages to one SMTP server.

    Args:
        server: where, and how to log in.
        envelope: what is the same in every message.
        sender_address: the envelope's sender (MAIL FROM).
        clock: monotonic time, and dates.

    Raises:
        ConfigurationError: the CA bundle cannot be read.
    """

    most_items = 1
    most_bytes = 0
    most_calls = MOST_CONNECTIONS

    def __init__(
        self, server: SmtpServer, envelope: Envelope, *, sender_address: str, clock: Clock | None = None
    ) -> None:
        self._server = server
        self._envelope = envelope
        self._composer = Composer(envelope)
        self.writer = make_utf8_writer()
        self._sender = sender_address
        self._clock = clock or SystemClock()
        self._idle: deque[_Connection] = deque()
        self._open = 0  # connections, idle, busy and being made
        self._most_open = MOST_CONNECTIONS
        self._more_at = 0.0
        self._freed = asyncio.Event()
        self._tls = make_tls_context(server)

    def prepare(self, message: Message) -> Item:
        """Compose the message, with SES's own headers where the server is SES."""
        extra = (
            _make_ses_headers(message, self._envelope)
            if self._server.ses
            else make_identity(message, self._sender, self._clock)
        )
        return Item(message.row, message, self._composer.compose(message, extra))

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:  # noqa: ARG002 - a Transport's signature
        """Hand over nothing: `send` waits for a thread or a connection."""
        return False

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        """Hand over one message; see Transport.send."""
        (item,) = items
        try:
            connection = await self._take()
        except aiosmtplib.SMTPResponseException as refusal:
            return [read_smtp(refusal.code, refusal.message, Phase.LOGIN, sender=self._sender, ses=self._server.ses)]
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            return [
                SendReply(
                    ReplyMeaning.UNREACHABLE, detail=bound_detail(f"no connection to {self._server.url}: {error}")
                )
            ]
        phase = _PhaseOf()
        try:
            reply = await self._hand_over(connection, item, phase)
        except (aiosmtplib.SMTPException, OSError) as error:
            self._drop(connection)
            meaning = ReplyMeaning.IN_DOUBT if phase.now is Phase.DOT else ReplyMeaning.UNREACHABLE
            return [SendReply(meaning, detail=bound_detail(f"the connection was lost {phase.now.value}: {error}"))]
        except BaseException:
            self._drop(connection)  # its reply would be read as the next message's
            raise
        await self._give_back(connection, clean=phase.now is Phase.DOT)
        return [reply]

    async def close(self) -> None:
        """Close every idle connection; busy ones close when their call is cancelled or ends."""
        while self._idle:
            self._drop(self._idle.pop())

    async def _hand_over(self, connection: _Connection, item: Item, phase: "_PhaseOf") -> SendReply:
        client = connection.client
        phase.now = Phase.MAIL
        options = [b"BODY=8BITMIME"] if connection.eight_bit and not item.payload.isascii() else []
        sender, recipient = self._sender.encode(), item.message.address.encode()
        answer = await client.execute_command(b"MAIL", b"FROM:<" + sender + b">", *options)
        if answer.code != aiosmtplib.SMTPStatus.completed:
            return self._read(answer, Phase.MAIL)
        phase.now = Phase.RCPT
        answer = await client.execute_command(b"RCPT", b"TO:<" + recipient + b">")
        if answer.code not in (250, 251):
            return self._read(answer, Phase.RCPT)
        phase.now = Phase.DATA
        answer = await client.execute_command(b"DATA")
        if answer.code != aiosmtplib.SMTPStatus.start_input:
            return self._read(answer, Phase.DATA)
        payload = item.payload if connection.eight_bit else to_seven_bit(item.payload)
        protocol = client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("the server has gone")
        phase.now = Phase.DOT
        protocol.write(_DOT.sub(b"..", payload.removesuffix(b"\r\n")) + b"\r\n.\r\n")
        answer = await protocol.read_response(timeout=REPLY_SECONDS)
        connection.messages += 1
        if answer.code != aiosmtplib.SMTPStatus.completed:
            return self._read(answer, Phase.DOT)
        return SendReply(ReplyMeaning.SENT, message_id=read_message_id(answer.message))

    def _read(self, answer: aiosmtplib.SMTPResponse, phase: Phase) -> SendReply:
        """Read a reply other than the expected one.

        Raises:
            SMTPServerDisconnected: it is not a refusal either, so it belongs to another command, as would the replies
                after it.
        """
        if answer.code < 400:
            raise aiosmtplib.SMTPServerDisconnected(f"unexpected reply of the server: {answer.code} {answer.message}")
        return read_smtp(answer.code, answer.message, phase, sender=self._sender, ses=self._server.ses)

    async def _take(self) -> _Connection:
        """Take an idle connection, or open one; wait for one if the server does not accept more.

        Raises:
            Exception: what aiosmtplib raises where none can be opened and none is open.
        """
        while True:
            if idle := self._take_idle():
                return idle
            if self._open < self._most_open or self._clock.monotonic() >= self._more_at > 0.0:
                if opened := await self._open_one():
                    return opened
                continue
            self._freed.clear()
            await self._freed.wait()

    async def _open_one(self) -> _Connection | None:
        """Open a connection; None where the server refuses more of them, and others are open here."""
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        try:
            return await self._connect()
        except aiosmtplib.SMTPResponseException as refusal:
            self._lose()
            if self._open and wants_fewer_connections(refusal.code, refusal.message):
                self._most_open = self._open
                self._more_at = self._clock.monotonic() + MORE_AFTER_SECONDS
                return None
            raise
        except BaseException:
            self._lose()
            raise

    def _drop(self, connection: _Connection) -> None:
        connection.client.close()
        self._lose()

    def _lose(self) -> None:
        self._open -= 1
        self._freed.set()

    def _take_idle(self) -> _Connection | None:
        oldest_usable = self._clock.monotonic() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            usable = connection.is_usable and connection.idle_since >= oldest_usable
            if usable and connection.messages < MESSAGES_A_CONNECTION:
                return connection
            self._drop(connection)
        return None

    async def _connect(self) -> _Connection:
        client = open_client(self._server, timeout=CONNECT_SECONDS, tls=self._tls)
        await client.connect()
        client.timeout = REPLY_SECONDS
        if not client.last_ehlo_response:
            await client.ehlo()
        return _Connection(client)

    async def _give_back(self, connection: _Connection, *, clean: bool) -> None:
        """Keep a connection; reset it first where its message was refused half-way."""
        if not clean and connection.client.is_connected:
            try:
                await connection.client.execute_command(b"RSET")
            except (aiosmtplib.SMTPException, OSError):
                connection.client.close()
        if not connection.client.is_connected:
            self._lose()
            return
        connection.idle_since = self._clock.monotonic()
        self._idle.append(connection)
        self._freed.set()


class _PhaseOf:
    """How far a hand-over has come."""

    def __init__(self) -> None:
        self.now = Phase.MAIL


def read_message_id(text: str) -> str:
    """Read the message id from the text of a 250 reply; returns the whole text where it has none.

    >>> read_message_id("Ok 01010160d7de98d8-21e57d9a-JZho-416c-bbe1-8ebaAexample-000000")
    '01010160d7de98d8-21e57d9a-JZho-416c-bbe1-8ebaAexample-000000'
    >>> read_message_id("2.0.0 Ok: queued as 4XyZ1234abcd")
    '4XyZ1234abcd'
    """
    found = _QUEUED_AS.search(text)
    return found["id"] if found else (text.strip()[:255] or "accepted")


def _make_ses_headers(message: Message, envelope: Envelope) -> tuple[tuple[str, str], ...]:
    """SES removes these headers before it sends: developer guide, "Specifying a configuration set", X-SES headers."""
    tags = [f"{name}={value}" for name, value in message.tags]
    separator = ", " if sum(map(len, tags)) < _LONG_TAGS else ",\r\n "  # RFC 5322 2.1.1: a line has 998 at most
    headers = [("X-SES-MESSAGE-TAGS", separator.join(tags))]
    if envelope.configuration_set is not None:
        headers.append(("X-SES-CONFIGURATION-SET", envelope.configuration_set))
    if envelope.tenant is not None:
        headers.append(("X-SES-TENANT", envelope.tenant))
    return tuple(headers)
