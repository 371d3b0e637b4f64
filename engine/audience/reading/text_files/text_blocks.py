"""Text files as blocks of whole lines in UTF-8, whatever they are compressed with and encoded in.

Nothing is lost on the way: a byte that is no character in the file's encoding becomes `DAMAGE`, and the row that has
it is malformed.
"""

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import polars as pl

from engine.audience.reading.text_files.encoding_guess import guess_encoding
from engine.errors import DataError
from engine.read_limits import DEFAULT_LIMITS, ReadLimits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Large enough that Polars is busy and not the interpreter; small enough for several at once.
BLOCK_BYTES = 8 << 20
# A non-character of Unicode: never in text that is passed on, so it marks what could not be read.
DAMAGE = "\ufdd0"
DAMAGE_BYTES = DAMAGE.encode()
_DETECTION_BYTES = 1 << 18
_WIDE_BYTES, _WIDE_SHARE = 1 << 16, 0.02  # of a text's letters at least so many are ASCII
_LONGEST_LINE = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# The order matters: UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NEEDS_MARK = ("utf-16", "utf-32")  # without one Python's codecs refuse to begin


def _mark_damage(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return DAMAGE, error.end


codecs.register_error("mailrun-damage", _mark_damage)


Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Some whole lines of a file.

    Attributes:
        data: with line feeds as line ends; the file's last line may have none. It is UTF-8 where the file was
            transcoded; where it said to be UTF-8 it may turn out not to be: see `mark_damage`.
        first_line: the number of its first line, from 1.
        lines: how many line feeds it has.
        damaged: whether transcoding left `DAMAGE` in it.
        is_last: the file ends with it.
    """

    data: bytes
    first_line: int
    lines: int
    damaged: bool
    is_last: bool


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a text file is encoded.

    Attributes:
        name: a codec of Python.
        note: a sentence for people where it was guessed, else None.
    """

    name: str
    note: str | None = None

    @property
    def is_utf_8(self) -> bool:
        """Whether nothing has to be transcoded."""
        return codecs.lookup(self.name).name in ("utf-8", "ascii", "utf-8-sig")


@contextmanager
def open_raw(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading its bytes, decompressed where it is gzip or Zstandard."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(_GZIP):
            with gzip.open(file, "rb") as unpacked:
                yield cast("BinaryIO", unpacked)
        elif magic == _ZSTD:
            with zstd.open(file, "rb") as unpacked:
                yield cast("BinaryIO", unpacked)
        else:
            yield file


@contextmanager
def open_limited(path: Path, name: str, limits: ReadLimits) -> Iterator[BinaryIO]:
    """Open a file as `open_raw` does, and stop where it unpacks to more than is allowed.

    Raises:
        DataError: it does; raised by what reads.
    """
    with open_raw(path) as file:
        is_packed = not isinstance(file, io.BufferedReader)
        yield cast("BinaryIO", CountedFile(file, path.stat().st_size, name, limits)) if is_packed else file


class CountedFile:
    """A compressed file that counts what it unpacks."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, packed: int, name: str, limits: ReadLimits) -> None:
        self._file, self._packed, self._name, self._limits = file, packed, name, limits
        self._unpacked = 0

    def _count(self, size: int) -> None:
        self._unpacked += size
        self._limits.check_unpacked(self._unpacked, self._packed, self._name)

    def read(self, size: int) -> bytes:
        """Read so many bytes at most."""
        data = self._file.read(size)
        self._count(len(data))
        return data

    def readinto1(self, free: memoryview) -> int:
        """Fill memory with what one read gives."""
        count = int(self._file.readinto1(free))  # type: ignore[union-attr] # both kinds have it
        self._count(count)
        return count

    def readline(self, size: int) -> bytes:
        """Read a line, so many bytes at most."""
        line = self._file.readline(size)
        self._count(len(line))
        return line


def is_compressed(path: Path) -> bool:
    """Tell by the file's first bytes."""
    with path.open("rb") as file:
        magic = file.read(4)
    return magic.startswith(_GZIP) or magic == _ZSTD


def detect_encoding(
    path: Path, *, name: str, declared: str | None, lenient: bool, limits: ReadLimits = DEFAULT_LIMITS
) -> Encoding:
    """Tell a text file's encoding: declared, by its mark, UTF-8 where its bytes are that, or guessed.

    Reads as far as the first bytes that are not ASCII.

    Raises:
        DataError: it mixes encodings, or nothing fits; not if `lenient`: then it is UTF-8 with damaged rows.
        OSError: the file cannot be read.
    """
    with open_limited(path, name, limits) as file:
        head = _read(file, BLOCK_BYTES, name, lenient=lenient)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return Encoding(encoding)
        if wide := _tell_wide(head):
            says = declared and codecs.lookup(declared).name == codecs.lookup(wide).name
            return Encoding(wide, None if says else f"{name}: read as {wide.upper()}, as its bytes suggest")
        if declared:
            codec = codecs.lookup(declared).name
            return Encoding(f"{codec}-le" if codec in _NEEDS_MARK else declared)
        block = head
        while block and block.isascii():
            block = _read(file, BLOCK_BYTES, name, lenient=lenient)
        if block and not block.endswith(b"\n"):  # no character may be cut in the middle
            block += _guard(lambda: file.readline(_LONGEST_LINE), b"", name, lenient=lenient)
    return _judge_bytes(block, name, lenient=lenient) if block else Encoding("utf-8")


def _tell_wide(head: bytes) -> str | None:
    """Tell UTF-16 without a mark: in any script line ends, commas and addresses have NUL as their upper byte."""
    sample = head[:_WIDE_BYTES]
    halves = sample[: len(sample) // 2 * 2 : 2], sample[1::2]
    for name, (lower, upper) in (("utf-16-le", halves), ("utf-16-be", halves[::-1])):
        nuls = upper.count(0)
        if nuls < max(2, len(upper) * _WIDE_SHARE) or lower.count(0) * 20 > nuls:
            continue
        line_feeds = [place for place, byte in enumerate(lower) if byte in b"\r\n"]
        if not line_feeds or any(upper[place] == 0 for place in line_feeds):
            return name
    return None


def _judge_bytes(block: bytes, name: str, *, lenient: bool) -> Encoding:
    """Judge the first block that is not ASCII, line by line."""
    lines = [line for line in block.replace(b"\r", b"\n").split(b"\n") if not line.isascii()]
    valid = sum(is_utf_8(line) for line in lines)
    if valid * 2 > len(lines) or (valid and lenient):
        return Encoding("utf-8")
    if valid:
        what = f"the file mixes encodings: {valid} of its first {len(lines)} lines with other letters are UTF-8"
        remedy = 'set encoding = "…" in [audience], or give --lenient to leave out the rows that are not UTF-8'
        raise DataError(what, where=name, remedy=remedy)
    try:
        return Encoding(*guess_encoding(_cut_lines(lines), name))
    except DataError:
        if lenient:
            return Encoding("utf-8")
        raise


def _cut_lines(lines: list[bytes]) -> bytes:
    """Whole lines, as many as are looked at."""
    text = b"\n".join(lines)
    end = text.rfind(b"\n", 0, _DETECTION_BYTES)
    return text if len(text) <= _DETECTION_BYTES or end < 0 else text[:end]


def read_text(  # noqa: PLR0913 - named one by one
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
        encoding: as `detect_encoding` tells it.
        name: as errors show it.
        quoted: whether line feeds inside quotation marks do not end a row: a block ends where they are even in number,
            if there is such a place in it.
        lenient: whether a compressed file that was cut is read as far as it goes.
        block_bytes: about how much at once.
        limits: how much it may unpack to, and how long a line may be.

    Raises:
        DataError: the file is damaged, or larger than is allowed.
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
                buffer.grow()  # not one whole line yet
                continue
            block = buffer.cut(cut)
            if block or is_last:
                lines = block.count(b"\n")
                yield TextBlock(block, line, lines, not encoding.is_utf_8 and DAMAGE_BYTES in block, is_last)
                line += lines


class _Buffer:
    """Bytes on their way from a file to blocks, in one piece of memory that is used again and again.

    Fresh memory for every block costs more time in page faults than reading the file.
    """

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.filled = 0
        self.size = size

    def grow(self) -> None:
        """Make room for more."""
        self.data.extend(bytes(self.size))

    def read_from(self, file: BinaryIO) -> int:
        """Fill what is free; returns how many bytes came, 0 at the file's end."""
        if self.filled == len(self.data):
            self.grow()
        with memoryview(self.data) as view, view[self.filled :] as free:
            count = _read_into(file, free)
        self.filled += count
        return count

    def append(self, piece: bytes) -> None:
        """Add bytes, whatever room that takes."""
        self.data[self.filled : self.filled + len(piece)] = piece
        self.filled += len(piece)

    def cut(self, end: int) -> bytes:
        """Take the first bytes out; those after them move to the front."""
        taken = bytes(memoryview(self.data)[:end])
        rest = self.filled - end
        self.data[:rest] = self.data[end : self.filled]
        self.filled = rest
        return taken


def is_utf_8(data: bytes) -> bool:
    """Whether bytes are UTF-8, found out without holding up other threads."""
    if data.isascii():
        return True
    try:
        pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def mark_damage(data: bytes) -> bytes:
    """Put `DAMAGE` in the place of bytes that are not UTF-8."""
    return data if is_utf_8(data) else data.decode(errors="mailrun-damage").encode()


def _find_cut(buffer: _Buffer, *, quoted: bool) -> int:
    """The end of the last line at which quotation marks are even in number; in a full buffer else that of the last."""
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
    """Fill the buffer with the file's text in UTF-8, without marks and with line feeds as line ends; True for each."""
    if encoding.is_utf_8:
        filled = _copy(file, buffer, name, lenient=lenient)
    else:
        filled = _decode(file, encoding.name, buffer, name, lenient=lenient)
    begin, after_return = 0, False
    for count, _ in enumerate(filled):
        if not count:
            while buffer.data.startswith(codecs.BOM_UTF8, 0, buffer.filled):  # two programs may each have put one there
                buffer.cut(len(codecs.BOM_UTF8))
        after_return = _unify_line_ends(buffer, begin, after_return=after_return)
        yield True
        begin = buffer.filled


def _unify_line_ends(buffer: _Buffer, begin: int, *, after_return: bool) -> bool:
    """Make every CR LF, CR and LF after a place of the buffer a line feed; whether the last was a CR.

    Lines end with any of these, and with several in one file: a CR that stayed would hide the row after it.
    """
    follows = after_return and buffer.data.startswith(b"\n", begin, buffer.filled)
    if not follows and buffer.data.find(b"\r", begin, buffer.filled) < 0:
        return after_return and begin == buffer.filled
    text = memoryview(buffer.data)[begin + follows : buffer.filled].tobytes()
    buffer.filled = begin
    buffer.append(text.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return text.endswith(b"\r")


def _copy(file: BinaryIO, buffer: _Buffer, name: str, *, lenient: bool) -> Iterator[bool]:
    while _guard(lambda: buffer.read_from(file), 0, name, lenient=lenient):
        yield True


def _decode(file: BinaryIO, encoding: str, buffer: _Buffer, name: str, *, lenient: bool) -> Iterator[bool]:
    decoder = codecs.getincrementaldecoder(encoding)("mailrun-damage")
    size = len(buffer.data)
    while piece := _read(file, size, name, lenient=lenient):
        buffer.append(decoder.decode(piece).encode(errors="mailrun-lone"))
        yield True
    if tail := decoder.decode(b"", final=True):
        buffer.append(tail.encode(errors="mailrun-lone"))
        yield True


def _replace_lone(error: UnicodeError) -> tuple[bytes, int]:
    """A lone half of a UTF-16 pair, which some decoders let through, is damage as well."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return DAMAGE_BYTES, error.end


codecs.register_error("mailrun-lone", _replace_lone)


def _read_into(file: BinaryIO, free: memoryview) -> int:
    """Fill memory as far as the file goes; of a compressed file that is cut, up to there."""
    count = 0
    while count < len(free):
        try:
            more = file.readinto1(free[count:])  # type: ignore[attr-defined] # every buffered file has it
        except EOFError:
            if count:
                break
            raise
        if not more:
            break
        count += more
    return count


def _read(file: BinaryIO, size: int, name: str, *, lenient: bool) -> bytes:
    buffer = bytearray(size)
    count = _guard(lambda: _read_into(file, memoryview(buffer)), 0, name, lenient=lenient)
    return bytes(memoryview(buffer)[:count])


def _guard(read: Callable[[], Read], nothing: Read, name: str, *, lenient: bool) -> Read:
    """Read, and say what is wrong with a compressed file."""
    try:
        return read()
    except EOFError:
        if lenient:
            return nothing
        remedy = "fetch it again, or give --lenient to go on with what there is"
        raise DataError("the compressed file is cut: its end is missing", where=name, remedy=remedy) from None
    except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
        raise DataError(f"the compressed file is damaged: {error}", where=name, remedy="fetch it again") from None
