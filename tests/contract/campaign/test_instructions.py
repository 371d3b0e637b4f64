"""Rendering and serializing a message takes no more instructions than recorded, counted without a clock."""

import os

import pytest

from bench.counted import ADDED_WORK
from bench.instructions import Ratios, count, find_obstacle, find_regressions, read_record

pytestmark = pytest.mark.timeout(600)  # valgrind makes Python some 40 times as slow


@pytest.fixture(scope="module")
def counted() -> Ratios:
    if obstacle := find_obstacle():
        assert not os.environ.get("CI"), obstacle
        pytest.skip(obstacle)
    return count()


def test_message_takes_no_more_instructions_than_recorded(counted: Ratios):
    assert find_regressions(counted, read_record()) == []


def test_guard_reports_added_work_in_one_of_eight_messages(counted: Ratios):
    (found,) = find_regressions(
        {"welcome, single": counted[ADDED_WORK]}, {"welcome, single": counted["welcome, single"]}
    )
    assert found.startswith("welcome, single: ")


def test_guard_allows_a_tenth_more_and_reports_what_exceeds_it():
    recorded = {"welcome, single": 0.5, "welcome, bulk": 0.4}
    assert find_regressions({"welcome, single": 0.549, "welcome, bulk": 0.2}, recorded) == []
    (found,) = find_regressions({"welcome, single": 0.551, "welcome, bulk": 0.2}, recorded)
    assert found.startswith("welcome, single: 0.551 of the yardstick's instructions, +10% against the recorded 0.500")
