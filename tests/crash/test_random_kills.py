"""kill -9 at random moments until the run is done; in CI a few, with `make soak` 200 of a run of 20,000 recipients."""

import random
from pathlib import Path

import pytest
from support.doubt import AT_MOST_WHERE_LATE
from support.invariants import check_invariants
from support.soak import SOAK, choose
from support.totals import add_total
from support.world import open_world

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome

RECIPIENTS, KILLS = (20_000, 200) if SOAK else (2_000, 6)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("ledger_url", choose("postgresql", "sqlite"), indirect=True)
def test_run_killed_at_random_moments_reaches_everybody_once(tmp_path: Path, ledger_url: str):
    dice, ledger = random.Random(RECIPIENTS), None if ledger_url.startswith("sqlite") else ledger_url
    # So slow that the kills spread over the whole run.
    with open_world(tmp_path, ledger=ledger, latency_seconds=0.02, max_send_rate=2_000.0) as world:
        world.constants = AT_MOST_WHERE_LATE
        world.write_people(RECIPIENTS)
        moments = sorted(dice.sample(range(RECIPIENTS - RECIPIENTS // 20), KILLS))
        for moment in moments:
            process = world.start_launch()
            world.wait_for_accepted(moment, process)
            process.kill()
            process.communicate()
        for _ in range(5):  # resumes that change nothing more
            last = world.launch()
            assert last.json["state"] == "finished", last.stderr
        counts = check_invariants(world, in_doubt_at_most=KILLS * MOST_WHERE_LATE)
        assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == RECIPIENTS
        database = "SQLite" if ledger is None else "PostgreSQL"
        add_total(
            f"random kills, {database}: kills {KILLS}, recipients {RECIPIENTS:,}, duplicates 0, lost 0,"
            f" in doubt {counts[Outcome.IN_DOUBT]:,} (at most {KILLS * MOST_WHERE_LATE:,} were in flight)"
        )
