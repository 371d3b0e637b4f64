"""Mails in files: one mail a file, mbox, Maildir, objects of S3.

Source: SES developer guide, "Deliver to S3 bucket action" (an object is a mail, except the first one,
AMAZON_SES_SETUP_NOTIFICATION).
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from engine.audience.reading.text_files.raw_files import CountedFile
from engine.errors import DataError
from engine.feedback.inbound.mail_parts import MOST_BYTES
from engine.locations import REMOTE
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.store.objects import fetch_objects
from engine.system.given_paths import look_at
from engine.system.temporary import make_temporary_folder

_SETUP = "AMAZON_SES_SETUP_NOTIFICATION"
_GZIP = b"\x1f\x8b"
_MOST_DIGITS = 15  # of a Content-Length

Refuse = Callable[[DataError], None]
"""Reports what cannot be read; the error says where it is."""


def read_mails(place: str, refuse: Refuse, limits: ReadLimits = DEFAULT_LIMITS) -> Iterator[tuple[str, bytes]]:
    """Read raw mails from a file (one mail, or an mbox), a folder (also a Maildir), or objects of S3.

    Args:
        place: a path, or s3://.
        refuse: is called for a file or object among several that cannot be read; the others are read.
        limits: how much a file may unpack to.

    Yields:
        Where a mail was found, and the mail.

    Raises:
        DataError: there is no such file, or it cannot be read.
        ConfigurationError: the bucket may not be read.
        ServiceError: S3 cannot be reached.
    """
    if place.startswith(REMOTE):
        with make_temporary_folder() as folder:
            for fetched in fetch_objects(place, folder):
                if not fetched.name.endswith(_SETUP):
                    yield from _read_one_of_many(fetched.path, fetched.name, refuse, limits)
                fetched.path.write_bytes(b"")  # its name stays in use, its bytes are not needed any more
        return
    path = Path(place)
    if look_at(path, "PATH") is None:
        raise DataError("there is no such file or folder", where=place, remedy="name a file, a folder, or s3://")
    if path.is_file():
        yield from _read_file(path, str(path), limits)
        return
    for file in sorted(one for one in path.rglob("*") if _is_mail(one, path)):
        yield from _read_one_of_many(file, str(file), refuse, limits)


def _read_one_of_many(path: Path, name: str, refuse: Refuse, limits: ReadLimits) -> Iterator[tuple[str, bytes]]:
    try:
        yield from _read_file(path, name, limits)
    except DataError as error:
        refuse(error)


def _is_mail(file: Path, folder: Path) -> bool:
    """Return whether a file of a folder is a mail: not hidden, and in a Maildir not still being written."""
    parts = file.relative_to(folder).parts
    return (
        file.is_file()
        and not any(part.startswith(".") for part in parts[-1:])
        and "tmp" not in parts[:-1]
        and (file.name != _SETUP)
    )


def _read_file(path: Path, name: str, limits: ReadLimits) -> Iterator[tuple[str, bytes]]:
    try:
        with path.open("rb") as raw:
            is_gzip = raw.peek(2)[:2] == _GZIP
            packed = path.stat().st_size
            file = CountedFile(gzip.GzipFile(fileobj=raw), packed, name, limits) if is_gzip else raw
            first = file.readline(1000)
            if first.startswith(b"From "):
                yield from _read_packed_mbox(file, name) if isinstance(file, CountedFile) else _read_mbox(file, name)
            else:
                yield name, first + file.read(MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"the mail cannot be read: {reason}", where=name, remedy="make the file readable and complete"
        ) from error


def _read_packed_mbox(packed: CountedFile, name: str) -> Iterator[tuple[str, bytes]]:
    """Unpack an mbox whose first line was read, to look ahead in it; yields whole mails before damage first."""
    damage: Exception | None = None
    waiting: tuple[str, bytes] | None = None
    with make_temporary_folder() as folder, (folder / "mbox").open("w+b") as file:
        try:
            while line := packed.readline(MOST_BYTES):
                file.write(line)
        except (DataError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            damage = error
        file.seek(0)
        for mail in _read_mbox(file, name):
            if waiting is not None:
                yield waiting
            waiting = mail
    if damage is not None:
        raise damage
    if waiting is not None:
        yield waiting


def _read_mbox(file: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the mails of an mbox whose first line was read: each begins with a line `From `, after an empty one.

    Some programs (Dovecot) do not change such lines in a mail's text, and write a Content-Length instead. If it was
    ignored, a sender could put a second mail into the first, with results in its header that our server did not write.
    """
    number, size, is_empty, in_header, length = 1, 0, False, True, b""
    lines: list[bytes] = []
    while line := file.readline(MOST_BYTES):
        if is_empty and line.startswith(b"From "):
            yield f"{name}, mail {number}", b"".join(lines)
            number, size, lines, in_header, length = number + 1, 0, [], True, b""
        elif size < MOST_BYTES:
            text = line[1:] if line.startswith(b">") and line.lstrip(b">").startswith(b"From ") else line
            lines.append(text)
            size += len(text)
        is_empty = line in (b"\n", b"\r\n")
        if in_header and line[:15].lower() == b"content-length:":
            length = line[15:].strip()  # the last one is the program's that wrote the mbox
        if in_header and is_empty:
            in_header = False
            end = _find_end(file, length)
            if end is not None:
                lines.append(file.read(min(end - file.tell(), MOST_BYTES)))
                size += len(lines[-1])
                file.seek(end)
    yield f"{name}, mail {number}", b"".join(lines)


def _find_end(file: BinaryIO, length: bytes) -> int | None:
    """Return where the mail ends whose text begins here, by its Content-Length; None where no mail ends there.

    A sender may write that field too: it counts only where the file ends, or an empty line and the next mail follow.
    """
    if not 0 < len(length) <= _MOST_DIGITS or not length.isdigit():
        return None
    begun = file.tell()
    end = begun + int(length)
    whole = file.seek(0, SEEK_END)
    file.seek(end - 4)  # the header before it is longer
    before, after = file.read(4), file.read(9)
    file.seek(begun)
    rest = after.lstrip(b"\r\n")
    ends = (before + after[: len(after) - len(rest)]).replace(b"\r", b"")
    is_end = rest.startswith(b"From ") and ends.endswith(b"\n\n") if rest else end <= whole <= end + 4
    return end if is_end else None
