"""A received message as its examination reads it: header fields in their order, and the lengths of its lines.

Anyone can have written it: its size and its number of fields are bounded, and every function reads it a fixed number
of times.

Sources: RFC 5322 2.1.1 (line lengths), 2.2 (header fields), 3.6 (fields that occur once).
"""

from collections.abc import Iterator

from msgspec import Struct

from engine.errors import DataError, escape_controls

MOST_MESSAGE_BYTES = 40 * 1024 * 1024  # SES sends nothing larger
MOST_HEAD_BYTES = 256 * 1024
MOST_FIELDS = 1000
LONGEST_LINE = 998  # bytes without the line end, RFC 5322 2.1.1

_NAME = bytes(range(33, 127)).replace(b":", b"")


class HeaderField(Struct, frozen=True):
    """One header field: `name` in lower case; `value` unfolded; `size` in bytes, of the value as it was written."""

    name: str
    value: str
    size: int


class MessageFields(Struct, frozen=True):
    """A message.

    Attributes:
        fields: from the topmost to the last.
        size: bytes of the whole message.
        long_lines: lines of more than 998 bytes.
        bare_returns: carriage returns that no line feed follows.
    """

    fields: tuple[HeaderField, ...]
    size: int
    long_lines: int
    bare_returns: int

    def all(self, name: str) -> list[str]:
        """Return the values of the fields of a name, in lower case, from the topmost."""
        return [field.value for field in self.fields if field.name == name]

    def first(self, name: str) -> str | None:
        """Return the value of the topmost field of a name; None where there is none."""
        return next((field.value for field in self.fields if field.name == name), None)

    def count(self, name: str) -> int:
        """Return how many fields have a name."""
        return sum(field.name == name for field in self.fields)


def read_message(raw: bytes, where: str) -> MessageFields:
    """Read a message.

    Args:
        raw: as it was received, with either line end.
        where: the file, for the error.

    Raises:
        DataError: it is too large, has too many header fields, or is not a message.
    """
    if len(raw) > MOST_MESSAGE_BYTES:
        raise _refuse(f"the message is larger than {MOST_MESSAGE_BYTES // 1024**2} MB", where)
    fields = tuple(_read_fields(raw, where))
    if not fields:
        raise _refuse("the file does not begin with header fields", where)
    lines = raw.split(b"\n")
    long_lines = sum(len(line.rstrip(b"\r")) > LONGEST_LINE for line in lines)
    return MessageFields(fields, len(raw), long_lines, raw.count(b"\r") - raw.count(b"\r\n"))


def _read_fields(raw: bytes, where: str) -> Iterator[HeaderField]:
    name, parts, at, count = "", list[bytes](), 0, 0
    while at < len(raw):
        end = raw.find(b"\n", at) + 1 or len(raw)
        line, is_first, at = raw[at:end].rstrip(b"\r\n"), at == 0, end
        if at > MOST_HEAD_BYTES and line:
            raise _refuse(f"the header is larger than {MOST_HEAD_BYTES // 1024} KB", where)
        if line[:1] in (b" ", b"\t") and name:
            parts.append(line)
            continue
        if name:
            yield _make_field(name, parts)
            name = ""
        if not line:
            return
        if is_first and line.startswith(b"From "):  # of an mbox
            continue
        head, colon, value = line.partition(b":")
        head = head.rstrip(b" \t")
        if not colon or not head or head.strip(_NAME):
            raise _refuse(f'a header line is not a field: "{_show(line)}"', where)
        count += 1
        if count > MOST_FIELDS:
            raise _refuse(f"the message has more than {MOST_FIELDS:,} header fields", where)
        name, parts = head.decode("ascii").lower(), [value]
    if name:
        yield _make_field(name, parts)


def _make_field(name: str, parts: list[bytes]) -> HeaderField:
    value = b"".join(parts)
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return HeaderField(name, text.strip(), sum(map(len, parts)) + 2 * len(parts))


def _show(line: bytes) -> str:
    return escape_controls(line[:60].decode("ascii", "backslashreplace"))


def _refuse(what: str, where: str) -> DataError:
    return DataError(
        what, where=where, remedy="save the message as it was received: in Gmail, Show original, then Download"
    )
