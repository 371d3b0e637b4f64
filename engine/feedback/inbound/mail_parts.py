"""A mail as its parts, read in time that grows with its size alone.

Anyone can send a mail here, and one thread reads them one after the other, so that no mail may take long. The `email`
package of the standard library takes time that grows with the square of the input for several of them (parameters,
encoded words, groups of addresses, nested parts), and differs in this between Python versions. Little of it is needed:
header fields, content types, the text of a part. Every function here and in the modules below
(header_fields, address_lists, encoded_words, transfer_encodings) reads its text a fixed number of times.

Source: RFC 2046 5.1 (multipart).
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from engine.feedback.inbound.encoded_words import decode_words
from engine.feedback.inbound.header_fields import UnreadableMailError, join_lines, read_content_type, read_head, unfold
from engine.feedback.inbound.transfer_encodings import decode_charset, decode_transfer

MOST_BYTES = 1024 * 1024  # of a mail that are read: what identifies it stands before large attachments
MOST_PARTS = 200  # a report has three, with the mail in it a dozen
MOST_DEPTH = 20  # of nested parts; a mail that was forwarded ten times has as many
MOST_TEXT_BYTES = 400_000  # of a text part that are read, before decoding

_LONGEST_BOUNDARY = 70  # RFC 2046 5.1.1
_MESSAGES = ("message/rfc822", "message/global")


class MailPart(Struct, frozen=True):
    """A mail, or a part of one.

    Attributes:
        fields: the values of its header fields by name in lower case, in their order, still folded.
        content_type: in lower case, without parameters; `text/plain` where there is none.
        parameters: of the content type.
        content: as it was sent.
        parts: what a multipart or an attached mail has in it.
    """

    fields: dict[str, list[str]]
    content_type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    parts: tuple["MailPart", ...] = ()

    def __contains__(self, name: str) -> bool:
        """Return whether there is such a header field."""
        return name.lower() in self.fields

    def get_all(self, name: str) -> list[str]:
        """Return the values of a header field, unfolded and not decoded."""
        return [unfold(value) for value in self.fields.get(name.lower(), ())]

    def get(self, name: str) -> str:
        """Return the first value of a header field, unfolded and not decoded; empty where there is none."""
        return next(iter(self.get_all(name)), "")

    def text_of(self, name: str) -> str:
        """Return the first value of a header field, its encoded words decoded; empty where there is none."""
        return decode_words(self.get(name))

    def joined(self, name: str) -> str:
        """Return the same without the white space that folds it, which a token longer than a line has."""
        values = self.fields.get(name.lower())
        return decode_words(join_lines(values[0])) if values else ""

    def walk(self) -> Iterator["MailPart"]:
        """Yield the part and those in it, from the outside to the inside."""
        parts: list[MailPart] = [self]
        for part in parts:  # it grows in the loop
            yield part
            parts += part.parts

    def walk_own(self) -> Iterator["MailPart"]:
        """Yield the same without attached mails and their parts, which other people wrote."""
        parts: list[MailPart] = [self]
        for part in parts:
            if part.content_type not in _MESSAGES:
                yield part
                parts += part.parts

    def read_content(self) -> bytes:
        """Return the content, as far as `MOST_TEXT_BYTES`, decoded as its Content-Transfer-Encoding says."""
        return decode_transfer(self.content[:MOST_TEXT_BYTES], self.get("Content-Transfer-Encoding"))

    def read_text(self) -> str:
        """Return the content as text, as far as `MOST_TEXT_BYTES`."""
        return decode_charset(self.read_content(), self.parameters.get("charset", "utf-8"))


def read_parts(raw: bytes) -> MailPart:
    """Read a mail, as far as `MOST_BYTES`.

    Args:
        raw: RFC 5322, with line ends of either kind.

    Raises:
        UnreadableMailError: it has no header, or more of something than its bounds.
    """
    left = [MOST_PARTS]
    raw = raw[:MOST_BYTES]
    mail = _read_part(raw, 0, len(raw), left, MOST_DEPTH)
    if not mail.fields:
        raise UnreadableMailError("it has no header fields")
    return mail


def _read_part(raw: bytes, begun: int, end: int, left: list[int], depth: int) -> MailPart:
    """Read the part between two places of a mail; `left` has the number of further parts that are allowed.

    Only the content of parts without nested parts is copied; otherwise it would be copied once for each level.
    """
    if left[0] <= 0:
        raise UnreadableMailError(f"it has more than {MOST_PARTS} parts")
    if depth <= 0:
        raise UnreadableMailError(f"its parts are nested more than {MOST_DEPTH} deep")
    left[0] -= 1
    fields, begun = read_head(raw, begun, end)
    content_type, parameters = read_content_type(unfold(fields.get("content-type", [""])[0]))
    inner: Sequence[tuple[int, int]] = ()
    if content_type.startswith("multipart/"):
        inner = _find_parts(raw, begun, end, parameters.get("boundary", ""))
    elif content_type in _MESSAGES:
        inner = ((begun, end),)
    parts = tuple(_read_part(raw, *one, left, depth - 1) for one in inner)
    return MailPart(fields, content_type, parameters, b"" if parts else raw[begun:end], parts)


def split_multipart(content: bytes, boundary: str) -> list[bytes]:
    """Split the content of a multipart at its boundary; returns no parts where there is none."""
    return [content[begun:end] for begun, end in _find_parts(content, 0, len(content), boundary)]


def _find_parts(raw: bytes, at: int, stop: int, boundary: str) -> list[tuple[int, int]]:
    """Find where the parts of a multipart begin and end; its content stands between two places."""
    mark = b"--" + boundary.encode("utf-8", "replace")
    if not 2 < len(mark) <= _LONGEST_BOUNDARY + 2:
        return []
    parts: list[tuple[int, int]] = []
    begun = None
    at = at if raw.startswith(mark, at, stop) else _find_line(raw, mark, at, stop)
    while at >= 0:
        end = raw.find(b"\n", at, stop) + 1 or stop
        rest = raw[at + len(mark) : end].strip()
        if rest in (b"", b"--"):
            if begun is not None:
                tail = raw[max(begun, at - 2) : at]
                parts.append((begun, at - len(tail) + len(tail.removesuffix(b"\n").removesuffix(b"\r"))))
            if rest or len(parts) > MOST_PARTS:
                return parts
            begun = end
        at = _find_line(raw, mark, end - 1, stop)
    return parts if begun is None else [*parts, (begun, stop)]


def _find_line(raw: bytes, mark: bytes, at: int, stop: int) -> int:
    """Return where the next line that begins with a mark starts; -1 for none."""
    found = raw.find(b"\n" + mark, at, stop)
    return found + 1 if found >= 0 else found
