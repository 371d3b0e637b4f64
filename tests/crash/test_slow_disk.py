"""Killed on a disk that takes its time: in doubt is what was in flight and one group, not what was to be recorded."""

import os
import signal
from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.recorded import read_journal
from support.strace import under_strace
from support.world import RUN, World, open_world, wait_until

from engine.ledger import leases
from engine.ledger.database import open_ledger
from engine.ledger.journal import Intent, decode_entries, replay

RECIPIENTS = 6_000
RATE = 1_500.0
IN_FLIGHT = 1 * 50  # the rate asks for 30 calls of 50 a second, and an answer takes 20 ms
GROUP = 1_000  # twice what accumulates at the rate while a commit takes two flushes of 150 ms


def read_doubt_and_largest_group(world: World) -> tuple[set[int], int]:
    """Read whose answer is not recorded, and how many intents the largest commit holds."""
    ledger, doubt, largest = open_ledger(world.ledger_url), set[int](), 0
    try:
        with ledger.read() as tx:
            for lease in leases.list_leases(tx, RUN):
                if lease.settlement is None:
                    values = read_journal(tx, RUN, lease.ordinal)
                    doubt |= replay(values).open_intents
                    counts = [sum(isinstance(entry, Intent) for entry in decode_entries(value)) for value in values]
                    largest = max([largest, *counts])
    finally:
        ledger.close()
    return doubt, largest


@pytest.mark.timeout(300)
def test_a_kill_on_a_slow_disk_leaves_one_group_in_doubt(tmp_path: Path):
    prefix = under_strace("fsync,fdatasync", "delay_exit=150000")
    with open_world(tmp_path, latency_seconds=0.02, max_send_rate=RATE) as world:
        world.write_people(RECIPIENTS)
        config = world.campaign / "campaign.toml"
        config.write_text(config.read_text() + '\n[delivery]\ncall = "bulk"\n')
        known, in_doubt = set[int](), 0
        for part in (0.2, 0.45):
            tracer = world.start_under(prefix, "launch", "hello", "--key", "test", "--json", "--workers", "1")
            world.wait_for_accepted(int(RECIPIENTS * part), tracer)
            for child in find_children(tracer.pid):
                os.kill(child, signal.SIGKILL)
            tracer.communicate(timeout=60)
            doubt, largest = read_doubt_and_largest_group(world)
            assert largest <= GROUP
            assert len(doubt - known) <= 1.5 * IN_FLIGHT + largest
            in_doubt, known = in_doubt + len(doubt - known), known | doubt
        ended = world.launch()
        assert ended.json["state"] == "finished", ended.stderr
        check_invariants(world, in_doubt_at_most=in_doubt)


def find_children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task/{parent}/children")
    wait_until(lambda: bool(tasks.read_text().split()))
    return [int(pid) for pid in tasks.read_text().split()]
