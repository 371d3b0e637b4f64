"""TLS over a socket that somebody else reads and writes: OpenSSL between two buffers in memory.

One call encrypts a whole request, and one decrypts a whole answer. The protocols of asyncio and uvloop take several
steps for each record, and hide which bytes the kernel got.
"""

import ssl

_MOST_BYTES = 65_536  # of one read: more than an answer has


class TlsStream:
    """The client's side of one TLS connection.

    Attributes:
        has_ended: the server has announced the end of the stream (close_notify).

    Args:
        context: verification and versions.
        host: the name that the certificate must have.
        session: of an earlier connection to the same host; saves most of the handshake.
    """

    def __init__(self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self.has_ended = False

    def shake_hands(self, received: bytes) -> bool:
        """Take the next step of the handshake; return whether it is complete. What must be sent is in `take_sealed`.

        Raises:
            ssl.SSLError: the server is not trusted, or does not speak TLS.
        """
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def seal(self, request: bytes) -> bytes:
        """Encrypt a request.

        Raises:
            ssl.SSLError: the connection has failed.
        """
        self._tls.write(request)
        return self._outgoing.read()

    def open(self, received: bytes) -> bytes:
        """Decrypt what was received; empty if it has no data: a ticket, a part of a record, an end.

        Raises:
            ssl.SSLError: it is not what the server encrypted.
        """
        self._incoming.write(received)
        opened = self._read()
        while opened and (self._incoming.pending or self._tls.pending()) and (more := self._read()):
            opened += more
        return opened

    def _read(self) -> bytes:
        try:
            opened = self._tls.read(_MOST_BYTES)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            opened = b""
        self.has_ended = not opened
        return opened

    @property
    def must_send(self) -> bool:
        """Return whether the protocol itself has something to send: a step of the handshake, an alert, a new key."""
        return self._outgoing.pending > 0

    def take_sealed(self) -> bytes:
        """Return what the protocol itself has to send."""
        return self._outgoing.read()

    @property
    def session(self) -> ssl.SSLSession | None:
        """Return what a later connection may continue; None if the server gave no ticket."""
        session = self._tls.session
        return session if session is not None and session.has_ticket else None
