"""The first signal stops a command that plans or renders, as it stops a launch."""

import signal
from pathlib import Path

import pytest
from support.held import start_planning
from support.world import World, finish, wait_until

COMMANDS = {
    "plan": ("plan", "hello"),
    "preview": ("preview", "hello", "--transport", "outbox"),
    "check": ("check", "hello", "--transport", "outbox"),
    "test": ("test", "hello", "--transport", "outbox", "--to", "you@example.com"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("command", COMMANDS)
def test_first_signal_stops_a_command_while_it_plans(world: World, command: str, number: signal.Signals) -> None:
    world.write_people(20)
    process = start_planning(world, *COMMANDS[command], "--key", "test", "--json")
    process.send_signal(number)
    stopped = finish(process)
    assert stopped.code == 75
    assert stopped.json["error"] == {
        "what": "stopped while the audience was planned, nothing was sent",
        "where": "",
        "remedy": "run the same command again",
        "exit_code": 75,
    }
    assert world.accepted() == []
    assert list(world.run_folder.parent.iterdir()) == []


def test_first_signal_stops_a_preview_while_it_renders(world: World) -> None:
    """Leases that other processes render are not waited for."""
    world.write_people(200_000)
    process = world.start("preview", "hello", "--transport", "outbox", "--key", "test", "--json")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    plan = world.folder / ".mailrun" / "previews" / "hello" / "plan"
    wait_until(lambda: (plan.exists() and children.read_text() != "") or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    stopped = finish(process, seconds=10)
    assert stopped.code == 75
    assert stopped.json["error"]["what"] == "stopped by SIGINT"
