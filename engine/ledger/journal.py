"""The journal of an open lease: intents and outcomes, and their replay.

Pure: values in, values out. Each group commit stores one compact value per lease, a JSON array of entries:

    [row]                                            an intent: this row is about to be handed over
    [row, outcome, message_id, error, at, attempts]  the result of the row

An outcome `unsent` cancels the row's intent: the transport reported with certainty that nothing was accepted.

Entries are named tuples in that order: two are made for every message, and frozen dataclasses cost three times as much.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from itertools import repeat
from typing import NamedTuple

import orjson
from msgspec import Struct, field


class Outcome(StrEnum):
    """The outcome of one recipient."""

    SENT = "sent"  # SES returned a message id
    REFUSED = "refused"  # SES permanently rejected this recipient or message
    FAILED = "failed"  # render error, or retries used up with certainty that nothing was accepted
    IN_DOUBT = "in_doubt"  # handed over, no answer
    UNSENT = "unsent"  # not handed over yet


class Intent(NamedTuple):
    """A row that is about to be handed over to the transport."""

    row: int


class Result(NamedTuple):
    """The result of a row.

    Attributes:
        row: the plan's row id.
        outcome: its outcome.
        message_id: SES's, where it was sent.
        error: code and text of a refusal or failure, or why it is in doubt.
        at: Unix time of the answer, in seconds.
        attempts: dispatches made for this row in this lease's life.
    """

    row: int
    outcome: Outcome
    message_id: str | None
    error: str | None
    at: float
    attempts: int


Entry = Intent | Result


def make_intents(rows: Iterable[int]) -> list[Intent]:
    """Make the intents of some rows, in a fifth of the time that `Intent` takes for each."""
    return list(map(_new_intent, zip(rows, strict=True)))


def make_sent(
    rows: Iterable[int], message_ids: Iterable[str | None], attempts: Iterable[int], at: float
) -> list[Result]:
    """Make the results of rows that were sent at a moment, in half of the time that `Result` takes for each."""
    return list(map(_new_result, zip(rows, repeat(Outcome.SENT), message_ids, repeat(None), repeat(at), attempts)))


_new_intent: Callable[[tuple[int]], Intent] = partial(tuple.__new__, Intent)
_new_result: Callable[[tuple[int, Outcome, str | None, None, float, int]], Result] = partial(tuple.__new__, Result)


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Write entries as one journal value."""
    return orjson.dumps(entries, default=tuple)  # it writes no named tuples by itself


def decode_entries(value: bytes) -> list[Entry]:
    """Read one journal value back.

    Raises:
        ValueError: the value is damaged.
    """
    try:
        return [
            Intent(*item) if len(item) == 1 else Result(item[0], Outcome(item[1]), *item[2:])
            for item in orjson.loads(value)
        ]
    except (TypeError, LookupError) as error:
        raise ValueError(f"damaged journal value: {error}") from error


class Replay(Struct, frozen=True):
    """The state that a lease's journal describes.

    Attributes:
        results: row -> its last certain result; rows whose last result is `unsent` are not in it.
        open_intents: rows with an intent and no result: their calls were in flight when the journal ends.
        attempts: row -> dispatches begun so far.
        begun: row of an open intent -> Unix time at which it was recorded, where that is known.
    """

    results: dict[int, Result]
    open_intents: frozenset[int]
    attempts: dict[int, int]
    begun: dict[int, float] = field(default_factory=dict)


def replay(values: Iterable[bytes], times: Iterable[float | None] = repeat(None)) -> Replay:
    """Replay journal values, in order of commit.

    Args:
        values: as they were recorded.
        times: for each value, when that was; None where it is not known.
    """
    results: dict[int, Result] = {}
    open_intents: set[int] = set()
    attempts: dict[int, int] = {}
    begun: dict[int, float | None] = {}
    for value, at in zip(values, times, strict=False):
        for entry in decode_entries(value):
            if isinstance(entry, Intent):
                open_intents.add(entry.row)
                attempts[entry.row] = attempts.get(entry.row, 0) + 1
                begun[entry.row] = at
                continue
            open_intents.discard(entry.row)
            if entry.outcome is Outcome.UNSENT:
                results.pop(entry.row, None)
            else:
                results[entry.row] = entry
    known = {row: at for row in open_intents if (at := begun[row]) is not None}
    return Replay(results, frozenset(open_intents), attempts, known)
