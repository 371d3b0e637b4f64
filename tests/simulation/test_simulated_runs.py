"""Thousands of runs with faults from one seed each; a failing seed is printed and fails again.

`SOAK_SEEDS=FIRST-LAST` chooses the seeds; `make soak` runs thousands.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from support.paths import TESTS
from support.simulation import RECIPIENTS, simulate
from support.totals import add_total

from engine.ledger.journal import Outcome

FIRST, LAST = map(int, os.environ.get("SOAK_SEEDS", "0-59").split("-"))
_PROCESSES = 2


@pytest.mark.timeout(3600)
def test_the_invariants_hold_in_every_simulated_run():
    begun = time.monotonic()
    parts = [range(FIRST + i, LAST + 1, _PROCESSES) for i in range(_PROCESSES)]
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        told = [one for part in pool.map(simulate, parts) for one in part]
    outcomes: Counter[Outcome] = Counter()
    for one in told:
        outcomes.update(one.outcomes)
    assert len(told) == LAST - FIRST + 1
    assert outcomes.total() == RECIPIENTS * len(told)
    add_total(
        f"simulated runs: {len(told):,} ({len(told) / (time.monotonic() - begun) * 60:,.0f} a minute),"
        f" kills {sum(t.kills for t in told):,}, stops {sum(t.stops for t in told):,},"
        f" recipients {outcomes.total():,}, duplicates 0, lost 0, in doubt {outcomes[Outcome.IN_DOUBT]:,}"
    )


def test_seed_repeats_the_same_run_in_another_process():
    code = "import sys; from support.simulation import main; main(int(sys.argv[1]), 5)"
    command = [sys.executable, "-c", code, str(FIRST)]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    told = {
        subprocess.run(command, check=True, capture_output=True, env=environment | {"PYTHONHASHSEED": salt}).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1
    assert told.pop().count(b"seed") == 5


def test_simulation_finds_a_worker_that_forgets_its_intents(monkeypatch: pytest.MonkeyPatch):
    """A mutant: without recorded intents a recipient gets it twice, and the simulation finds it."""
    from engine.ledger import journal  # noqa: PLC0415 - the mutant's place
    from engine.ledger import recorder as recording  # noqa: PLC0415

    encode = journal.encode_entries
    monkeypatch.setattr(
        recording, "encode_entries", lambda entries: encode([e for e in entries if not isinstance(e, journal.Intent)])
    )
    with pytest.raises(AssertionError, match=r"I[234]"):
        simulate(range(100))
