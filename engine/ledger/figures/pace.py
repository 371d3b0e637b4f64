"""Pace samples: how fast each worker of a run sent, minute by minute.

A worker adds one sample a minute with a heartbeat. The more samples a run has, the longer the next ones are, so that a
run of any length and any number of workers has a few thousand at most.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct
from sqlalchemy import Connection, delete, func, select

from engine.ledger.database import Ledger, insert_if_absent
from engine.ledger.schema import pace_sample_table

STEP_SECONDS = 60.0  # the shortest period of a sample
SAMPLES_EACH = 400  # of one length; then they are twice as long
SHORTEST_SECONDS = 0.001  # that a period is divided for: times have microseconds
SHORTEST_STEP_SECONDS = 1.0  # the rate of a shorter one says nothing
MOST_SAMPLES = 6_000  # of a run: nothing is added after that
LONGEST_SECONDS = 10.0 * 365 * 86_400  # of a sample; no worker writes a longer one, so what is longer is damaged


class PaceSample(Struct, frozen=True, kw_only=True):
    """What one worker measured in one period.

    Attributes:
        worker: its id.
        at: end of the period.
        seconds: its length.
        handed_over: recipients that were handed over in it.
        throttled: throttle replies in it.
        rate_limit: recipients a second that the worker may send, at its end.
        in_flight: calls in flight at its end.
        latency_ms: moving average of a call.
    """

    worker: str
    at: datetime
    seconds: float
    handed_over: int
    throttled: int
    rate_limit: float
    in_flight: int
    latency_ms: float


class PaceStep(Struct, frozen=True, kw_only=True):
    """What all workers of a run did in one step of its time line.

    Attributes:
        begins_at: when its first sample begins; a sample that lies in several steps is cut at whole minutes or more.
        seconds: from there to the end of its last sample; at least a second.
        handed_over: recipients; a sample that lies in several steps is divided among them by time.
        throttled: throttle replies, as handed_over.
        rate_limit: recipients a second that the workers might send together.
        in_flight: calls in flight of all workers.
        latency_ms: mean of the samples, weighted by what was handed over.
        workers: number of workers that measured in it.
    """

    begins_at: datetime
    seconds: float
    handed_over: float
    throttled: float
    rate_limit: float
    in_flight: float
    latency_ms: float
    workers: int


def choose_step(samples: int) -> float:
    """Return how long the next samples of a run are, in seconds, from the number that it has."""
    return float(STEP_SECONDS * 2 ** (samples // SAMPLES_EACH))


def add_sample(tx: Connection, run: str, sample: PaceSample) -> float:
    """Record a sample, once however often it is tried; return how long the next one is, in seconds."""
    table = pace_sample_table
    samples = tx.execute(select(func.count()).select_from(table).where(table.c.run == run)).scalar_one()
    if samples < MOST_SAMPLES:
        values = {name: getattr(sample, name) for name in sample.__struct_fields__}
        tx.execute(insert_if_absent(tx, table).values(run=run, **values))
    return choose_step(samples + 1)


def remove_samples(tx: Connection, run: str) -> None:
    """Remove the samples of a run."""
    tx.execute(delete(pace_sample_table).where(pace_sample_table.c.run == run))


def list_samples(tx: Connection, run: str) -> list[PaceSample]:
    """Read the samples of a run in the order of time, without those that are damaged."""
    table, names = pace_sample_table.c, PaceSample.__struct_fields__
    rows = tx.execute(select(*(table[name] for name in names)).where(table.run == run).order_by(table.at, table.worker))
    samples = (PaceSample(**dict(zip(names, row, strict=True))) for row in rows)
    return [sample for sample in samples if 0 <= sample.seconds <= LONGEST_SECONDS]


def read_pace(ledger: Ledger, run: str, *, most: int = 500) -> list[PaceStep]:
    """Read the time line of a run: all workers together, in at most so many steps; a step without samples is missing.

    Args:
        ledger: has the run.
        run: its name; a run that is not in the ledger, or was pruned, has no time line.
        most: number of steps.
    """
    with ledger.read() as tx:
        samples = list_samples(tx, run)
    return add_up(samples, most=most)


def add_up(samples: Sequence[PaceSample], *, most: int) -> list[PaceStep]:
    """Add up the samples of all workers by steps of a minute, or longer ones where there would be more than `most`."""
    if not samples:
        return []
    begin = min(sample.at.timestamp() - sample.seconds for sample in samples)
    seconds, end = STEP_SECONDS, max(sample.at.timestamp() for sample in samples)
    while math.ceil(end / seconds) - math.floor(begin / seconds) > most and seconds < end - begin:
        seconds *= 2
    parts: dict[int, list[tuple[PaceSample, float]]] = defaultdict(list)
    for sample in samples:
        for step, share in _divide(sample, seconds):
            parts[step].append((sample, share))
    return [_combine(*_measure(step * seconds, seconds, parts[step]), parts[step]) for step in sorted(parts)]


def _measure(begin: float, seconds: float, parts: Sequence[tuple[PaceSample, float]]) -> tuple[float, float]:
    """Return the time of a step in which there were samples, from the first to the last: begin and end."""
    first = min(sample.at.timestamp() - sample.seconds for sample, _ in parts)
    last = max(sample.at.timestamp() for sample, _ in parts)
    at = min(max(begin, first), begin + seconds - SHORTEST_STEP_SECONDS)
    return at, max(min(begin + seconds, last), at + SHORTEST_STEP_SECONDS)


def _divide(sample: PaceSample, seconds: float) -> list[tuple[int, float]]:
    """Return the steps that a sample lies in, each with its share of the sample; the shares add up to 1."""
    end = sample.at.timestamp()
    begin = end - sample.seconds
    last = max(math.ceil(end / seconds) - 1, math.floor(begin / seconds))
    if sample.seconds < SHORTEST_SECONDS:
        return [(last, 1.0)]
    steps = range(math.floor(begin / seconds), last + 1)
    parts = [(n, min(end, (n + 1) * seconds) - max(begin, n * seconds)) for n in steps]
    whole = sum(part for _, part in parts)
    return [(n, part / whole) for n, part in parts]


def _combine(begin: float, end: float, parts: Sequence[tuple[PaceSample, float]]) -> PaceStep:
    weights: dict[str, float] = defaultdict(float)
    limits: dict[str, float] = defaultdict(float)
    calls: dict[str, float] = defaultdict(float)
    for sample, share in parts:
        weight = max(share * sample.seconds, 1e-6)
        weights[sample.worker] += weight
        limits[sample.worker] += weight * sample.rate_limit
        calls[sample.worker] += weight * sample.in_flight
    sent = sum(share * sample.handed_over for sample, share in parts)
    timed = [(sample.latency_ms, share * sample.handed_over if sent else 1.0) for sample, share in parts]
    return PaceStep(
        begins_at=datetime.fromtimestamp(begin, UTC),
        seconds=end - begin,
        handed_over=sent,
        throttled=sum(share * sample.throttled for sample, share in parts),
        rate_limit=sum(limits[worker] / weights[worker] for worker in weights),
        in_flight=sum(calls[worker] / weights[worker] for worker in weights),
        latency_ms=sum(ms * weight for ms, weight in timed) / sum(weight for _, weight in timed),
        workers=len(weights),
    )
