"""Header fields of a mail or a part, and the parameters of a content type.

Anyone can send a mail here: every function reads its text a fixed number of times.

Sources: RFC 5322 2.2 (header fields), RFC 2045 5.1 (parameters), RFC 6532 (UTF-8 in fields).
"""

MOST_HEAD_BYTES = 256 * 1024  # of the header of one part; mail servers accept 100 KiB (Postfix) to 256 KiB (Exchange)
MOST_FIELDS = 1000  # header fields of one part: relayed through many servers, a mail has a hundred

_FIELD_NAME = bytes(range(33, 127)).replace(b":", b"")  # RFC 5322 2.2


class UnreadableMailError(ValueError):
    """A mail exceeds a bound, or is not a mail; the text says which."""


def read_fields(raw: bytes) -> tuple[dict[str, list[str]], bytes]:
    """Read the header fields at the start of a text; returns them, and what follows the empty line after them.

    Raises:
        UnreadableMailError: there are more than `MOST_FIELDS`, or than `MOST_HEAD_BYTES` of them.
    """
    fields, at = read_head(raw, 0, len(raw))
    return fields, raw[at:]


def read_head(raw: bytes, begun: int, stop: int) -> tuple[dict[str, list[str]], int]:
    """Read the header fields between two places; returns them, and where the content after them begins.

    Raises:
        UnreadableMailError: the header is too large, or has too many fields.
    """
    found: list[tuple[str, list[bytes]]] = []
    at = begun
    while at < stop:
        end = raw.find(b"\n", at, stop) + 1 or stop
        line = raw[at:end].rstrip(b"\r\n")
        if not line:
            at = end
            break
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if line[:1] in (b" ", b"\t") and found:
            found[-1][1].append(line)
        elif colon and name and not name.strip(_FIELD_NAME):
            found.append((name.decode("ascii").lower(), [value]))
        elif found or not line.startswith(b"From "):  # of an mbox
            break  # not a header field: the content begins without an empty line
        at = end
        if at - begun > MOST_HEAD_BYTES:
            raise UnreadableMailError(f"its header is larger than {MOST_HEAD_BYTES // 1024} KiB")
        if len(found) > MOST_FIELDS:
            raise UnreadableMailError(f"its header has more than {MOST_FIELDS} fields")
    fields: dict[str, list[str]] = {}
    for field_name, lines in found:
        fields.setdefault(field_name, []).append(_decode_field(b"\n".join(lines)))
    return fields, at


def read_content_type(value: str) -> tuple[str, dict[str, str]]:
    """Read the value of a Content-Type: the type in lower case, and its parameters by name in lower case.

    >>> read_content_type('Multipart/Report; report-type=x; boundary="a;b"')
    ('multipart/report', {'report-type': 'x', 'boundary': 'a;b'})
    """
    kind, *pairs = _split_outside_quotes(value, ";")
    parameters: dict[str, str] = {}
    for pair in pairs:
        name, _, given = pair.partition("=")
        parameters.setdefault(name.strip().lower(), _unquote(given.strip()))
    kind = kind.strip().lower()
    return (kind if kind.count("/") == 1 else "text/plain"), parameters


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    """Split a text at a character outside of quotation marks."""
    pieces: list[str] = []
    begun, quoted, escaped = 0, False, False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            pieces.append(text[begun:at])
            begun = at + 1
    return [*pieces, text[begun:]]


def _unquote(text: str) -> str:
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    return text[1:-1].replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")


def _decode_field(value: bytes) -> str:
    """Decode a header field that is not encoded: as UTF-8 (RFC 6532), otherwise as Latin-1."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def unfold(value: str) -> str:
    """Return a header field on one line (RFC 5322 2.2.3), without surrounding white space."""
    return value.replace("\n", "").replace("\r", " ").strip()


def join_lines(text: str) -> str:
    """Join lines without the white space around their ends, to restore a token that was folded."""
    return "".join(line.strip(" \t") for line in text.splitlines())
