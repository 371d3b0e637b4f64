"""Where inbound mail is: files, mbox, Maildir, objects of S3, notifications of a receipt rule.

Source: SES developer guide, "Deliver to S3 bucket action" (an object is a mail; the first one,
AMAZON_SES_SETUP_NOTIFICATION, is none) and "Contents of notifications for Amazon SES email receiving" (`content` where
the mail is small).
"""

import base64
import binascii
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

from engine.audience.reading.text_files.raw_files import CountedFile
from engine.errors import DataError
from engine.feedback.events.envelopes import ForgedError, Verify, read_json
from engine.feedback.inbound.authority import Receipt
from engine.feedback.inbound.mail_parts import MOST_BYTES
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.store.objects import REMOTE, fetch_objects
from engine.system.given_paths import look_at
from engine.system.temporary import make_temporary_folder

_SETUP = "AMAZON_SES_SETUP_NOTIFICATION"
_GZIP = b"\x1f\x8b"
_DEEPEST = 3
_MOST_DIGITS = 15  # of a Content-Length

Refuse = Callable[[DataError], None]
"""Reports what cannot be read; the error says where it is."""


def read_mails(place: str, refuse: Refuse, limits: ReadLimits = DEFAULT_LIMITS) -> Iterator[tuple[str, bytes]]:
    """Read raw mails of a file (one mail, or an mbox), of a folder (a Maildir too), or of objects of S3.

    Args:
        place: a path, or s3://.
        refuse: is called for a file or object that cannot be read among others, which are read all the same.
        limits: how much a file may unpack to.

    Yields:
        Where a mail is from, and the mail.

    Raises:
        DataError: there is no such file, or it cannot be read.
        ConfigurationError: the bucket does not let us in.
        ServiceError: S3 cannot be reached.
    """
    if place.startswith(REMOTE):
        with make_temporary_folder() as folder:
            for fetched in fetch_objects(place, folder):
                if not fetched.name.endswith(_SETUP):
                    yield from _read_one_of_many(fetched.path, fetched.name, refuse, limits)
                fetched.path.write_bytes(b"")  # its name stays taken, its bytes are needed no more
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
    """Say whether a file of a folder is meant: no hidden one, and of a Maildir no mail that is still being written."""
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
        said = getattr(error, "strerror", None) or str(error)
        raise DataError(f"the mail cannot be read: {said}", where=name, remedy="make it readable, and whole") from error


def _read_packed_mbox(packed: CountedFile, name: str) -> Iterator[tuple[str, bytes]]:
    """Unpack an mbox whose first line was read, to look ahead in it; whole mails before a damage are yielded first."""
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

    Some writers (Dovecot) leave such lines in a mail's text as they are, and write a Content-Length instead: without
    it a sender could put a second mail into the first, with results in its header as if our server had written them.
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
            length = line[15:].strip()  # the last one is the writer's
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

    Anybody may write that field: it counts only where the file ends, or an empty line and the next mail follow.
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


class Refusal(StrEnum):
    """Why a message of the queue is set aside; the beginning of its file's name in the store."""

    NO_MAIL = "no-mail"  # no notification of received mail, or one without a mail
    FORGED = "forged"  # its SNS envelope
    BROKEN = "broken"  # the mail cannot be read
    BUCKET = "bucket"  # it names a bucket that the settings do not
    UNREADABLE = "unreadable"  # the object is gone, too large, or S3 does not give it out


class NoMailError(ValueError):
    """A message of the queue that holds no mail; the text says why."""

    def __init__(self, text: str, refusal: Refusal = Refusal.NO_MAIL) -> None:
        super().__init__(text)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification of received mail.

    Attributes:
        name: the id that SES gave the mail.
        receipt: SES's verdicts.
        is_signed: SNS signed it. What is not signed may be of anybody who may write to the queue.
        content: the mail, where the notification holds it.
        place: bucket and key of the object that is the mail, where it does not.
    """

    name: str
    receipt: Receipt
    is_signed: bool
    content: bytes | None
    place: tuple[str, str] | None


def open_notification(body: str | bytes, verify: Verify) -> Notification | None:
    """Read a notification of received mail; None for a notice about a set-up.

    Raises:
        NoMailError: it is none, or names no mail.
        ForgedError: its SNS envelope is not right.
        MailrunError: of `verify`: nothing can be said now, and the message must be kept.
    """
    document: Any = body
    is_signed = False
    for _ in range(_DEEPEST):
        document = _parse(document)
        if document is None:
            return None
        if document.get("Type") == "Notification" and isinstance(document.get("Message"), str):
            verify(document)
            is_signed = True
            document = document["Message"]
            continue
        break
    if not isinstance(document, dict) or document.get("notificationType") != "Received":
        if isinstance(document, dict) and document.get("notificationType") == "AmazonSnsSubscriptionSucceeded":
            return None
        raise NoMailError("it is no notification of received mail")
    return _find_mail(document, is_signed=is_signed)


def _parse(text: Any) -> dict[str, Any] | None:
    try:
        document = read_json(text)
    except ValueError:
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if said.strip().startswith("Successfully validated SNS topic"):
            return None
        raise NoMailError("it is not JSON") from None
    if not isinstance(document, dict):
        raise NoMailError("it is JSON, and no object")
    return document


def _find_mail(document: Mapping[str, Any], *, is_signed: bool) -> Notification:
    mail, receipt = _as_object(document.get("mail")), _as_object(document.get("receipt"))
    name, verdicts, content = str(mail.get("messageId")), _read_receipt(mail, receipt), document.get("content")
    action = _as_object(receipt.get("action"))
    if isinstance(content, str):
        is_encoded = str(action.get("encoding")).upper() == "BASE64"
        raw = _decode(content) if is_encoded else content.encode("utf-8", "replace")
        return Notification(name, verdicts, is_signed, raw, None)
    bucket, key = action.get("bucketName"), action.get("objectKey")
    if action.get("type") == "S3" and isinstance(bucket, str) and isinstance(key, str):
        return Notification(name, verdicts, is_signed, None, (bucket, key))
    raise NoMailError("it has neither the mail nor an object that holds it")


def _as_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _read_receipt(mail: Mapping[str, Any], receipt: Mapping[str, Any]) -> Receipt:
    spf, dkim, dmarc = (
        str(_as_object(receipt.get(f"{name}Verdict")).get("status", "")).lower() for name in ("spf", "dkim", "dmarc")
    )
    return Receipt(spf, dkim, dmarc, str(mail.get("source", "")))


def _decode(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise NoMailError("its content is no base64") from None


__all__ = ["ForgedError", "NoMailError", "Notification", "Refusal", "open_notification", "read_mails"]
