"""Detect the encoding of a text file."""

import codecs
from pathlib import Path

import polars as pl
from msgspec import Struct

from engine.audience.reading.text_files.encoding_guess import guess_encoding
from engine.audience.reading.text_files.raw_files import guard, open_limited, read_bytes, read_into
from engine.errors import DataError
from engine.read_limits import DEFAULT_LIMITS, ReadLimits

READ_BYTES = 8 << 20  # bytes per read while everything is ASCII
_DETECTION_BYTES = 1 << 18
_WIDE_BYTES, _WIDE_SHARE = 1 << 16, 0.02  # the minimum share of ASCII among a text's letters
_LEAST_WIDE = 6  # NUL bytes of the shortest list: the header `email` and a line feed
_LEAST_OVERRULING, _OVERRULING_SHARE = 16, 0.2  # so many NUL bytes outweigh a declaration; fewer are damage
_LONGEST_LINE = 1 << 20
# The order matters: UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NEEDS_MARK = ("utf-16", "utf-32")  # without a byte order mark Python's codecs fail


class Encoding(Struct, frozen=True):
    """The encoding of a text file.

    Attributes:
        name: a codec of Python.
        note: a note for the operator if it was guessed, else None.
    """

    name: str
    note: str | None = None

    @property
    def is_utf_8(self) -> bool:
        """Whether no transcoding is needed."""
        return codecs.lookup(self.name).name in ("utf-8", "ascii", "utf-8-sig")


def detect_encoding(
    path: Path, *, name: str, declared: str | None, lenient: bool, limits: ReadLimits = DEFAULT_LIMITS
) -> Encoding:
    """Detect a text file's encoding: as declared, by its byte order mark, UTF-8 if its bytes are valid, or guessed.

    Reads up to the first bytes that are not ASCII.

    Raises:
        DataError: it mixes encodings, or no encoding fits. If `lenient`, it is read as UTF-8 with damaged rows instead.
        OSError: the file cannot be read.
    """
    with open_limited(path, name, limits) as file:
        head = read_bytes(file, READ_BYTES, name, lenient=lenient)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return Encoding(encoding)
        if wide := _detect_utf_16(head, declared):
            says = declared and codecs.lookup(declared).name == codecs.lookup(wide).name
            return Encoding(wide, None if says else f"{name}: read as {wide.upper()}, as its bytes suggest")
        if declared:
            codec = codecs.lookup(declared).name
            return Encoding(f"{codec}-le" if codec in _NEEDS_MARK else declared)
        block: bytes | bytearray = head
        buffer = bytearray(READ_BYTES)  # memory that is used again: fresh memory takes longer than reading
        while block and block.isascii():
            count = guard(lambda: read_into(file, memoryview(buffer)), 0, name, lenient=lenient)
            block = bytes(buffer[:count]) if count < READ_BYTES or not buffer.isascii() else buffer
        if block and not block.endswith(b"\n"):  # do not cut a character
            block += guard(lambda: file.readline(_LONGEST_LINE), b"", name, lenient=lenient)
    return _judge_bytes(bytes(block), name, lenient=lenient) if block else Encoding("utf-8")


def _detect_utf_16(head: bytes, declared: str | None) -> str | None:
    """Detect UTF-16 without a byte order mark: line ends, commas and addresses have NUL as their upper byte.

    Where another encoding is declared, it takes more of them.
    """
    overrules = declared is not None and not codecs.lookup(declared).name.startswith("utf-16")
    least, share = (_LEAST_OVERRULING, _OVERRULING_SHARE) if overrules else (_LEAST_WIDE, _WIDE_SHARE)
    sample = head[:_WIDE_BYTES]
    halves = sample[: len(sample) // 2 * 2 : 2], sample[1::2]
    for name, (lower, upper) in (("utf-16-le", halves), ("utf-16-be", halves[::-1])):
        nuls = upper.count(0)
        if nuls < max(least, len(upper) * share) or lower.count(0) * 20 > nuls:
            continue
        line_feeds = [place for place, byte in enumerate(lower) if byte in b"\r\n"]
        if not line_feeds or any(upper[place] == 0 for place in line_feeds):
            return name
    return None


def _judge_bytes(block: bytes, name: str, *, lenient: bool) -> Encoding:
    """Check the first block that is not ASCII, line by line where it is not all UTF-8."""
    if is_utf_8(block):
        return Encoding("utf-8")
    lines = [line for line in block.replace(b"\r", b"\n").split(b"\n") if not line.isascii()]
    valid = sum(is_utf_8(line) for line in lines)
    if valid * 2 > len(lines) or (valid and lenient):
        return Encoding("utf-8")
    if valid:
        what = f"the file mixes encodings: {valid} of its first {len(lines)} lines that are not ASCII are UTF-8"
        remedy = 'set encoding = "…" in [audience], or give --lenient to exclude the rows that are not UTF-8'
        raise DataError(what, where=name, remedy=remedy)
    try:
        return Encoding(*guess_encoding(_cut_lines(lines), name))
    except DataError:
        if lenient:
            return Encoding("utf-8")
        raise


def _cut_lines(lines: list[bytes]) -> bytes:
    """Return whole lines, up to the number that is checked."""
    text = b"\n".join(lines)
    end = text.rfind(b"\n", 0, _DETECTION_BYTES)
    return text if len(text) <= _DETECTION_BYTES or end < 0 else text[:end]


def is_utf_8(data: bytes) -> bool:
    """Whether bytes are UTF-8, checked without blocking other threads."""
    if data.isascii():
        return True
    try:
        pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True
