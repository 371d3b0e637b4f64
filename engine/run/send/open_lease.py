"""One open lease of a worker: its rows, and the results of earlier owners."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import polars as pl
from msgspec import Struct, field

from engine.audience.planning.plan_files import read_lease
from engine.clock import Clock
from engine.feedback.events.event_files import find_message_ids
from engine.ledger import leases
from engine.ledger.event_flags import Flag, read_flags
from engine.ledger.journal import Outcome, Result
from engine.ledger.leases import Lease
from engine.ledger.recorder import Recorder
from engine.run.frozen import FrozenRun
from engine.run.outcomes import PROVED, hold_open_intents
from engine.run.recipients import Recipient, iterate_recipients

FORGOTTEN_DETAIL = "forgotten before it was sent to"


class OpenLease(Struct, eq=False):
    """A lease that this worker owns, in memory while it is open.

    Attributes:
        lease: its key in the ledger.
        recipients: its rows of the plan.
        columns: the audience's columns that the content uses.
        results: row -> final result.
        attempts: row -> dispatches by earlier owners.
        doubtful: rows to be sent again although an earlier dispatch may have been accepted.
        in_flight: number of calls that are admitted and have not ended.
        lost: it has a newer owner.
        looked_at: row -> monotonic time of its last look-up in the suppression list.
        suppressed: row -> why it is on that list.
        part: number of first rows that may be sent to now; None for all.
    """

    lease: Lease
    recipients: pl.DataFrame
    columns: Sequence[str]
    results: dict[int, Result]
    attempts: Mapping[int, int]
    doubtful: frozenset[int]
    in_flight: int = 0
    lost: bool = False
    looked_at: dict[int, float] = field(default_factory=dict)
    suppressed: dict[int, str] = field(default_factory=dict)
    part: int | None = None
    _calls_ended: asyncio.Event = field(default_factory=asyncio.Event)
    _spread: pl.DataFrame | None = None
    _turns: "Turns | None" = None
    _indexes: dict[int, int] = field(default_factory=dict)

    def place_of(self, row: int) -> tuple[int, int]:
        """Return the ordinal of the lease, and a row's place in it, in the plan's order, from 0."""
        if not self._indexes:
            self._indexes.update(zip(self.recipients["row"].to_list(), range(self.recipients.height), strict=True))
        return self.lease.ordinal, self._indexes[row]

    @property
    def complete(self) -> bool:
        """Return whether every row has its outcome."""
        return len(self.results) == self.recipients.height

    @property
    def part_complete(self) -> bool:
        """Return whether every row of its part has its outcome."""
        return all(row in self.results for row in self._part_rows["row"])

    @property
    def _part_rows(self) -> pl.DataFrame:
        return self.recipients if self.part is None else self.recipients.head(self.part)

    def begin_call(self) -> None:
        """Count a call that is admitted."""
        self.in_flight += 1
        self._calls_ended.clear()

    def end_calls(self, calls: int) -> None:
        """Count calls that have ended."""
        self.in_flight -= calls
        if not self.in_flight:
            self._calls_ended.set()

    async def wait_for_calls(self) -> None:
        """Wait until no call is in flight."""
        while self.in_flight:
            await self._calls_ended.wait()

    def left(self) -> Iterator[Recipient]:
        """Yield the recipients without an outcome, in the plan's order but for receiver domains, which are spread."""
        return (
            recipient
            for recipient in iterate_recipients(self._turns_of_part, self.columns)
            if recipient.row not in self.results
        )

    def list_next(self, row: int, count: int) -> dict[int, str]:
        """List a row and those that follow it in their turn and have no outcome: row -> key of the address.

        Args:
            row: of this lease.
            count: how many rows at most are looked at.
        """
        if self._turns is None:
            self._turns = Turns(self._in_turn["row"].to_list(), self._in_turn["key"].to_list())
        return {each: key for each, key in self._turns.list_from(row, count) if each not in self.results}

    @property
    def _turns_of_part(self) -> pl.DataFrame:
        return self._in_turn if self.part is None else spread_domains(self._part_rows)

    @property
    def _in_turn(self) -> pl.DataFrame:
        if self._spread is None:
            self._spread = spread_domains(self.recipients)
        return self._spread


class Turns:
    """The rows of a lease in the order in which they are sent to, with the keys of their addresses.

    Args:
        rows: in that order.
        keys: theirs; None for a forgotten recipient.
    """

    def __init__(self, rows: list[int], keys: list[str | None]) -> None:
        self._keys = list(zip(rows, keys, strict=True))
        self._places = dict(zip(rows, range(len(rows)), strict=True))

    def list_from(self, row: int, count: int) -> list[tuple[int, str]]:
        """List a row and those that follow it, with their keys, without forgotten recipients."""
        place = self._places[row]
        return [(each, key) for each, key in self._keys[place : place + count] if key is not None]


class OpenLeases(Struct, frozen=True):
    """The leases of one worker whose rows are still being started, each with an event that is set at the end."""

    _rows_ended: dict[OpenLease, asyncio.Event] = field(default_factory=dict)

    def __iter__(self) -> Iterator[OpenLease]:
        """Yield them in the order in which they were opened."""
        return iter(self._rows_ended)

    def __len__(self) -> int:
        """Count them."""
        return len(self._rows_ended)

    def add(self, opened: OpenLease) -> asyncio.Event:
        """Add a lease; returns the event that `end_rows` sets."""
        event = self._rows_ended[opened] = asyncio.Event()
        return event

    def end_rows(self, opened: OpenLease) -> None:
        """Remove a lease of which no more rows are started."""
        self._rows_ended.pop(opened).set()

    def count_without_outcome(self) -> int:
        """Count the recipients that have no outcome yet."""
        return sum(opened.recipients.height - len(opened.results) for opened in self)


def spread_domains(recipients: pl.DataFrame) -> pl.DataFrame:
    """Spread each receiver domain evenly over a lease, so that no provider is hit in a burst.

    The plan's hashed order does so on average; a campaign's own order may not. The n rows of a domain are placed at
    every n-th part of the lease, beginning at the place of its first row; a domain with one row keeps its place.

    Args:
        recipients: with `address`; in the plan's order.

    Returns:
        The same rows.
    """
    domain = pl.col("address").str.split("@").list.last().str.to_lowercase().hash()  # grouped faster than text
    place = pl.int_range(pl.len()) / pl.len()
    count, number = pl.len().over(domain), pl.int_range(pl.len()).over(domain)
    offset = (place.first().over(domain) * count) % 1.0
    return recipients.sort((number + offset) / count, maintain_order=True)


async def open_lease(
    lease: Lease, frozen: FrozenRun, *, recorder: Recorder, resend_in_doubt: bool, clock: Clock
) -> OpenLease:
    """Load a lease's rows and replay the journal of earlier owners.

    Rows with an intent and no result were in flight when their worker ended: they are in doubt, and held unless
    the campaign has `in_doubt = "resend"`. Results from here are journaled under the new epoch: an outcomes file must
    not have more than the journal, or a crash between the two would look like a restore.
    """
    manifest = frozen.manifest
    recipients = await asyncio.to_thread(read_lease, frozen.folder / "plan", manifest.leases[lease.ordinal])
    history = await recorder.transact(lambda tx: leases.replay_lease(tx, lease.run, lease.ordinal))
    results = dict(history.results)
    now = clock.now().timestamp()
    forgotten = set(recipients.filter(pl.col("address").is_null())["row"])
    held = hold_open_intents(history, now)  # forgotten recipients are never sent to again, and stay in doubt
    results.update({row: result for row, result in held.items() if not resend_in_doubt or row in forgotten})
    for row in forgotten - results.keys():
        results[row] = Result(row, Outcome.FAILED, None, FORGOTTEN_DETAIL, now, history.attempts.get(row, 0))
    doubtful = history.open_intents - results.keys()
    opened = OpenLease(lease, recipients, manifest.columns, results, history.attempts, doubtful)
    if (
        lease.epoch > 1
    ):  # another worker had it before: recipients that got a message according to events are not sent to again
        results |= await _read_proven(opened, frozen, recorder=recorder, now=now)
    found_out = [result for row, result in results.items() if history.results.get(row) != result]
    if found_out:
        recorder.note(lease, found_out)
    return opened


async def _read_proven(opened: OpenLease, frozen: FrozenRun, *, recorder: Recorder, now: float) -> dict[int, Result]:
    """Make results of rows that SES accepted according to events, and whose result is otherwise unknown."""
    lease, known = opened.lease, opened.results
    flags = await recorder.transact(lambda tx: read_flags(tx, lease.run, lease.ordinal))
    rows = [row for row, bits in zip(opened.recipients["row"], flags, strict=False) if bits & Flag.PROVEN]
    proven = [row for row in rows if row not in known or known[row].outcome is Outcome.IN_DOUBT]
    if not proven:
        return {}
    since, run = frozen.run.created_at, lease.run
    ids = await asyncio.to_thread(find_message_ids, frozen.store, run, proven, since)
    return {row: Result(row, Outcome.SENT, ids.get(row), PROVED, now, opened.attempts.get(row, 0)) for row in proven}
