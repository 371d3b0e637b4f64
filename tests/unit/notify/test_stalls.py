"""What counts as a stall."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.ledger.notices.stall_signs import StallSigns
from engine.notify.stalls import judge_signs

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
BUSY = {"waits_for": None, "seconds": 5000.0}
WAITS = {"waits_for": "the sending window", "seconds": 5000.0}
FRESH = {"waits_for": None, "seconds": 5.0}


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def signs(**more: Any) -> StallSigns:
    given: dict[str, Any] = {
        "run": "hello/test",
        "now": NOW,
        "progress_at": ago(1000),
        "seen_at": ago(1),
        "live": 1,
        "vitals": [BUSY],
        "reported_at": None,
    }
    return StallSigns(**given | more)


@pytest.mark.parametrize(
    ("given", "stalls"),
    [
        ({}, True),
        ({"progress_at": ago(899)}, False),
        ({"progress_at": None}, False),
        ({"vitals": [WAITS]}, False),  # for its window, a quota, the canary
        ({"vitals": [WAITS, BUSY]}, True),
        ({"vitals": [FRESH]}, False),  # a worker that has just begun after a long pause
        ({"vitals": []}, False),
        ({"reported_at": ago(50)}, False),  # once
        ({"reported_at": ago(1001)}, True),  # it has sent since, and stalls again
        ({"live": 0, "vitals": [], "seen_at": ago(61)}, True),
        ({"live": 0, "vitals": [], "seen_at": ago(59)}, False),  # a pod that starts again
        ({"live": 0, "vitals": [], "seen_at": None}, True),
        ({"live": 0, "vitals": [], "seen_at": ago(61), "reported_at": ago(60)}, False),
        ({"live": 0, "vitals": [], "seen_at": ago(61), "reported_at": ago(700)}, True),  # others joined since
    ],
)
def test_run_stalls_when_nobody_sends_or_nothing_is_recorded(given: dict[str, Any], stalls: object):
    assert (judge_signs(signs(**given), 900.0) is not None) is stalls


def test_stall_has_one_id_for_all_processes_and_says_why():
    first, later = judge_signs(signs(), 900.0), judge_signs(signs(now=NOW + timedelta(seconds=9)), 900.0)
    assert first is not None
    assert later is not None
    assert first.id == later.id
    assert "nothing was recorded for 15 minutes" in first.reason
    gone = judge_signs(signs(live=0, seen_at=ago(70)), 900.0)
    assert gone is not None
    assert gone.id != first.id
    assert "no worker sends for the run" in gone.reason
