"""Killed at every boundary: the Nth fsync, write, send or receive, in a launch and in the launch after it.

`strace` delivers SIGKILL on entering the Nth such system call. In CI some boundaries of each kind; `make soak`
(`SOAK`) sweeps them all, until a launch comes through unhurt.
"""

import random
import shutil
import signal
from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.postgres import Cluster
from support.soak import SOAK
from support.strace import under_strace
from support.totals import add_total
from support.world import World, open_world

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome

RECIPIENTS = 60
# Kind -> the system calls, and how many of them one thread of such a launch makes: with SQLite, and with PostgreSQL.
BOUNDARIES = {
    "fsync": ("fsync,fdatasync", 10, 10),
    "write": ("write,pwrite64,writev", 92, 15),
    "send": ("sendto,sendmsg", 62, 145),
    "receive": ("recvfrom,recvmsg", 106, 188),
}


def launch_killed_at(world: World, calls: str, nth: int) -> bool:
    """Launch, killed at a boundary; False where it never came to it."""
    prefix = under_strace(calls, f"signal=SIGKILL:when={nth}")
    process = world.start_under(prefix, "launch", "hello", "--key", "test", "--json")
    process.communicate(timeout=90)
    return process.returncode == -signal.SIGKILL  # strace ends as its child did


def choose_boundaries(last: int, seed: int) -> list[int]:
    return list(range(1, last + 1)) if SOAK else [random.Random(seed).randrange(2, last)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", BOUNDARIES)
def test_killed_at_any_boundary_nobody_gets_it_twice_and_nobody_is_lost(
    tmp_path: Path, ledger_url: str, kind: str, request: pytest.FixtureRequest
):
    calls, of_sqlite, of_postgres = BOUNDARIES[kind]
    last = of_sqlite if ledger_url.startswith("sqlite") else of_postgres
    kills = duplicates = doubt = runs = 0
    for nth in choose_boundaries(last, seed=len(kind)):
        folder = tmp_path / str(nth)
        folder.mkdir()
        url = ledger_url
        if url.startswith("postgresql"):
            cluster: Cluster = request.getfixturevalue("postgres")
            url = cluster.make_database()
        with open_world(folder, ledger=None if url.startswith("sqlite") else url, latency_seconds=0.01) as world:
            world.write_people(RECIPIENTS)
            hurt = launch_killed_at(world, calls, nth)
            hurt_again = launch_killed_at(world, calls, max(1, nth // 2))  # during the resume
            ended = world.launch()
            assert ended.json["state"] == "finished", ended.stderr
            counts = check_invariants(world, in_doubt_at_most=(hurt + hurt_again) * MOST_WHERE_LATE)
            assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == RECIPIENTS
            kills, runs, doubt = kills + hurt + hurt_again, runs + 1, doubt + counts[Outcome.IN_DOUBT]
    assert kills > 0
    database = "PostgreSQL" if ledger_url.startswith("postgresql") else "SQLite"
    add_total(
        f"killed at the Nth {kind}, {database}: kills {kills}, runs {runs}, recipients {runs * RECIPIENTS:,},"
        f" duplicates {duplicates}, lost 0, in doubt {doubt}"
    )


def test_strace_is_installed():
    assert shutil.which("strace"), "strace is missing: apt-get install strace"
