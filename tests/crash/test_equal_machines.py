"""Two machines of one name, with PostgreSQL and a shared folder: neither takes the other's worker for dead."""

import os
import shlex
from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.postgres import Cluster
from support.soak import choose
from support.world import RUN, finish, open_world

from engine.ledger.journal import Outcome

BOOT = "/proc/sys/kernel/random/boot_id"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="making mount namespaces needs root")


def as_machine(boot: Path) -> tuple[str, ...]:
    """Return the beginning of a command that runs on a machine of this name, with its own memory and boot id."""
    mount = f'mount -t tmpfs none /dev/shm && mount --bind {shlex.quote(str(boot))} {BOOT} && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", mount, "sh")


@pytest.mark.parametrize("boots", choose("equal", "different"))
def test_workers_of_machines_with_equal_names_share_the_run_and_the_rate(boots: str, tmp_path: Path, postgres: Cluster):
    with open_world(tmp_path, ledger=postgres.make_database(), max_send_rate=200.0) as world:
        world.write_people(1600)
        for name in ("left", "right"):
            (tmp_path / name).write_text(f"11111111-2222-3333-4444-55555555555{0 if boots == 'equal' else len(name)}\n")
        left = world.start_under(as_machine(tmp_path / "left"), "launch", "hello", "--key", "test", "--json")
        world.wait_for_accepted(50, left)
        right = world.start_under(as_machine(tmp_path / "right"), "work", RUN, "--json")
        ended = [finish(left), finish(right)]
        assert [one.code for one in ended] == [0, 0], [one.stderr for one in ended]
        assert check_invariants(world) == {Outcome.SENT: 1600}
        assert world.sandbox_state()["largest_second"] <= 200 * 1.1 + 200
