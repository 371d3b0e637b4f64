"""Work in a child process: its memory, its CPU time, and the error when the system ends it."""

import os
import signal
import sys
from pathlib import Path

import pytest

from engine.errors import CancelledError, DataError, MailrunError
from engine.system.bounded_process import ProcessEndedError, Steps, run_bounded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a child")
MEMORY = 64 * 1024**2


def test_a_child_returns_and_raises_what_its_work_does() -> None:
    parent = os.getpid()
    assert run_bounded(lambda _: (os.getpid() != parent, "x" * 200_000), memory=MEMORY, seconds=1) == (
        True,
        "x" * 200_000,
    )
    with pytest.raises(KeyError, match="a name"):
        run_bounded(lambda _: dict[str, int]()["a name"], memory=MEMORY, seconds=1)


def test_memory_is_bounded_beyond_what_the_parent_has() -> None:
    with pytest.raises(MemoryError):
        run_bounded(lambda _: len(bytes(2 * MEMORY)), memory=MEMORY, seconds=1)
    assert run_bounded(lambda _: len(bytes(MEMORY // 4)), memory=MEMORY, seconds=1) == MEMORY // 4


@pytest.mark.parametrize("error", [DataError("a", where="b", remedy="c"), CancelledError()])
def test_an_error_for_people_comes_out_of_another_process_whole(error: MailrunError) -> None:
    def fail(_: Steps) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        run_bounded(fail, memory=MEMORY, seconds=1)
    assert (str(raised.value), raised.value.where) == (str(error), error.where)


def compare_forever(steps: Steps) -> bool:
    """One call into C that ends after 2**60 steps."""
    steps.begin(7)
    first: list[object] = []
    second: list[object] = []
    for _ in range(60):
        first, second = [first, first], [second, second]
    return first == second


def test_one_call_into_c_that_does_not_end_is_ended_and_located() -> None:
    with pytest.raises(ProcessEndedError) as raised:
        run_bounded(compare_forever, memory=MEMORY, seconds=0)
    assert raised.value.took_too_long
    assert raised.value.number == 7
    assert "in compare_forever" in raised.value.trace


def test_a_child_that_the_system_kills_is_reported() -> None:
    with pytest.raises(ProcessEndedError) as raised:
        run_bounded(lambda _: os.kill(os.getpid(), signal.SIGKILL), memory=MEMORY, seconds=1)
    assert (raised.value.signal, raised.value.took_too_long, raised.value.number) == (signal.SIGKILL, False, None)


def test_a_child_leaves_nothing_open() -> None:
    def look() -> tuple[list[str], list[str]]:
        children = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        return sorted(file.name for file in Path("/proc/self/fd").iterdir()), sorted(" ".join(children).split())

    before = look()
    run_bounded(lambda _: None, memory=MEMORY, seconds=1)
    assert look() == before
