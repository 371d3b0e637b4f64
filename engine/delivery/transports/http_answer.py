"""Reading one HTTP answer: complete or not, whatever marks its end and whatever compresses its body.

Nearly every answer has one form, which one regular expression reads. Everything else goes to httptools (llhttp), which
calls the `on_…` methods. An answer ends by its length, by its last chunk, by its status (204, 304),
or with the stream. Interim answers (1xx) come before it. Whatever follows it in the same stream was not requested.
"""

import re
import zlib
from typing import NamedTuple

import httptools

LARGEST_ANSWER = 1_000_000  # bytes, decompressed; the largest answer of a bulk call has some 10,000
_PACKED = {b"gzip": 47, b"x-gzip": 47, b"deflate": 47}  # zlib detects the header: gzip's or its own


class UnreadableAnswerError(Exception):
    """The stream is not HTTP, does not end, or is compressed in a way that was not requested."""


class HttpAnswer(NamedTuple):
    """An HTTP answer that arrived whole.

    Attributes:
        status: the HTTP status.
        error_type: the header `x-amzn-ErrorType`; empty where there is none.
        body: its bytes, decompressed.
    """

    status: int
    error_type: str
    body: bytes


# What SES sends: a status of 200, a length, and headers that change neither the body nor what happens to the
# connection. Each part is stricter than llhttp.
_HARMLESS = rb"(?:Connection: keep-alive\r\n|(?:Date|Content-Type|x-amzn-RequestId|Server): [!-~][ -~]*+\r\n)*+"
_USUAL = re.compile(rb"HTTP/1\.1 200 OK\r\n%bContent-Length: ([0-9]{1,6})\r\n%b\r\n" % (_HARMLESS, _HARMLESS))


def read_usual(data: bytes) -> HttpAnswer | None:
    """Read an answer that arrived at once, in the usual form: 200, a length, kept open; None if it is anything else."""
    head = _USUAL.match(data)
    if head is None or head.end() + int(head[1]) != len(data):
        return None
    return HttpAnswer(200, "", data[head.end() :])


class AnswerReader:
    """Reads the answer to one request.

    Attributes:
        complete: it has arrived whole.
        is_followed: more came than one answer.
        idle_seconds: how long the server announced to keep the connection open; None where it announced nothing.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.complete = False
        self.is_followed = False
        self._status = 0
        self._keeps = False
        self._begin()

    def _begin(self) -> None:
        self.idle_seconds: float | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._error_type = b""
        self._packings: list[bytes] = []
        self._has_end = False
        self._in_body = False

    def feed(self, data: bytes) -> None:
        """Read some bytes.

        Raises:
            UnreadableAnswerError: they are not an answer.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise UnreadableAnswerError(f"the answer is not HTTP: {error}") from error
            self.is_followed = True

    def end(self) -> None:
        """Record that the stream has ended: an answer without a length is complete then."""
        self.complete = self.complete or (self._in_body and not self._has_end and self._status >= 200)

    @property
    def keeps_connection(self) -> bool:
        """Return whether the connection may be used again."""
        return self._keeps and not self.is_followed and self.idle_seconds != 0.0

    def read(self) -> HttpAnswer:
        """Return the answer that is complete.

        Raises:
            UnreadableAnswerError: its body cannot be decompressed, and the status alone does not give its meaning.
        """
        error_type = self._error_type.decode("latin-1")
        try:
            return HttpAnswer(self._status, error_type, self._unpack(b"".join(self._body)))
        except UnreadableAnswerError:
            if not error_type:
                raise
            return HttpAnswer(self._status, error_type, b"")

    def _unpack(self, body: bytes) -> bytes:
        for packing in reversed(self._packings):
            if packing not in _PACKED:
                raise UnreadableAnswerError(
                    f"the answer is compressed as {packing.decode('latin-1')!r}, which was not requested"
                )
            body = _inflate(body, _PACKED[packing])
        return body

    def on_message_begin(self) -> None:
        """Record that another answer follows."""
        if self.complete:
            self.is_followed = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header; trailers and what follows the answer are ignored."""
        if self.complete or self._in_body:  # of what follows, or a trailer
            return
        match name.lower():
            case b"x-amzn-errortype":
                self._error_type = value
            case b"content-encoding":
                named = [one.strip() for one in value.lower().split(b",")]
                self._packings += [one for one in named if one not in (b"", b"identity")]
            case b"content-length":
                self._has_end = True
            case b"transfer-encoding":
                self._has_end |= b"chunked" in value.lower()
            case b"keep-alive":
                self.idle_seconds = _read_keep_alive(value)

    def on_headers_complete(self) -> None:
        """Note the status, before another answer changes it."""
        if not self.complete:
            self._status = self._parser.get_status_code()
            self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self.complete:
            return
        self._body.append(body)
        self._size += len(body)
        if self._size > LARGEST_ANSWER:
            raise ValueError("it does not end")

    def on_message_complete(self) -> None:
        """End the answer; an interim one (1xx) is forgotten, and the real one follows."""
        if self.complete:
            return
        if 100 <= self._status < 200:
            self._begin()
        else:
            self.complete = True
            self._keeps = bool(self._parser.should_keep_alive())


def _inflate(body: bytes, window_bits: int) -> bytes:
    unpacked = bytearray()
    try:
        while body:
            reader = zlib.decompressobj(window_bits)
            unpacked += reader.decompress(body, LARGEST_ANSWER + 1 - len(unpacked))
            if not reader.eof or len(unpacked) > LARGEST_ANSWER:
                raise UnreadableAnswerError("the compressed answer is truncated")
            body = reader.unused_data  # gzip may have several members
    except zlib.error as error:
        raise UnreadableAnswerError(f"the answer cannot be decompressed: {error}") from error
    return bytes(unpacked)


def _read_keep_alive(value: bytes) -> float | None:
    """Read `timeout=5, max=100`: seconds; 0.0 if the server closes now; None without `timeout`."""
    found: dict[bytes, int] = {}
    for part in value.lower().split(b","):
        name, _, number = part.strip().partition(b"=")
        if number.strip().isdigit():
            found[name.strip()] = int(number)
    if found.get(b"max") == 0:
        return 0.0
    timeout = found.get(b"timeout")
    return None if timeout is None else float(timeout)
