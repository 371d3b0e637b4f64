"""Workers that were stopped together wake together: the account's second holds."""

import signal
import time
from datetime import datetime
from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.world import finish, open_world

from engine.ledger.journal import Outcome
from engine.ledger.workers import SILENCE_SECONDS

RATE, WORKERS = 60.0, 3


@pytest.mark.timeout(180)
def test_workers_that_slept_together_keep_the_rate_when_they_wake(tmp_path: Path):
    with open_world(tmp_path) as world:
        world.write_people(900)
        config = world.campaign / "campaign.toml"
        config.write_text(config.read_text() + f"\n[delivery]\nmax_rate = {RATE}\n")
        processes = [world.start_launch() for _ in range(WORKERS)]
        world.wait_for_workers(WORKERS)
        world.wait_for_accepted(120, processes[0])
        world.wait_for_accepted(world.accepted_count() + int(4 * RATE), processes[0])  # they know of each other
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        time.sleep(SILENCE_SECONDS + 3)
        asleep = world.accepted_count()
        for process in processes:
            process.send_signal(signal.SIGCONT)
        ended = [finish(process) for process in processes]
        assert {launch.code for launch in ended} == {0}
        assert check_invariants(world) == {Outcome.SENT: 900}
        times = sorted(message["at"] for message in world.accepted())
        assert asleep < 900
        assert find_largest_second(times[asleep:]) <= RATE * 1.2 + 2 * WORKERS


def find_largest_second(times: list[str]) -> int:
    """Count what the fullest sliding second holds."""
    moments = [datetime.fromisoformat(at).timestamp() for at in times]
    begin = largest = 0
    for end, moment in enumerate(moments):
        while moments[begin] <= moment - 1.0:
            begin += 1
        largest = max(largest, end - begin + 1)
    return largest
