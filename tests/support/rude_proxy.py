"""A server in front of another: it forwards every request, and misbehaves with connections and answers."""

import gzip
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_SO_MEMINFO = 55  # Linux: its first number counts the memory of what waits to be read
_MOST_WAITS = 50  # for the rest of a message

Manners = Callable[["Conversation", bytes], bool]
"""Sends an answer in its own way; returns whether the connection stays open."""


@dataclass
class Conversation:
    """One connection.

    Attributes:
        client: the socket to any caller.
        forward: hands a request on and returns the real answer.
        read: reads the next request; empty where there is none.
    """

    client: socket.socket
    forward: Callable[[bytes], bytes]
    read: Callable[[], bytes]


def keep(talk: Conversation, answer: bytes) -> bool:
    talk.client.sendall(answer)
    return True


def close_at_once(talk: Conversation, answer: bytes) -> bool:
    """Close without notice: the answer did not announce it."""
    talk.client.sendall(answer)
    return False


def close_after(seconds: float) -> Manners:
    """Close a connection that was idle for so long."""

    def answer_and_wait(talk: Conversation, answer: bytes) -> bool:
        talk.client.sendall(answer)
        talk.client.settimeout(seconds)
        return True

    return answer_and_wait


def reset_soon(talk: Conversation, answer: bytes) -> bool:
    talk.client.sendall(answer)
    time.sleep(0.02)  # a reset overtakes an answer that was just sent
    talk.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return False


def close_half_and_accept(talk: Conversation, answer: bytes) -> bool:
    """End the sending side, and accept one more request anyway."""
    talk.client.sendall(answer)
    socket.socket.shutdown(talk.client, socket.SHUT_WR)  # of TLS too, whose own `shutdown` would forget the keys
    talk.client.settimeout(1.0)
    if request := talk.read():
        talk.forward(request)
    return False


def _split(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-length", b"connection"))]
    return b"\r\n".join(lines), body


def without_a_length(talk: Conversation, answer: bytes) -> bool:
    head, body = _split(answer)
    talk.client.sendall(head + b"\r\nConnection: close\r\n\r\n")
    talk.client.sendall(body)
    return False


def compressed(talk: Conversation, answer: bytes) -> bool:
    head, body = _split(answer)
    packed = gzip.compress(body)
    length = b"\r\nContent-Length: %d\r\n\r\n" % len(packed)
    talk.client.sendall(head + b"\r\nContent-Encoding: gzip" + length + packed)
    return True


def twice_at_once(talk: Conversation, answer: bytes) -> bool:
    talk.client.sendall(answer * 2)
    return True


def twice_later(seconds: float) -> Manners:
    """Answer, and answer again with the same."""

    def answer_twice(talk: Conversation, answer: bytes) -> bool:
        talk.client.sendall(answer)
        time.sleep(seconds)
        talk.client.sendall(answer)
        return True

    return answer_twice


@dataclass
class RudeProxy:
    """Serves on loopback, one thread a connection.

    Attributes:
        target: where requests go.
        manners: how answers to sends are given.
        tls: None for plain HTTP.
        unread: requests that had arrived, whole or in part, when their connection was closed and that were not read:
            unknown to the client.
    """

    target: tuple[str, int]
    manners: Manners
    tls: ssl.SSLContext | None = None
    port: int = 0
    connections: int = 0
    unread: list[bytes] = field(default_factory=list)
    _listener: socket.socket = field(init=False)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=[client], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError, ssl.SSLError), socket.create_connection(self.target, timeout=10) as onward:
            accepted.settimeout(3.0)
            client = accepted if self.tls is None else self.tls.wrap_socket(accepted, server_side=True)

            def forward(request: bytes) -> bytes:
                onward.sendall(request)
                return _read_message(onward)

            with client:
                talk = Conversation(client, forward, lambda: _read_message(client))
                while request := talk.read():
                    manners = self.manners if b"/outbound" in request[:60] else keep
                    if not manners(talk, forward(request)):
                        break
                self._note_unread(client)

    def _note_unread(self, client: socket.socket) -> None:
        """End the connection, and note a request that came before its end: a late thread does not count as rudeness."""
        with suppress(OSError, ssl.SSLError):
            if not _is_to_reset(client):
                socket.socket.shutdown(client, socket.SHUT_RDWR)  # what arrives from now on is answered by a reset
            client.settimeout(0)
            for _ in range(_MOST_WAITS):
                if not _has_data(client):
                    break
                self.unread.append(_read_message(client))  # a part of a request is received, too
            client.close()  # at once: what came after the last look would not be noted


def _is_to_reset(client: socket.socket) -> bool:
    return any(client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))


def _has_data(client: socket.socket) -> bool:
    """Look without giving up the interpreter, as a read would: a client in this process cannot send meanwhile."""
    return any(client.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4))


def _receive(source: socket.socket, *, is_begun: bool) -> bytes:
    """Receive some bytes; time out only where nothing of a message has come: a slow thread must not lose what has."""
    for _ in range(_MOST_WAITS):
        with suppress(TimeoutError):
            return source.recv(65536)
        if not is_begun and not select.select([source], [], [], 0)[0]:
            break
    raise TimeoutError


def _read_message(source: socket.socket) -> bytes:
    """Read head and body; empty where the stream ends or the time is over before."""
    data = b""
    with suppress(OSError, ssl.SSLError):
        while b"\r\n\r\n" not in data:
            if not (part := _receive(source, is_begun=bool(data))):
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        lengths = [line.partition(b":")[2] for line in lines if line.startswith(b"content-length:")]
        while len(body) < int(lengths[0] if lengths else 0):
            if not (part := _receive(source, is_begun=True)):
                return b""
            body += part
        return head + b"\r\n\r\n" + body
    return b""


@contextmanager
def run_rude_proxy(target_url: str, manners: Manners, tls: ssl.SSLContext | None = None) -> Iterator[RudeProxy]:
    host, _, port = target_url.rpartition("/")[2].partition(":")
    proxy = RudeProxy((host, int(port)), manners, tls)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
