"""Workers that were stopped together wake together: the account's second holds."""

import os
import signal
from datetime import datetime
from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.world import finish, open_world, wait_for_seconds

from engine.ledger import workers
from engine.ledger.journal import Outcome

RATE, WORKERS, PEOPLE = 60.0, 3, 900
# After it a worker counts as gone; in short, still longer than a heartbeat and a look at the others.
SILENCE_SECONDS = workers.SILENCE_SECONDS if os.environ.get("SOAK") else workers.LONGEST_LOOK_SECONDS + 2.0

JITTER_SECONDS = 0.1  # between the clocks of sender and receiver, on a busy machine


def make_bound(seconds: float) -> float:
    """Return how many messages a sliding window may hold: I6, and the one that each worker may send at once."""
    return RATE * 1.1 * seconds + WORKERS


@pytest.mark.timeout(180)
def test_workers_that_slept_together_keep_the_rate_when_they_wake(tmp_path: Path):
    with open_world(tmp_path) as world:
        world.constants = {"engine.ledger.workers.SILENCE_SECONDS": SILENCE_SECONDS}
        world.write_people(PEOPLE)
        config = world.campaign / "campaign.toml"
        config.write_text(config.read_text() + f"\n[delivery]\nmax_rate = {RATE}\n")
        processes = [world.start_launch() for _ in range(WORKERS)]
        world.wait_for_workers(WORKERS)
        world.wait_for_accepted(120, processes[0])
        # by then each has read the heartbeat of the other
        world.wait_for_accepted(world.accepted_count() + int(4 * RATE), processes[0])
        asleep = []
        for pause in (2.0, SILENCE_SECONDS + 2):  # the others count as alive, or as dead
            for process in processes:
                process.send_signal(signal.SIGSTOP)
            wait_for_seconds(pause)
            asleep.append(world.accepted_count())
            for process in processes:
                process.send_signal(signal.SIGCONT)
            world.wait_for_accepted(asleep[-1] + int(2 * RATE), processes[0])
        ended = [finish(process) for process in processes]
        assert {launch.code for launch in ended} == {0}
        assert check_invariants(world) == {Outcome.SENT: PEOPLE}
        assert asleep[-1] <= PEOPLE - 2 * RATE  # there was enough left to send too fast
        times = sorted(message["at"] for message in world.accepted())[asleep[0] :]
        assert find_fullest(times, 1.0) <= make_bound(1.0 + JITTER_SECONDS)
        assert find_fullest(times, 5.0) <= make_bound(5.0)


def find_fullest(times: list[str], seconds: float) -> int:
    """Count what the fullest sliding window holds."""
    moments = [datetime.fromisoformat(at).timestamp() for at in times]
    begin = largest = 0
    for end, moment in enumerate(moments):
        while moments[begin] <= moment - seconds:
            begin += 1
        largest = max(largest, end - begin + 1)
    return largest
