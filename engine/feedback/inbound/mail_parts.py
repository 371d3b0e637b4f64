"""A mail as its parts and header fields, read in time that grows with its size alone.

Anyone can send a mail here, and one thread reads them one after the other, so that no mail may take long. The `email`
package of the standard library takes time that grows with the square of the input for several of them (parameters,
encoded words, groups of addresses, nested parts), and differs in this from one Python version to the next. What is
needed is little: header fields, content types, the text of a part. Every function here passes over its text a fixed
number of times; the bounds below hold for what it is given.

Sources: RFC 5322 2.2 (header fields), RFC 2045 5.1 (parameters), RFC 2046 5.1 (multipart), RFC 2047 (encoded words).
"""

import binascii
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

MOST_BYTES = 1024 * 1024  # of a mail that are looked at: what says what it is stands before large attachments
MOST_HEAD_BYTES = 256 * 1024  # of header fields of one part: mail servers take 100 KiB (Postfix) to 256 KiB (Exchange)
MOST_FIELDS = 1000  # header fields of one part: relayed through many servers, a mail has a hundred
MOST_PARTS = 200  # a report has three, with the mail in it a dozen
MOST_DEPTH = 20  # of parts within parts; a mail that was forwarded ten times has as many as that
MOST_TEXT_BYTES = 400_000  # of a text part that are looked at, as they were sent

_LONGEST_BOUNDARY = 70  # RFC 2046 5.1.1
_FIELD_NAME = bytes(range(33, 127)).replace(b":", b"")  # RFC 5322 2.2
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_MESSAGES = ("message/rfc822", "message/global")
# Codecs that a sender may choose: each decodes in linear time. Python has others that do not (idna, punycode), and
# looks for a module of any name that it does not know.
_CHARSETS = frozenset(
    [
        "utf-8",
        "utf8",
        "us-ascii",
        "ascii",
        "latin-1",
        "latin1",
        "iso-8859-1",
        "iso-8859-2",
        "iso-8859-3",
        "iso-8859-4",
        "iso-8859-5",
        "iso-8859-6",
        "iso-8859-7",
        "iso-8859-8",
        "iso-8859-9",
        "iso-8859-10",
        "iso-8859-11",
        "iso-8859-13",
        "iso-8859-14",
        "iso-8859-15",
        "iso-8859-16",
        "windows-1250",
        "windows-1251",
        "windows-1252",
        "windows-1253",
        "windows-1254",
        "windows-1255",
        "windows-1256",
        "windows-1257",
        "windows-1258",
        "tis-620",
        "cp1250",
        "cp1251",
        "cp1252",
        "koi8-r",
        "koi8-u",
        "big5",
        "gb2312",
        "gbk",
        "gb18030",
        "euc-jp",
        "euc-kr",
        "shift_jis",
        "iso-2022-jp",
        "ks_c_5601-1987",
    ]
)


class UnreadableMailError(ValueError):
    """A mail is larger than its bounds, or not a mail; the text says which."""


@dataclass(frozen=True, slots=True)
class MailPart:
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
        """Say whether there is such a header field."""
        return name.lower() in self.fields

    def get_all(self, name: str) -> list[str]:
        """Return the values of a header field as they stand, unfolded."""
        return [unfold(value) for value in self.fields.get(name.lower(), ())]

    def get(self, name: str) -> str:
        """Return the first value of a header field as it stands, unfolded; empty where there is none."""
        return next(iter(self.get_all(name)), "")

    def text_of(self, name: str) -> str:
        """Return the first value of a header field for people, its encoded words decoded; empty where there is none."""
        return decode_words(self.get(name))

    def joined(self, name: str) -> str:
        """Return the same without the white space that folds it: a token that is too long for a line has such in it."""
        values = self.fields.get(name.lower())
        return decode_words(join_lines(values[0])) if values else ""

    def walk(self) -> Iterator["MailPart"]:
        """Yield the part and those in it, from the outside to the inside."""
        waiting: list[MailPart] = [self]
        for part in waiting:  # it grows meanwhile
            yield part
            waiting += part.parts

    def walk_own(self) -> Iterator["MailPart"]:
        """Yield the same without mails that are attached, and what they have in them: those are somebody else's."""
        waiting: list[MailPart] = [self]
        for part in waiting:
            if part.content_type not in _MESSAGES:
                yield part
                waiting += part.parts

    def read_content(self) -> bytes:
        """Return the content, as far as `MOST_TEXT_BYTES`, decoded as its Content-Transfer-Encoding says."""
        content = self.content[:MOST_TEXT_BYTES]
        encoding = self.get("Content-Transfer-Encoding").lower()
        if encoding == "base64":
            return _decode_base64(content)
        return binascii.a2b_qp(content) if encoding == "quoted-printable" else content

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
    """Read the part between two places of a mail; `left` has the number of parts that may still come.

    Only what has no parts in it is copied: nested parts would be copied once for each level.
    """
    if left[0] <= 0:
        raise UnreadableMailError(f"it has more than {MOST_PARTS} parts")
    if depth <= 0:
        raise UnreadableMailError(f"its parts are nested more than {MOST_DEPTH} deep")
    left[0] -= 1
    fields, begun = _read_head(raw, begun, end)
    content_type, parameters = read_content_type(unfold(fields.get("content-type", [""])[0]))
    inner: Sequence[tuple[int, int]] = ()
    if content_type.startswith("multipart/"):
        inner = _find_parts(raw, begun, end, parameters.get("boundary", ""))
    elif content_type in _MESSAGES:
        inner = ((begun, end),)
    parts = tuple(_read_part(raw, *one, left, depth - 1) for one in inner)
    return MailPart(fields, content_type, parameters, b"" if parts else raw[begun:end], parts)


def read_fields(raw: bytes) -> tuple[dict[str, list[str]], bytes]:
    """Read the header fields that a text begins with, and return what follows the empty line after them.

    Raises:
        UnreadableMailError: there are more than `MOST_FIELDS`, or than `MOST_HEAD_BYTES` of them.
    """
    fields, at = _read_head(raw, 0, len(raw))
    return fields, raw[at:]


def _read_head(raw: bytes, begun: int, stop: int) -> tuple[dict[str, list[str]], int]:
    """Read the header fields that stand between two places, and return where the content after them begins."""
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
        fields.setdefault(field_name, []).append(_decode_raw(b"\n".join(lines)))
    return fields, at


def split_multipart(content: bytes, boundary: str) -> list[bytes]:
    """Split the content of a multipart at its boundary; nothing where there is none."""
    return [content[begun:end] for begun, end in _find_parts(content, 0, len(content), boundary)]


def _find_parts(raw: bytes, at: int, stop: int, boundary: str) -> list[tuple[int, int]]:
    """Find where the parts of a multipart begin and end, whose content stands between two places."""
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
    """Return where the next line that begins with a mark does so; -1 for none."""
    found = raw.find(b"\n" + mark, at, stop)
    return found + 1 if found >= 0 else found


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
    """Split a text at a character that stands outside of quotation marks."""
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


def read_addresses(text: str) -> list[str]:
    """Return the addresses of an address list (RFC 5322 3.4), without names and comments.

    Nothing where the list ends within quotation marks, a comment or angle brackets: what is inside cannot be known.
    An entry that is not one mailbox gives an empty text, so that the number of entries is known.

    >>> read_addresses('"Ann, B." <ann@b.example>, group: cid@d.example;, two words')
    ['ann@b.example', 'cid@d.example', '']
    """
    try:
        return _read_entries(chain(_mark_syntax(text), ((",", True),)))
    except UnreadableMailError:
        return []


def _read_entries(marked: Iterable[tuple[str, bool]]) -> list[str]:
    """Read an address list whose characters are marked (`_mark_syntax`), up to a comma at its end."""
    found: list[str] = []
    plain: list[str] = []  # outside of angle brackets
    inside: list[str] | None = None
    angles: list[str] = []
    for character, is_syntax in marked:
        if inside is not None:
            if is_syntax and character == ">":
                angles.append("".join(inside).strip())
                inside = None
            else:
                inside.append(character)
        elif not is_syntax or character not in "<,;:":
            plain.append(character)
        elif character == "<":
            inside = []
        else:
            if character != ":":  # what stands before it is a group's name
                found += _read_entry("".join(plain), angles)
            plain, angles = [], []
    return found if inside is None else []


def _read_entry(plain: str, angles: list[str]) -> list[str]:
    """Return the address of an entry, an empty text where it is not one mailbox, and nothing where it is empty."""
    if angles:
        return [angles[0] if len(angles) == 1 else ""]
    words = plain.split()
    return [words[0] if len(words) == 1 else ""] if words else []


def _mark_syntax(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the characters outside of comments, and whether each stands outside of quotation marks.

    Raises:
        UnreadableMailError: a comment or a quotation does not end.
    """
    comments, quoted, escaped = 0, False, False
    for character in text:
        was_escaped, escaped = escaped, False
        if not was_escaped and character == "\\" and (comments or quoted):
            escaped = True
        elif not was_escaped and character == '"' and not comments:
            quoted = not quoted
        elif not was_escaped and character in "()" and not quoted:
            comments = max(0, comments + (1 if character == "(" else -1))
            continue
        if not comments:
            yield character, not quoted and not was_escaped
    if comments or quoted:
        raise UnreadableMailError("a comment or a quotation does not end")


def decode_words(text: str) -> str:
    """Decode the encoded words of a header field (RFC 2047); what is not one stays as it is.

    >>> decode_words("=?utf-8?q?caf=C3=A9?= =?us-ascii?b?IQ==?= =?x?")
    'café! =?x?'
    """
    pieces = text.split("?")  # = charset encoding text =
    decoded: list[str] = []
    kept: list[str] = []  # of plain text, since the last encoded word
    at = 0
    while at + 4 < len(pieces):
        before, charset, encoding, word, after = pieces[at : at + 5]
        if before.endswith("=") and encoding.lower() in ("q", "b") and after.startswith("="):
            kept.append(before[:-1])
            between = "?".join(kept)
            decoded += () if decoded and not between.strip() else (between,)
            decoded.append(_decode_word(word, charset, is_base64=encoding in "bB"))
            kept = []
            pieces[at + 4] = after[1:]
            at += 4
        else:
            kept.append(before)
            at += 1
    return "".join((*decoded, "?".join((*kept, *pieces[at:]))))


def _decode_word(word: str, charset: str, *, is_base64: bool) -> str:
    raw = word.encode("utf-8", "replace")
    content = _decode_base64(raw) if is_base64 else binascii.a2b_qp(raw, header=True)
    return decode_charset(content, charset.partition("*")[0])


def _decode_base64(content: bytes) -> bytes:
    """Decode base64 as far as it goes, whatever else is in between."""
    letters = content.translate(None, _NOT_BASE64)
    letters = letters[: -1 if len(letters) % 4 == 1 else None]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def decode_charset(content: bytes, charset: str) -> str:
    """Decode bytes by a charset that mail has; as Latin-1 where it is another."""
    name = charset.strip().lower()
    return content.decode(name if name in _CHARSETS else "latin-1", "replace")


def _decode_raw(value: bytes) -> str:
    """Decode a header field that nobody encoded: UTF-8 (RFC 6532), or what is left."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def unfold(value: str) -> str:
    """Return a header field on one line (RFC 5322 2.2.3), without white space around."""
    return value.replace("\n", "").replace("\r", " ").strip()


def join_lines(text: str) -> str:
    """Join lines without the white space around their ends: a token that was folded has none in it."""
    return "".join(line.strip(" \t") for line in text.splitlines())
