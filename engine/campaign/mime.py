"""Raw MIME (RFC 2045 to 2049, 5322) from prepared headers and attachments: a message encodes only its own parts."""

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterable, Sequence
from email.message import MIMEPart
from email.policy import SMTP
from hashlib import sha256

from engine.campaign.message import Attachment, Envelope, Message

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_LONGEST_PLAIN_SUBJECT = 900  # characters on one line; RFC 5322 2.1.1 allows 998 with the name
_WORD_BYTES = 45  # of text in an encoded word: 60 characters of base64, within RFC 2047's 75
_BASE64_LINE = 76  # RFC 2045 6.8
_BOUNDARY_SIGN = b"=_"
_LONGEST_LINE = 998  # RFC 5322 2.1.1
_CONTROLS = bytes({*range(32), 127} - {9, 10, 13})
_HEAD_7BIT = {
    kind: f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n'.encode("ascii")
    for kind in ("html", "plain")
}
_BASE64_SHARE = 1.2  # bytes per character above which base64 is shorter than quoted-printable


class Composer:
    """Writes messages as raw MIME.

    text, HTML or both (multipart/alternative), with the inline images (multipart/related) and the attachments
    (multipart/mixed) of all messages. There is no Date and no Message-ID: SES sets them, and an SMTP transport
    passes its own as `headers`. Equal messages give equal bytes.

    Args:
        envelope: what is the same in all messages; written once.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._head = _write_header("From", envelope.sender)
        if envelope.reply_to:
            self._head += _write_header("Reply-To", ", ".join(envelope.reply_to))
        self._head += b"MIME-Version: 1.0\r\n"
        seed = sha256(repr(envelope).encode()).hexdigest()[:24]
        # A quoted-printable or base64 body never has "=_", and text with "=_" is encoded: no content has the boundary.
        self._boundary = f"{_BOUNDARY_SIGN.decode()}{seed}"
        inline = [one for one in envelope.attachments if one.content_id]
        attached = [one for one in envelope.attachments if not one.content_id]
        self._related = _Wrapping("related", f"{self._boundary}_r", inline) if inline else None
        self._mixed = _Wrapping("mixed", f"{self._boundary}_m", attached) if attached else None
        alternative = f"{self._boundary}_a"
        self._alternative = f'Content-Type: multipart/alternative; boundary="{alternative}"\r\n\r\n'.encode("ascii")
        self._between = f"--{alternative}\r\n".encode("ascii")
        self._after = f"\r\n--{alternative}--\r\n".encode("ascii")

    def compose(self, message: Message, headers: Iterable[tuple[str, str]] = ()) -> bytes:
        """Return a message as bytes.

        Args:
            message: what to write.
            headers: further headers of the transport, such as Date; printable ASCII.
        """
        lines = [self._head, f"To: {message.address}\r\n".encode(), _write_subject(message.subject)]
        lines += [f"{name}: {value}\r\n".encode("ascii") for name, value in (*message.headers, *headers)]
        return b"".join([*lines, *self._wrap_all(message)])

    def _wrap_all(self, message: Message) -> list[bytes]:
        html = _encode_part("html", message.html) if message.html is not None else None
        text = _encode_part("plain", message.text) if message.text is not None else None
        if html is not None and self._related is not None:
            html = self._related.wrap(html)
        if html is None or text is None:
            body = html or text or [b"\r\n"]
        else:
            body = [self._alternative, self._between, *text, b"\r\n", self._between, *html, self._after]
        if html is None and self._related is not None:
            body = self._related.wrap(body)
        return self._mixed.wrap(body) if self._mixed else body


class _Wrapping:
    """A multipart around a part: its beginning and its end, including all later parts, written once."""

    def __init__(self, kind: str, boundary: str, files: Sequence[Attachment]) -> None:
        self._begin = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode("ascii")
        parts = [f"\r\n--{boundary}\r\n".encode("ascii") + _write_file(one) for one in files]
        self._end = b"".join(parts) + f"\r\n--{boundary}--\r\n".encode("ascii")

    def wrap(self, part: list[bytes]) -> list[bytes]:
        """Return the part in its multipart."""
        return [self._begin, *part, self._end]


def _encode_part(kind: str, content: str) -> list[bytes]:
    """Write a text part: unchanged if it is ASCII in lines short enough for mail, else in the shorter encoding."""
    content = _LINE_BREAK.sub("\r\n", content) if "\r" in content else content.replace("\n", "\r\n")
    data = content.encode()
    if content.isascii() and _is_plain(data):
        return [_HEAD_7BIT[kind], data]
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: '
    if len(data) > len(content) * _BASE64_SHARE:
        return [f"{head}base64\r\n\r\n".encode("ascii"), _encode_base64(data)]
    # From a line break at the end, the encoder detects which line breaks to write.
    return [f"{head}quoted-printable\r\n\r\n".encode("ascii"), b2a_qp(data + b"\r\n", istext=True)[:-2]]


def _is_plain(data: bytes) -> bool:
    """Return whether ASCII needs no encoding: it has no boundary, no control characters and no long line."""
    if _BOUNDARY_SIGN in data or len(data.translate(None, _CONTROLS)) != len(data):
        return False
    return max(map(len, data.split(b"\r\n"))) <= _LONGEST_LINE


def _encode_base64(data: bytes) -> bytes:
    whole = b2a_base64(data, newline=False)
    return b"\r\n".join([whole[at : at + _BASE64_LINE] for at in range(0, len(whole), _BASE64_LINE)])


def _write_subject(subject: str) -> bytes:
    if (
        subject.isascii()
        and "=?" not in subject
        and len(subject) < _LONGEST_PLAIN_SUBJECT
        and subject == subject.strip()
    ):
        return f"Subject: {subject}\r\n".encode("ascii")
    words = [f"=?utf-8?b?{b2a_base64(chunk.encode(), newline=False).decode('ascii')}?=" for chunk in _chunks(subject)]
    return ("Subject: " + "\r\n ".join(words) + "\r\n").encode("ascii")


def _chunks(text: str) -> Iterable[str]:
    """Split text so that no character is cut and each piece fits an encoded word (RFC 2047 5)."""
    chunk, size = "", 0
    for mark in text:
        width = len(mark.encode())
        if size + width > _WORD_BYTES:
            yield chunk
            chunk, size = "", 0
        chunk, size = chunk + mark, size + width
    yield chunk


def _write_header(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("ascii")


def _write_file(one: Attachment) -> bytes:
    """Write a file's part, once per campaign: the speed of the standard library is enough."""
    part = MIMEPart(policy=SMTP)
    content_type, *parameters = one.content_type.split("; ")
    kind, _, subtype = content_type.partition("/")
    part.set_content(
        b"",
        maintype=kind,
        subtype=subtype,
        filename=one.name,
        disposition="inline" if one.content_id else "attachment",
        params=dict(parameter.split("=", 1) for parameter in parameters),
    )
    if one.content_id:
        part["Content-ID"] = f"<{one.content_id}>"
    del part["MIME-Version"]
    return part.as_bytes().rstrip(b"\r\n") + b"\r\n\r\n" + _encode_base64(one.content)
