"""SMTP servers for tests: a correct one with TLS and AUTH, and a library of named misbehaviours."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

NAME, PASSWORD = b"AKIDSMTP", b"smtp-password"


@dataclass
class Mailroom:
    """What a server accepted, and how it treats the next messages.

    Attributes:
        manners: misbehaviours, each for one message in turn; afterwards the server is correct.
        most_connections: at a time; further ones are refused as SES refuses them.
        refused: connections above `most_connections`.
    """

    manners: list[str] = field(default_factory=list)
    accepted: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    connections: int = 0
    most_connections: int = 1000
    refused: int = 0
    open: set[SMTP] = field(default_factory=set)

    async def handle_MAIL(self, server: SMTP, _s: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._behave("mail", server) or "250 OK"

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SMTP, _s: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if reply := await self._behave("rcpt", server):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if (reply := await self._behave("refuse", server)) is not None:
            return reply
        assert envelope.mail_from is not None
        assert isinstance(envelope.content, bytes)
        self.accepted.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        if (reply := await self._behave("after", server)) is not None:
            return reply
        return f"250 Ok 0100-{len(self.accepted):04d}"

    async def _behave(self, moment: str, server: SMTP) -> str | None:
        if not self.manners or not self.manners[0].startswith(f"{moment}:"):
            return None
        what = self.manners.pop(0).partition(":")[2]
        if what == "drop":
            cast("asyncio.Transport", server.transport).abort()  # that of uvloop is of no class of asyncio
            await asyncio.sleep(0)
            return ""
        return what


class _Counted(SMTP):
    """Counts itself while it is open."""

    room: Mailroom

    def connection_lost(self, error: Exception | None) -> None:
        self.room.open.discard(self)
        super().connection_lost(error)


class _OneTooMany(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"421 Too many concurrent SMTP connections\r\n")
        transport.close()


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (NAME, PASSWORD), handled=False)


@asynccontextmanager
async def run_smtp(
    mailroom: Mailroom, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, auth: bool = False
) -> AsyncIterator[int]:
    """Serve on loopback; yields the port."""
    loop = asyncio.get_running_loop()

    def make() -> asyncio.Protocol:
        if len(mailroom.open) >= mailroom.most_connections:
            mailroom.refused += 1
            return _OneTooMany()
        mailroom.connections += 1
        made = _Counted(
            mailroom,
            loop=loop,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=auth,
            auth_require_tls=starttls is not None,
            authenticator=authenticate if auth else None,
        )
        made.room = mailroom
        mailroom.open.add(made)
        return made

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        left = {each for each in mailroom.open if each.transport is not None}  # the others failed to begin TLS
        for each in left:
            cast("asyncio.Transport", each.transport).abort()
        while left & mailroom.open:  # noqa: ASYNC110 - a loop that ends before would leave their sockets open
            await asyncio.sleep(0)
        await server.wait_closed()


@contextmanager
def smtp_in_thread(
    room: Mailroom, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, auth: bool = False
) -> Iterator[int]:
    """Serve in a thread, for a test that waits for a command; yields the port."""
    ports: list[int] = []
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        async with run_smtp(room, starttls=starttls, tls=tls, auth=auth) as port:
            ports.append(port)
            up.set()
            await asyncio.to_thread(down.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    up.wait()
    try:
        yield ports[0]
    finally:
        down.set()
        thread.join()


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def script(*lines: bytes) -> Script:
    """Answer each line of the client with the next of these; an empty one closes the connection.

    After `354` everything up to the final dot counts as one line.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for number, line in enumerate(lines):
                if number:
                    await (reader.readuntil(b"\r\n.\r\n") if lines[number - 1][:3] == b"354" else reader.readline())
                if not line:
                    break
                writer.write(line)
                await writer.drain()
            else:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return serve


@asynccontextmanager
async def run_script(*lines: bytes) -> AsyncIterator[int]:
    """Serve one script to every connection; yields the port."""
    server = await asyncio.start_server(script(*lines), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
