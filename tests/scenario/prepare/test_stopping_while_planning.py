"""The first signal stops a command that plans, as it stops a launch."""

import signal

import pytest
from support.world import World, finish

COMMANDS = {
    "plan": ("plan", "hello"),
    "preview": ("preview", "hello", "--transport", "outbox"),
    "check": ("check", "hello", "--transport", "outbox"),
    "test": ("test", "hello", "--transport", "outbox", "--to", "you@example.com"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("command", COMMANDS)
def test_first_signal_stops_a_command_while_it_plans(world: World, command: str, number: signal.Signals) -> None:
    world.write_people(400_000)
    process = world.start(*COMMANDS[command], "--key", "test", "--json")
    world.wait_for_staging(process)
    process.send_signal(number)
    stopped = finish(process, seconds=10)
    assert stopped.code == 75
    assert stopped.json["error"] == {
        "what": "stopped while the audience was planned, nothing was sent",
        "where": "",
        "remedy": "run the same command again",
        "exit_code": 75,
    }
    assert world.accepted() == []
    assert list(world.run_folder.parent.iterdir()) == []
