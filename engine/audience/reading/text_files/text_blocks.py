"""Read text files of any compression and encoding as blocks of whole lines in UTF-8.

Nothing is lost: a byte that is not a character in the file's encoding becomes `DAMAGE`, and the row that has
it is malformed.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from engine.audience.reading.text_files.byte_counts import count_byte
from engine.audience.reading.text_files.raw_files import guard, open_limited, read_bytes, read_into
from engine.audience.reading.text_files.text_encoding import Encoding, is_utf_8
from engine.read_limits import DEFAULT_LIMITS, ReadLimits

# Large enough to keep Polars busy instead of the interpreter; small enough for several at once.
BLOCK_BYTES = 8 << 20
# A non-character of Unicode: never used in text exchange, so it can mark unreadable bytes.
DAMAGE = "\ufdd0"
DAMAGE_BYTES = DAMAGE.encode()


def _mark_damage(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return DAMAGE, error.end


codecs.register_error("mailrun-damage", _mark_damage)


class TextBlock(Struct, frozen=True):
    """Some whole lines of a file.

    Attributes:
        data: with line feeds as line ends; the file's last line may have none. It is UTF-8 if the file was
            transcoded; a file declared as UTF-8 may have other bytes: see `mark_damage`.
        first_line: the number of its first line, from 1.
        lines: the number of its line feeds.
        damaged: whether transcoding left `DAMAGE` in it.
        is_last: the file ends with it.
    """

    data: bytes
    first_line: int
    lines: int
    damaged: bool
    is_last: bool


def read_text(  # noqa: PLR0913 - keyword-only
    path: Path,
    encoding: Encoding,
    *,
    name: str,
    quoted: bool,
    lenient: bool,
    block_bytes: int | None = None,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Iterator[TextBlock]:
    """Read a file as blocks of whole lines.

    Args:
        path: the file.
        encoding: as returned by `detect_encoding`.
        name: the file's name for errors.
        quoted: whether line feeds inside quotation marks do not end a row: a block ends where their number is even,
            if there is such a place in it.
        lenient: read a truncated compressed file up to its end.
        block_bytes: about how much at once.
        limits: the limits on its decompressed size and on the length of a line.

    Raises:
        DataError: the file is damaged, or exceeds a limit.
        OSError: it cannot be read.
    """
    buffer = _Buffer(block_bytes or BLOCK_BYTES)
    line, is_last = 1, False
    with open_limited(path, name, limits) as file:
        fill = _fill_with_text(file, encoding, buffer, name, lenient=lenient)
        while not is_last:
            is_last = not next(fill, False)
            cut = buffer.filled if is_last else _find_cut(buffer, quoted=quoted)
            if not cut and not is_last:
                if buffer.filled > limits.line_bytes:
                    limits.refuse_line(f"{name}, line {line}")
                buffer.grow()  # no complete line yet
                continue
            block = buffer.cut(cut)
            if block or is_last:
                lines = count_byte(block, "\n")
                yield TextBlock(block, line, lines, not encoding.is_utf_8 and DAMAGE_BYTES in block, is_last)
                line += lines


class _Buffer:
    """A reusable buffer between a file and its blocks.

    Allocating memory for every block costs more time in page faults than reading the file.
    """

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.filled = 0
        self.size = size

    def grow(self) -> None:
        """Make room for more."""
        self.data.extend(bytes(self.size))

    def read_from(self, file: BinaryIO) -> int:
        """Fill the free space; returns the number of bytes read, 0 at the end of the file."""
        if self.filled == len(self.data):
            self.grow()
        with memoryview(self.data) as view, view[self.filled :] as free:
            count = read_into(file, free)
        self.filled += count
        return count

    def append(self, piece: bytes) -> None:
        """Append bytes, and grow if necessary."""
        self.data[self.filled : self.filled + len(piece)] = piece
        self.filled += len(piece)

    def cut(self, end: int) -> bytes:
        """Remove and return the first bytes; the rest moves to the front."""
        taken = bytes(memoryview(self.data)[:end])
        rest = self.filled - end
        self.data[:rest] = self.data[end : self.filled]
        self.filled = rest
        return taken


def mark_damage(data: bytes) -> bytes:
    """Replace bytes that are not UTF-8 by `DAMAGE`."""
    return data if is_utf_8(data) else data.decode(errors="mailrun-damage").encode()


def _find_cut(buffer: _Buffer, *, quoted: bool) -> int:
    """Return the end of the last line outside quotation marks; in a full buffer without one, of the last line."""
    data, end = buffer.data, buffer.filled
    last = cut = data.rfind(b"\n", 0, end) + 1
    if not quoted or data.find(b'"', 0, cut) < 0:
        return cut
    odd = data.count(b'"', 0, cut) % 2
    while odd and cut:
        mark = data.rfind(b'"', 0, cut)
        before = data.rfind(b"\n", 0, mark) + 1
        odd ^= data.count(b'"', before, cut) % 2
        cut = before
    return cut or (last if end >= buffer.size else 0)


def _fill_with_text(file: BinaryIO, encoding: Encoding, buffer: _Buffer, name: str, *, lenient: bool) -> Iterator[bool]:
    """Fill the buffer with text in UTF-8, without byte order marks, with line feeds as line ends, again and again."""
    if encoding.is_utf_8:
        filled = _copy(file, buffer, name, lenient=lenient)
    else:
        filled = _decode(file, encoding.name, buffer, name, lenient=lenient)
    begin, after_return = 0, False
    for count, _ in enumerate(filled):
        if not count:
            while buffer.data.startswith(codecs.BOM_UTF8, 0, buffer.filled):  # two programs may each have written one
                buffer.cut(len(codecs.BOM_UTF8))
        after_return = _unify_line_ends(buffer, begin, after_return=after_return)
        yield True
        begin = buffer.filled


def _unify_line_ends(buffer: _Buffer, begin: int, *, after_return: bool) -> bool:
    """Replace CR LF and CR after a position of the buffer by a line feed; return whether a CR was the last character.

    Lines end with any of these, and with several in one file: a remaining CR would hide the row after it.
    """
    follows = after_return and buffer.data.startswith(b"\n", begin, buffer.filled)
    if not follows and buffer.data.find(b"\r", begin, buffer.filled) < 0:
        return after_return and begin == buffer.filled
    text = memoryview(buffer.data)[begin + follows : buffer.filled].tobytes()
    buffer.filled = begin
    buffer.append(text.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return text.endswith(b"\r")


def _copy(file: BinaryIO, buffer: _Buffer, name: str, *, lenient: bool) -> Iterator[bool]:
    while guard(lambda: buffer.read_from(file), 0, name, lenient=lenient):
        yield True


def _decode(file: BinaryIO, encoding: str, buffer: _Buffer, name: str, *, lenient: bool) -> Iterator[bool]:
    decoder = codecs.getincrementaldecoder(encoding)("mailrun-damage")
    size = len(buffer.data)
    while piece := read_bytes(file, size, name, lenient=lenient):
        buffer.append(decoder.decode(piece).encode(errors="mailrun-lone"))
        yield True
    if tail := decoder.decode(b"", final=True):
        buffer.append(tail.encode(errors="mailrun-lone"))
        yield True


def _replace_lone(error: UnicodeError) -> tuple[bytes, int]:
    """Replace an unpaired UTF-16 surrogate, which some decoders accept, by `DAMAGE`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return DAMAGE_BYTES, error.end


codecs.register_error("mailrun-lone", _replace_lone)
