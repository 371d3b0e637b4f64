"""Group commit: one writer, one thread; all waiting records are written in one transaction.

The event loop never waits for the disk, and every dispatch that waits for a commit shares it: the slower the disk, the
larger the groups. On a fast disk, a commit begins at the earliest 20 ms after the previous one began, so that
groups stay large enough to be cheap.

A crash leaves in doubt the calls whose intent is recorded and whose answer is not. So the next group waits for the
answers to the calls of the previous group, if they arrive in less time than two commits take: then one group is in
doubt, instead of two on a slow disk. A group has a bounded number of intents; the others wait, and so do the callers
that want to send them.

If the server is unreachable, every caller that waits for a record keeps waiting: nothing is sent without one, and work
resumes by itself when the server is back. Every transaction may therefore be tried twice, with the answer to the first
attempt lost; the statements of `leases`, `runs` and `workers` are safe to repeat.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from msgspec import Struct
from sqlalchemy import Connection

from engine.clock import Clock, SystemClock
from engine.errors import UnreachableError
from engine.ledger import leases
from engine.ledger.database import Ledger
from engine.ledger.journal import Entry, Intent, encode_entries
from engine.ledger.leases import Lease
from engine.logs import get_logger
from engine.spans import record_span

log = get_logger()

T = TypeVar("T")

FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 2.0
PATIENCE_SECONDS = 600.0  # longer than a restart or a fail-over; then the worker ends and is started again
LARGEST_GROUP = 2_000  # intents in one commit: what a crash on a slow disk leaves in doubt
_ANSWERS_WEIGHT = 0.2  # of a new measurement in the moving average
GATHER_SECONDS = 0.02  # between the beginnings of two commits; a lone dispatch never waits for it


class LeaseLostError(Exception):
    """The lease has a newer owner: nothing more may be sent or recorded under the old epoch."""


class _Waiting(Struct):
    lease: Lease | None  # None for a caller that waits for earlier entries
    entries: list[Entry]
    durable: asyncio.Future[None] | None


class Recorder:
    """Records journal entries of one worker, and runs its other ledger work on the same thread.

    Args:
        ledger: stays open for longer than the recorder.
        clock: for waiting while the ledger is away.
        patience: returns how many seconds to wait for an unreachable ledger; less once the worker must stop.
        durable: called for every commit, with the lease and its last sequence, before any caller continues.
        observe: receives the seconds of each commit, with the time for which the ledger was away.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock | None = None,
        *,
        patience: Callable[[], float] = lambda: PATIENCE_SECONDS,
        durable: Callable[[Lease, int], None] = lambda _lease, _sequence: None,
        observe: Callable[[Sequence[float]], None] = lambda _durations: None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock or SystemClock()
        self._patience = patience
        self._durable = durable
        self._observe = observe
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._begun_at = float("-inf")
        self._sequences: dict[Lease, int] = {}
        self._failure: Exception | None = None
        self._unanswered: set[int] = set()  # rows of the last group whose calls have no answer yet
        self._all_answered = asyncio.Event()
        self._durable_at = 0.0
        self._commit_seconds = 0.0
        self._answer_seconds = 0.0

    async def record(self, lease: Lease, entries: Sequence[Entry]) -> None:
        """Record entries; returns when they are durable.

        Raises:
            LeaseLostError: the lease has a newer owner; nothing was recorded.
            MailrunError: the ledger could not be written; nothing was recorded.
        """
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(_Waiting(lease, [*entries], durable))
        await durable

    def note(self, lease: Lease, entries: Sequence[Entry]) -> None:
        """Record entries without waiting for them; `flush` raises if one could not be written.

        Entries become durable in order: once an intent is durable, so is every result noted before it.
        """
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.durable is None and last.lease == lease:
            last.entries += entries
        else:
            self._add(_Waiting(lease, [*entries], None))
        if self._unanswered:
            self._note_answers(entries)

    async def flush(self) -> None:
        """Wait until every entry noted so far is durable, without entries that are noted meanwhile.

        Raises:
            MailrunError: something that was noted could not be written.
        """
        if self._committing is not None and not self._committing.done():
            passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._add(_Waiting(None, [], passed))
            await passed
        if self._failure is not None:
            raise self._failure

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a write transaction of its own; retry while the ledger is unreachable.

        Args:
            work: must be idempotent, because it may run twice.

        Raises:
            MailrunError: the ledger could not be written; nothing was recorded, unless the ledger was unreachable.
        """

        def run() -> T:
            with self._ledger.write() as tx:
                return work(tx)

        loop, begun, wait = asyncio.get_running_loop(), self._clock.monotonic(), FIRST_RETRY_SECONDS
        while True:
            try:
                return await loop.run_in_executor(self._thread, run)
            except UnreachableError as error:
                if self._clock.monotonic() - begun >= self._patience():
                    raise
                if wait == FIRST_RETRY_SECONDS:
                    log.warning("ledger.away", what=error.what, note="nothing is sent until the ledger is back")
            await self._clock.sleep(wait)
            wait = min(LONGEST_RETRY_SECONDS, wait * 2)

    async def close(self) -> None:
        """Wait for the current write and end the thread."""
        if self._committing is not None:
            await self._committing
        await asyncio.to_thread(self._thread.shutdown)

    def _add(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_waiting(), name="group commit")

    async def _commit_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._gather()
            self._begun_at = loop.time()
            group = self._take_group()
            try:
                values = self._number(group)
                lost = await self.transact(partial(_append_all, values)) if values else set()
                self._observe((loop.time() - self._begun_at,))
                record_span("commit", self._begun_at, leases=len(values), waiting=len(group))
                for lease in values.keys() - lost:
                    self._durable(lease, self._sequences[lease])
            except Exception as error:  # noqa: BLE001 - every waiting caller gets the error
                self._failure = error
                _answer(group, {waiting.lease: error for waiting in group})
            else:
                self._expect_answers(group)
                _answer(group, {lease: LeaseLostError() for lease in lost})

    async def _gather(self) -> None:
        """Wait until the next commit should begin."""
        loop = asyncio.get_running_loop()
        early = self._begun_at + GATHER_SECONDS - loop.time()
        if early > 0:
            await asyncio.sleep(early)
        patience = 2 * self._commit_seconds
        if self._unanswered and self._answer_seconds <= patience:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._durable_at + patience):
                    await self._all_answered.wait()

    def _take_group(self) -> list[_Waiting]:
        """Take the entries of the next commit: intents up to a bound, and all results except those behind them."""
        group, later, intents, put_off = list[_Waiting](), list[_Waiting](), 0, set[int]()
        for waiting in self._waiting:
            begins = isinstance(waiting.entries[0], Intent) if waiting.entries else False
            too_many = begins and intents and intents + len(waiting.entries) > LARGEST_GROUP
            is_last = waiting.lease is None  # it waits for all earlier entries
            if too_many or (put_off and (is_last or any(entry.row in put_off for entry in waiting.entries))):
                put_off.update(entry.row for entry in waiting.entries)
                later.append(waiting)
                continue
            intents += len(waiting.entries) if begins else 0
            group.append(waiting)
        self._waiting = later
        return group

    def _expect_answers(self, group: list[_Waiting]) -> None:
        """Remember the rows whose calls are about to be handed over."""
        self._durable_at = asyncio.get_running_loop().time()
        self._commit_seconds = self._durable_at - self._begun_at
        self._unanswered = {entry.row for waiting in group for entry in waiting.entries if isinstance(entry, Intent)}
        self._all_answered.clear()

    def _note_answers(self, entries: Sequence[Entry]) -> None:
        self._unanswered.difference_update([entry.row for entry in entries])
        seconds = asyncio.get_running_loop().time() - self._durable_at
        self._answer_seconds += _ANSWERS_WEIGHT * (seconds - self._answer_seconds)
        if not self._unanswered:
            self._all_answered.set()

    def _number(self, group: list[_Waiting]) -> dict[Lease, tuple[int, bytes]]:
        """Make one journal row a lease: its sequence and its value."""
        entries: dict[Lease, list[Entry]] = {}
        for waiting in group:
            if waiting.lease is not None:
                entries.setdefault(waiting.lease, []).extend(waiting.entries)
        for lease in entries:
            self._sequences[lease] = self._sequences.get(lease, 0) + 1
        return {lease: (self._sequences[lease], encode_entries(of_lease)) for lease, of_lease in entries.items()}


def _append_all(values: Mapping[Lease, tuple[int, bytes]], tx: Connection) -> set[Lease]:
    """Append a group; returns the leases that have a newer owner."""
    return {
        lease
        for lease, (sequence, entries) in values.items()
        if not leases.append_journal(tx, lease, sequence=sequence, entries=entries)
    }


def _answer(group: list[_Waiting], errors: Mapping[Lease | None, Exception]) -> None:
    for waiting in group:
        if waiting.durable is None or waiting.durable.done():  # no caller waits, or it was cancelled
            continue
        if waiting.lease in errors:
            waiting.durable.set_exception(errors[waiting.lease])
        else:
            waiting.durable.set_result(None)
