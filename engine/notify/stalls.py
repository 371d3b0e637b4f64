"""Stalls: runs that should be sent, and are not.

A run in the state `sending` has stalled if none of its workers has been seen for GONE_SECONDS, or if it has workers and
nothing was committed for the time that `[notify] stalled_after` names, while at least one worker waits for nothing: not
for the sending window, a quota, the warm-up, the canary or other workers.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.notices.occurrences import NoticeEvent, record_occurrence
from engine.ledger.notices.stall_signs import StallSigns, read_stall_signs
from engine.ledger.schema import RunState
from engine.notify.notice import write_time

GONE_SECONDS = 60.0


class Stall(Struct, frozen=True):
    """A stall: its run, its id, which is the same for every process that finds it, and the reason."""

    run: str
    id: str
    reason: str


def judge_signs(signs: StallSigns, stalled_seconds: float) -> Stall | None:
    """Return the stall of a run; None where it has not stalled, or the stall was recorded before."""
    if signs.progress_at is None:
        return None
    last = signs.progress_at
    if not signs.live:
        last = last if signs.seen_at is None else max(last, signs.seen_at)
        limit = GONE_SECONDS
        reason = f"no worker sends for the run; it was alive at {write_time(last)} for the last time"
    else:
        limit = stalled_seconds
        if not any(one.get("waits_for") is None and one.get("seconds", 0) >= limit for one in signs.vitals):
            return None
        reason = f"its workers are alive, and nothing was recorded for {limit / 60:g} minutes, since {write_time(last)}"
    if (signs.now - last).total_seconds() < limit or (signs.reported_at is not None and signs.reported_at > last):
        return None
    return Stall(signs.run, _make_id(signs.run, last), reason)


def _make_id(run: str, last: datetime) -> str:
    return hashlib.sha256(f"{run} stalled {last.isoformat()}".encode()).hexdigest()[:32]


def record_stalls(ledger: Ledger, find_seconds: Callable[[str], float]) -> list[Stall]:
    """Record the stalls of all runs, each once.

    Args:
        ledger: has the runs.
        find_seconds: run -> how long it may send nothing.
    """
    with ledger.read() as tx:
        signs = read_stall_signs(tx)
    stalls = [stall for each in signs if (stall := judge_signs(each, find_seconds(each.run))) is not None]
    recorded = []
    for stall in stalls:
        with ledger.write() as tx:
            runs.lock_run(tx, stall.run)
            run = runs.find_run(tx, stall.run)
            if run is not None and run.state is RunState.SENDING:
                args = (stall.run, NoticeEvent.STALLED, RunState.SENDING, stall.reason, stall.id)
                recorded += [stall] if record_occurrence(tx, *args) else []
    return recorded
