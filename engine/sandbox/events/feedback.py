"""Feedback of the sandbox: the queue of events, and the files that a Firehose stream would write."""

import asyncio
import gzip
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from msgspec.structs import replace

from engine.clock import Clock
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.emitter import Emitted, Emitter, Matches
from engine.sandbox.events.envelopes import SnsSigner, wrap_eventbridge, wrap_sns
from engine.sandbox.events.event_plan import SandboxEvent, plan_events
from engine.sandbox.events.event_records import write_time
from engine.sandbox.http.record import FILE_NAME
from engine.sandbox.sqs.queues import Arrival, SandboxQueue
from engine.sandbox.sqs.sqs import Sqs

QUEUE_NAME = "mailrun-events"
_CURSORS_FILE = "events.json"  # the position of each destination in the record
FIREHOSE_EVENTS = 10_000  # in one file, and so in memory at once


class Feedback:
    """The destinations of events.

    Args:
        folder: the record's folder, which also keeps the positions of the destinations.
        behaviour: what happens to mail.
        clock: time.
        matches: whether a configuration set publishes an event type.
        firehose_folder: where files go; None for none.
        compress: files are gzipped.
        url: of this server, once it is known.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, one per part
        self,
        folder: Path,
        behaviour: Behaviour,
        *,
        clock: Clock,
        matches: Matches,
        firehose_folder: Path | None,
        compress: bool,
        url: Callable[[], str],
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._url = url
        self._signer = SnsSigner()
        self._firehose_folder = firehose_folder
        self._compress = compress
        self.behaviour = behaviour
        cursors = _read_cursors(folder)

        def emitter(destination: str) -> Emitter:
            return Emitter(folder, behaviour, start=cursors.get(destination, 0), matches=matches, clock=clock)

        self._to_queue = emitter("queue")
        self._to_firehose = emitter("firehose") if firehose_folder is not None else None
        self._cursors = cursors
        self._to_figures = Emitter(folder, _plain(behaviour), start=0, matches=lambda *_: True, clock=clock)
        self.queue = SandboxQueue(QUEUE_NAME, clock, clock.now(), source=self._take_arrivals)
        self._arrived = asyncio.Event()
        self.stopping = asyncio.Event()
        self.sqs = Sqs(self.queue, seconds_to_event=self._to_queue.seconds_to_next, clock=clock, wait=self._wait)

    @property
    def certificate(self) -> bytes:
        """The certificate of SNS messages."""
        return self._signer.certificate

    def notice(self) -> None:
        """Wake the tasks that wait for an accepted message."""
        self._arrived.set()

    def change(self, behaviour: Behaviour) -> None:
        """Change what happens to mail that is accepted from now on; the envelope changes at once."""
        self.behaviour = behaviour
        self._to_queue.change(behaviour)
        self._to_figures.change(_plain(behaviour))
        if self._to_firehose is not None:
            self._to_firehose.change(behaviour)
        self._arrived.set()

    def list_events(self, message: Mapping[str, Any], offset: int) -> list[SandboxEvent]:
        """Return the events of a message, also those that are still to come.

        Args:
            message: its line in the record.
            offset: of that line, in bytes.
        """
        return plan_events(message, self._to_queue.behaviour_at(offset))

    def take_for_figures(self, most: int) -> list[Mapping[str, Any]]:
        """Return the next events of the whole record that have happened, each once, at most so many."""
        return [event.record for event in self._to_figures.take(most)]

    def write_files(self) -> list[Path]:
        """Write what has happened since the last time as Firehose does; return the files."""
        files: list[Path] = []
        while self._to_firehose is not None and (events := self._to_firehose.take(FIREHOSE_EVENTS)):
            files.append(self._write_file(events))
        self._save_cursors()
        return files

    def close(self) -> None:
        """Write the files that are due, save the positions of the destinations, and close."""
        self.stopping.set()
        self.write_files()
        for emitter in (self._to_queue, self._to_firehose, self._to_figures):
            if emitter is not None:
                emitter.close()

    def _write_file(self, events: list[Emitted]) -> Path:
        assert self._firehose_folder is not None  # noqa: S101 - for the type checker
        now = self._clock.now()
        folder = self._firehose_folder / now.strftime("%Y/%m/%d/%H")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = (
            f"{QUEUE_NAME}-1-{now.strftime('%Y-%m-%d-%H-%M-%S')}-{events[0].identity}{'.gz' if self._compress else ''}"
        )
        content = b"".join(orjson.dumps(event.record, option=orjson.OPT_APPEND_NEWLINE) for event in events)
        written = folder / f".{name}.part"
        written.write_bytes(gzip.compress(content, mtime=0) if self._compress else content)
        written.chmod(0o600)
        return written.rename(folder / name)

    def _take_arrivals(self, most: int) -> list[Arrival]:
        return [Arrival(self._wrap(event), event.offset, self._clock.now()) for event in self._to_queue.take(most)]

    def _wrap(self, event: Emitted) -> bytes:
        at = write_time(self._clock.now())
        if self.behaviour.envelope == "eventbridge":
            return wrap_eventbridge(event.record, identity=event.identity, at=at)
        record = orjson.dumps(event.record)
        if self.behaviour.envelope == "raw":
            return record
        version = self.behaviour.signature_version
        return wrap_sns(record, identity=event.identity, at=at, url=self._url(), signer=self._signer, version=version)

    async def _wait(self, seconds: float) -> bool:
        """Wait for an accepted message, at most so long; return False once the server stops."""
        self._arrived.clear()
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(each) for each in (self._arrived.wait(), self.stopping.wait())
        ]
        waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        return not self.stopping.is_set()

    def _save_cursors(self) -> None:
        cursors = {"queue": min([self._to_queue.position, *self.queue.origins])}
        if self._to_firehose is not None:
            cursors["firehose"] = self._to_firehose.position
        if cursors.items() <= self._cursors.items():
            return
        self._cursors |= cursors
        path = self._folder / f".{_CURSORS_FILE}.{os.getpid()}"
        path.write_bytes(orjson.dumps(self._cursors))
        path.rename(self._folder / _CURSORS_FILE)


def _plain(behaviour: Behaviour) -> Behaviour:
    """Return a behaviour whose events come once and in order."""
    return replace(behaviour, duplicates=0.0, shuffle=1)


def _read_cursors(folder: Path) -> dict[str, int]:
    """Read the positions of the destinations: the start where they are unknown, or where the record is another one."""
    with suppress(FileNotFoundError, orjson.JSONDecodeError):
        cursors = orjson.loads((folder / _CURSORS_FILE).read_bytes())
        size = (folder / FILE_NAME).stat().st_size
        return {name: at for name, at in cursors.items() if isinstance(at, int) and 0 <= at <= size}
    return {}
