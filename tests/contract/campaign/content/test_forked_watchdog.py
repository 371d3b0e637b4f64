"""The time limit in a forked process, which has no watching thread at first."""

import os
from contextlib import suppress
from time import thread_time

import pytest

from engine.campaign.content.watchdog import Watchdog


def work_for(seconds: float) -> None:
    began = thread_time()
    while thread_time() - began < seconds:
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_work_in_a_forked_process_is_interrupted() -> None:
    watchdog = Watchdog(0.1)
    watchdog.run(work_for, 0)
    child = os.fork()
    if not child:
        with suppress(BaseException):
            watchdog.run(work_for, 10)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
