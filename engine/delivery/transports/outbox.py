"""`transport = "outbox"`: nothing is sent; messages are written to files, for archives and for inspection.

* `eml`: one file a message, named by its row, in folders of a thousand. Writing it again replaces it.
* `mbox`: one file a worker (RFC 4155, "mboxrd" quoting: a line of `>`s and `From ` gets one more `>`).
* `maildir`: one file a message in `new/`, moved there when complete (https://cr.yp.to/proto/maildir.html).

A message counts as sent when its file has reached the disk.
"""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

from engine.campaign.message import Envelope, Message
from engine.campaign.mime import Composer
from engine.campaign.part_writers import make_utf8_writer
from engine.clock import Clock, SystemClock
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transport import CallGroup, Item, TakeReplies
from engine.delivery.transports.message_identity import make_identity
from engine.errors import ConfigurationError
from engine.store.files import PRIVATE_FILE, PRIVATE_FOLDER

_IN_FOLDER = 1000
_FROM_LINE = re.compile(rb"^(>*From )", re.MULTILINE)


class Outbox:
    """Writes messages to files.

    Args:
        folder: created if it is missing, readable by its owner alone.
        kind: eml, mbox or maildir.
        envelope: what is the same in every message.
        worker: names this worker's mbox.
        clock: for dates.

    Raises:
        ConfigurationError: the folder cannot be written.
    """

    most_items = 50  # messages that share one fsync in an mbox; other kinds are written one by one
    most_bytes = 64 * 1024 * 1024
    most_calls = 16

    def __init__(self, folder: Path, kind: str, envelope: Envelope, *, worker: str, clock: Clock | None = None) -> None:
        self._folder = folder
        self._composer = Composer(envelope)
        self._group = CallGroup(0)
        self.writer = make_utf8_writer()
        self._sender = re.sub(r".*<(.*)>", r"\1", envelope.sender)
        self._clock = clock or SystemClock()
        self._worker = worker
        self._mbox: int | None = None
        self._lock = asyncio.Lock()
        self._write = {"eml": self._write_eml, "mbox": self._write_mbox, "maildir": self._write_maildir}[kind]
        try:
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            if kind == "mbox":
                path = folder / f"{worker}.mbox"
                self._mbox = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, PRIVATE_FILE)
            if kind == "maildir":
                for name in ("tmp", "new", "cur"):
                    (folder / name).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the outbox cannot be written: {error.strerror}",
                where=str(folder),
                remedy="give write access to the folder",
            ) from None

    def prepare(self, message: Message) -> Item:
        """Compose the message."""
        extra = make_identity(message, self._sender, self._clock)
        return Item(message.row, message, self._composer.compose(message, extra), self._group)

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:  # noqa: ARG002 - a Transport's signature
        """Hand over nothing: `send` waits for a thread or a connection."""
        return False

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        """Write the messages; see Transport.send. A failed write pauses the run."""
        try:
            async with self._lock:
                await asyncio.to_thread(self._write, items)
        except OSError as error:
            detail = f"the outbox cannot be written: {error.strerror} ({self._folder})"
            return [SendReply(ReplyMeaning.PAUSE, detail=detail, remedy="free some space, then launch again")] * len(
                items
            )
        return [SendReply(ReplyMeaning.SENT, message_id=self._name(item)) for item in items]

    def close(self) -> None:
        """Close what is open."""
        if self._mbox is not None:
            os.close(self._mbox)
            self._mbox = None

    def _name(self, item: Item) -> str:
        return f"{item.row:08d}.eml"

    def _write_eml(self, items: Sequence[Item]) -> None:
        for item in items:
            folder = self._folder / f"{item.row // _IN_FOLDER:05d}"
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            _write_whole(folder / f".{self._name(item)}.{self._worker}", folder / self._name(item), item.payload)

    def _write_maildir(self, items: Sequence[Item]) -> None:
        for item in items:
            name = f"{self._name(item)}.{self._worker}"
            _write_whole(self._folder / "tmp" / name, self._folder / "new" / name, item.payload)

    def _write_mbox(self, items: Sequence[Item]) -> None:
        assert self._mbox is not None  # noqa: S101 - opened with the outbox
        begin = os.fstat(self._mbox).st_size
        stamp = self._clock.now().strftime("%a %b %d %H:%M:%S %Y")
        whole = b"".join(
            f"From {self._sender} {stamp}\n".encode() + _FROM_LINE.sub(rb">\1", _to_unix(item.payload)) + b"\n"
            for item in items
        )
        try:
            _write_all(self._mbox, whole)
            os.fsync(self._mbox)
        except OSError:
            os.ftruncate(self._mbox, begin)  # half a message would spoil the next one
            raise


def _to_unix(data: bytes) -> bytes:
    text = data.replace(b"\r\n", b"\n")
    return text if text.endswith(b"\n") else text + b"\n"


def _write_whole(aside: Path, path: Path, data: bytes) -> None:
    descriptor = os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, PRIVATE_FILE)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # else a crash may lose the name of a file that is there
    finally:
        os.close(folder)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
