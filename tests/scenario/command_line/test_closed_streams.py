"""A standard stream is closed, as some schedulers start a job: no question, no output, and a complete run."""

import subprocess

import pytest
from support.invariants import check_invariants
from support.world import World

from engine.ledger.journal import Outcome


def run_closed(world: World, closing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", *world.command(*arguments)]
    return subprocess.run(
        command,
        cwd=world.folder,
        env=world.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_launch_sends_when_a_standard_stream_is_closed(world: World, closing: str):
    world.write_people(30)
    ended = run_closed(world, closing, "launch", "hello", "--key", "test", "--workers", "2", "--json")
    assert ended.returncode == 0, ended.stderr
    assert check_invariants(world) == {Outcome.SENT: 30}
    assert (ended.stdout == "") == (">&-" in closing.split())


def test_commands_that_ask_do_not_ask_when_stdin_is_closed(world: World):
    world.write("list.csv", "email,reason\nann@example.com,unsubscribe\n")
    assert world.run("suppress", "import", "list.csv").code == 0
    refused = run_closed(world, "<&-", "suppress", "remove", "ann@example.com")
    assert refused.returncode == 64, refused.stderr
    assert "--yes" in refused.stderr
    world.write_people(3)
    assert world.launch().code == 0
    pruned = run_closed(world, "<&-", "prune", "--older-than", "0h")
    assert pruned.returncode == 0, pruned.stderr
