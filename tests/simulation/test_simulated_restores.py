"""A ledger restored from a backup of any moment is recognized before a message goes out a second time.

`SOAK_RESTORE_SEEDS=FIRST-LAST` chooses the seeds; `make soak` runs hundreds.
"""

import os

from support.restores import RestoreStory
from support.simulation import open_stage
from support.totals import add_total

FIRST, LAST = map(int, os.environ.get("SOAK_RESTORE_SEEDS", "0-1").split("-"))


def test_a_ledger_restored_from_any_moment_sends_to_nobody_twice():
    stories = []
    with open_stage() as stage:
        for seed in range(FIRST, LAST + 1):
            story = RestoreStory(seed, stage)
            story.run()
            stories.append(story)
    checked, recognized = sum(s.checked for s in stories), sum(s.recognized for s in stories)
    assert 0 < recognized < checked  # of each it is checked that what was handed over is known, or found to be lost
    add_total(
        f"restored ledgers: {checked:,} backups of {len(stories)} runs, recognized {recognized:,}, duplicates 0,"
        f" lost 0, held in doubt {sum(s.held for s in stories):,}"
    )
