"""A command that stays in its planning, so that a test can stop or kill it there, however fast the planner is."""

import subprocess

from support.world import World, wait_until

_PLAN_AND_STAY = """
import pathlib, threading
from engine.run.prepare import planning

plan_audience = planning.plan_audience

def plan_and_stay(**arguments):
    plan_audience(**arguments)
    pathlib.Path({planned!r}).touch()
    threading.Event().wait()

planning.plan_audience = plan_and_stay
"""


def start_planning(world: World, *arguments: str) -> subprocess.Popen[str]:
    """Start a command; returns when the files of its plan are written. Then it waits, and its planning never ends."""
    planned = world.folder.parent / "planned"
    world.before = _PLAN_AND_STAY.format(planned=str(planned))
    process = world.start(*arguments)
    world.before = ""
    wait_until(lambda: planned.exists() or process.poll() is not None)
    return process
