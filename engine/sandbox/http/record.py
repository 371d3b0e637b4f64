"""The sandbox's own record of what it accepted: one JSON line a message, written before the reply is sent.

It is what tests compare a run's accounts with, and what the inbox shows.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import orjson

from engine.errors import ConfigurationError
from engine.sandbox.ses.draft import Draft

FILE_NAME = "accepted.jsonl"


class Record:
    """The record of a folder, open for appending.

    Every line is one `write` to a file opened with O_APPEND, so several processes may share the file, and what was
    acknowledged survives the end of the process (though not of the machine: nothing is synced to the disk).

    Args:
        folder: where it is; created with mode 0700 if it is missing.

    Raises:
        ConfigurationError: the folder cannot be created, or the file cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise ConfigurationError(
                f"the sandbox cannot write its record: {problem.strerror}",
                where=str(self.path),
                remedy="give it a folder that you may write to",
            ) from problem
        self._torn = not self._ends_with_newline()

    def append(  # noqa: PLR0913 - keyword-only, one per member of the line
        self,
        draft: Draft,
        *,
        message_id: str,
        at: datetime,
        fate: str,
        region: str = "",
        on_list: Mapping[str, str] | None = None,
    ) -> None:
        """Write one accepted message.

        Raises:
            OSError: the line could not be written; the message must not be acknowledged.
        """
        line = line_of(draft, message_id=message_id, at=at, fate=fate, region=region, on_list=on_list)
        if self._torn:
            line = b"\n" + line
        self._torn = True
        if os.write(self._file, line) < len(line):
            raise OSError(f"only a part of a line was written to {self.path}; is the disk full?")
        self._torn = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ends_with_newline(self) -> bool:
        size = os.fstat(self._file).st_size
        return size == 0 or os.pread(self._file, 1, size - 1) == b"\n"


def line_of(  # noqa: PLR0913 - as above
    draft: Draft,
    *,
    message_id: str,
    at: datetime,
    fate: str,
    region: str = "",
    on_list: Mapping[str, str] | None = None,
) -> bytes:
    """Return the line of a message; docs/reference/sandbox.md describes its members."""
    content = draft.content
    document = {
        "message_id": message_id,
        "at": at,
        "region": region,
        "operation": draft.operation,
        "from": draft.sender,
        "to": draft.recipients,
        "tags": draft.tags,
        "configuration_set": draft.configuration_set,
        "outgoing_ip": draft.outgoing_ip,
        **draft.reach.to_json(),
        "fate": fate,
        "on_suppression_list": on_list or {},
        "detail": content.failure,
        "subject": content.subject,
        "html": content.html,
        "text": content.text,
        "headers": content.headers,
        "reply_to": draft.reply_to,
        "attachments": content.attachments,
        "raw": content.raw,
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def read_record(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the accepted messages of a folder, in the order in which they were written.

    A line that is not whole JSON is skipped: a full disk or a crash of the machine cut it before its message was
    acknowledged. It is the last line or, where a sandbox continued the file, followed by whole ones.

    Args:
        folder: the record's folder; no file in it means that nothing was accepted.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return
    with closing(path.open("rb")) as file:
        for line in file:
            message = parse_line(line)
            if message is not None:
                yield message


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the message of a line; None when the line is incomplete."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def new_message_id(at: datetime) -> str:
    """Return an id of the shape that SES gives: 16 hexadecimal digits of the time, a UUID's shape, six digits."""
    tail = secrets.token_hex(16)
    milliseconds = int(at.timestamp() * 1000)
    return f"0100{milliseconds:012x}-{tail[:8]}-{tail[8:12]}-{tail[12:16]}-{tail[16:20]}-{tail[20:]}-000000"
