"""A run that ends with messages in doubt."""

from engine.delivery.pacing.concurrency import FEWEST, MOST_WHERE_LATE
from support.world import World

# A kill leaves no more in doubt than this. Without it more calls are in flight where only the receiving side is slow.
AT_MOST_WHERE_LATE: dict[str, float] = {"engine.delivery.pacing.concurrency.MOST": MOST_WHERE_LATE}


def leave_in_doubt(world: World, people: int = 300, before: int = 50) -> int:
    """Kill a launch whose calls are all unanswered, then finish the run; returns the number of unanswered calls."""
    world.write_people(people)
    world.fault("no_answer", count=None, after=before)
    process = world.start_launch()
    world.wait_for_accepted(before + FEWEST, process)
    hanging = world.wait_for_silence(process) - before
    process.kill()
    process.communicate()
    world.clear_faults()
    assert world.launch().code == 3
    return hanging
