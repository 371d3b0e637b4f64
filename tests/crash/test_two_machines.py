"""Two network namespaces as two machines, PostgreSQL and the receiving side on a third; one is cut off in mid-run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.credentials import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from support.paths import TESTS
from support.postgres import Cluster, run_cluster
from support.totals import add_total
from support.world import CAMPAIGN, RUN, World, finish

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome

PEOPLE = 3000 if os.environ.get("SOAK") else 1800
# What a run waits for when a machine is gone; in short, the silence of a worker and of a call are the shorter ones.
CONSTANTS: dict[str, float] = (
    {}
    if os.environ.get("SOAK")
    else {
        "engine.ledger.workers.SILENCE_SECONDS": 6.0,
        "engine.delivery.transports.connection.ANSWER_SECONDS": 8.0,
        "engine.delivery.transports.callers.CALL_TIMEOUT_SECONDS": 9,
    }
)
HUB = "10.231.7.1"  # inside namespaces that this test makes; nothing of it leaves the machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S607 - the system's


@contextmanager
def three_machines(tag: str) -> Iterator[tuple[str, str, str]]:
    """A hub with a bridge, and two machines on it."""
    names = (f"mr{tag}h", f"mr{tag}a", f"mr{tag}b")
    with ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        hub, *machines = names
        ip("-n", hub, "link", "add", "br0", "type", "bridge")
        ip("-n", hub, "addr", "add", f"{HUB}/24", "dev", "br0")
        ip("-n", hub, "link", "set", "br0", "up")
        for number, name in enumerate(machines, 2):
            ip("link", "add", f"{name}0", "netns", name, "type", "veth", "peer", "name", f"{name}1", "netns", hub)
            ip("-n", hub, "link", "set", f"{name}1", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"10.231.7.{number}/24", "dev", f"{name}0")
            ip("-n", name, "link", "set", f"{name}0", "up")
        yield names


_SERVE = """
import sys
from engine.sandbox import server
from pathlib import Path
import asyncio, json
# The sandbox serves loopback alone; here it serves machines that are namespaces of this one.
server.is_loopback_name = lambda _: True
async def main():
    settings = server.SandboxSettings(record_folder=Path(sys.argv[1]), host=sys.argv[2], port=8025,
        max_send_rate=150.0, max_24_hour_send=-1.0, latency_seconds=0.05, credentials={sys.argv[3]: sys.argv[4]})
    async with server.Sandbox(settings) as sandbox:
        print(json.dumps(sandbox.url), flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


class Remote:
    """The part of a sandbox that a world needs, for one that runs elsewhere."""

    def __init__(self, url: str) -> None:
        from engine.sandbox.server import REGION  # noqa: PLC0415 - its constant

        self.url, self.region = url, REGION
        self.access_key_id, self.secret_access_key = ACCESS_KEY_ID, SECRET_ACCESS_KEY


@pytest.mark.timeout(300)
def test_machine_cut_off_in_mid_run_is_replaced_without_duplicates(tmp_path: Path):
    with three_machines(str(os.getpid() % 10000)) as (hub, left, right), ExitStack() as stack:
        inside = ("ip", "netns", "exec", hub)
        cluster: Cluster = stack.enter_context(run_cluster(HUB, inside))
        record = tmp_path / "record"
        server = stack.enter_context(
            subprocess.Popen(
                [*inside, sys.executable, "-c", _SERVE, str(record), HUB, ACCESS_KEY_ID, SECRET_ACCESS_KEY],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(server.terminate)
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())
        world = World(tmp_path / "workspace", Remote(url), record, ledger=cluster.make_database())  # type: ignore[arg-type] # as much of it as is used
        stack.callback(world.end)
        world.constants = CONSTANTS
        world.write("campaigns/hello/campaign.toml", CAMPAIGN)
        world.write_people(PEOPLE)
        cut = world.start_under(("ip", "netns", "exec", left), "launch", "hello", "--key", "test", "--json")
        world.wait_for_accepted(100, cut)
        stays = world.start_under(("ip", "netns", "exec", right), "work", RUN, "--json")
        world.wait_for_accepted(600, stays)
        ip("-n", left, "link", "set", f"{left}0", "down")
        ended = finish(stays, seconds=200)
        assert ended.json["state"] == "finished", ended.stderr
        ip("-n", left, "link", "set", f"{left}0", "up")
        zombie = finish(cut, seconds=100)
        assert zombie.json["state"] == "finished", zombie.stderr
        checked = _check(world, hub)
        add_total(
            f"two machines, one cut off: recipients {PEOPLE:,}, duplicates 0, lost 0,"
            f" in doubt {checked[Outcome.IN_DOUBT]} (at most {MOST_WHERE_LATE} in flight)"
        )


def _check(world: World, hub: str) -> dict[Outcome, int]:
    """The ledger is reached from the hub alone: the invariants are checked there."""
    code = (
        "import json, sys; from pathlib import Path; from types import SimpleNamespace\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from support.invariants import read_outcomes, count_received\n"
        "from engine.sandbox.http.record import read_record\n"
        "record = Path(sys.argv[4])\n"
        "world = SimpleNamespace(folder=Path(sys.argv[2]), ledger_url=sys.argv[3],"
        " accepted=lambda: list(read_record(record)))\n"
        "print(json.dumps([{r: o for r, o in read_outcomes(world).items()}, count_received(world)]))\n"
    )
    arguments = [str(TESTS), str(world.folder), world.ledger_url, str(world.record_folder)]
    inside = ["ip", "netns", "exec", hub]
    told = subprocess.run(
        [*inside, sys.executable, "-c", code, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    outcomes, received = json.loads(told.stdout)
    by = {o: {row for row, outcome in outcomes.items() if outcome == o} for o in Outcome}
    assert set(received.values()) == {1}
    assert by[Outcome.SENT] <= set(received) <= by[Outcome.SENT] | by[Outcome.IN_DOUBT]
    assert len(outcomes) == PEOPLE
    assert not by[Outcome.UNSENT]
    assert len(by[Outcome.IN_DOUBT]) <= MOST_WHERE_LATE
    return {o: len(rows) for o, rows in by.items()}
