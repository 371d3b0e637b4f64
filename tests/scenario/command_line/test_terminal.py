"""On a terminal: a question before a real send, a bar while it lasts, sentences instead of JSON lines."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

from support.invariants import check_invariants
from support.world import CAMPAIGN, RUN, World, finish, open_world

from engine.ledger.journal import Outcome

# What `nohup` does for a program whose output is the terminal's anyway.
IGNORES_HANG_UP = (
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(1, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])",
)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, world: World, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "engine", *arguments],
            cwd=world.folder,
            env=world.environment() | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            text=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - so that its end is a hang-up
        )
        os.close(slave)
        self.shown = ""

    def read_until(self, word: str) -> None:
        while word not in self.shown:
            self.shown += os.read(self._master, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        """Close the terminal's window."""
        os.close(self._master)

    def finish(self) -> int:
        try:
            while True:
                self.shown += os.read(self._master, 4096).decode(errors="replace")
        except OSError:  # the terminal is gone with its last process
            os.close(self._master)
        return self.process.wait()


def test_new_run_is_confirmed_with_recipients_rate_and_endpoint(world: World):
    world.write_people(25)
    with (world.folder / "audiences" / "people.csv").open("a") as people:
        people.write("person1@example.com,Again\nbroken,B\n")
    world.change_sandbox(max_send_rate=10.0, max_24_hour_send=1000)
    world.settings["TZ"] = "UTC"
    terminal = Terminal(world, "launch", "hello", "--key", "test")
    terminal.read_until("[y/N]")
    assert "Send hello/test to 25 recipients" in terminal.shown
    assert world.server.url in terminal.shown
    assert "at 10 a second" in terminal.shown
    assert "1,000 left today" in terminal.shown
    for line in (
        f"endpoint  {world.server.url} (not AWS), region us-east-1",
        "from      Acme <news@acme.example>",
        "excluded  1 invalid address, 1 duplicate, of 27 rows read",
        "rate      at 10 a second at most, about 2 s",
    ):
        assert line in terminal.shown
    assert re.search(r"done at about \d\d:\d\d UTC", terminal.shown)
    terminal.type("n\n")
    assert terminal.finish() == 64
    assert re.search(r"subject   Hello Name \d+\s", terminal.shown)
    assert "\nCancelled: nothing was sent." in terminal.shown
    assert "error:" not in terminal.shown
    assert world.accepted() == []
    assert world.run("status", "--json").json == {"runs": []}


def test_the_question_shows_how_many_recipients_are_known_to_fail(world: World):
    world.write("audiences/people.csv", "email,first_name,tz\na@b.example,A,UTC\nc@d.example,C,nowhere\n")
    window = '[window]\nfrom = "00:00"\nto = "23:59"\ntimezone = "column:tz"\n'
    world.write("campaigns/hello/campaign.toml", CAMPAIGN + window)
    terminal = Terminal(world, "launch", "hello", "--key", "test")
    terminal.read_until("[y/N]")
    assert "failing   1 recipient: see the warnings above" in terminal.shown
    assert 'tz has "nowhere", which is not a time zone' in terminal.shown
    terminal.type("y\n")
    assert terminal.finish() == 3
    assert check_invariants(world) == {Outcome.SENT: 1, Outcome.FAILED: 1}


def test_watched_run_is_drawn_again_in_its_place(world: World):
    world.write_people(200)
    world.change_sandbox(max_send_rate=40.0)
    launch = world.start_launch()
    world.wait_for_accepted(10, launch)
    watching = Terminal(world, "status", RUN, "--watch")
    assert watching.finish() == 0
    assert finish(launch).code == 0
    before, *pictures = watching.shown.split("\x1b[H\x1b[J")
    assert before.strip() == ""
    assert len(pictures) >= 2
    assert all(RUN in picture for picture in pictures)
    assert "of 200 recipients" in pictures[0]
    assert "finished" in pictures[-1]
    assert "finished" not in pictures[0]


def test_yes_sends_with_a_progress_bar_and_prints_the_accounts(world: World):
    world.write_people(300)
    terminal = Terminal(world, "launch", "hello", "--key", "test")
    terminal.read_until("[y/N]")
    terminal.type("y\n")
    assert terminal.finish() == 0
    assert "300/300" in terminal.shown
    assert "balanced: 300 read" in terminal.shown
    assert '"event"' not in terminal.shown


def test_ctrl_c_at_the_question_calls_the_launch_off(world: World):
    world.write_people(3)
    terminal = Terminal(world, "launch", "hello", "--key", "test")
    terminal.read_until("[y/N]")
    terminal.process.send_signal(signal.SIGINT)  # what the terminal makes of Ctrl-C
    assert terminal.finish() == 75
    assert "nothing was sent" in terminal.shown
    assert "in flight" not in terminal.shown
    assert world.accepted() == []


def test_a_closed_terminal_stops_the_run_in_order(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=200.0) as world:
        world.write_people(3000)
        terminal = Terminal(world, "launch", "hello", "--key", "test", "--yes")
        world.wait_for_accepted(100, terminal.process)
        terminal.hang_up()
        assert terminal.process.wait(60) == 75
        accounts = world.run("status", RUN, "--json").json
        assert (accounts["state"], accounts["reason"]) == ("paused", "stopped by SIGHUP")
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0


def test_a_dead_terminal_under_nohup_changes_nothing(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=400.0) as world:
        world.write_people(600)
        terminal = Terminal(world, "launch", "hello", "--key", "test", "--yes", prefix=IGNORES_HANG_UP)
        world.wait_for_accepted(50, terminal.process)
        terminal.hang_up()
        assert terminal.process.wait(60) == 0
        assert check_invariants(world) == {Outcome.SENT: 600}


def test_a_full_disk_under_stdout_and_stderr_does_not_hide_the_exit_code(world: World):
    world.write_people(30)
    world.fault("reject", match="person3@")
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        for streams in ({"stdout": full, "stderr": subprocess.PIPE}, {"stdout": full, "stderr": full}):
            command = world.command("launch", "hello", "--key", f"full-{len(world.accepted())}", "--json")
            told = subprocess.run(command, cwd=world.folder, env=world.environment(), check=False, text=True, **streams)
            assert told.returncode == (3 if len(world.accepted()) == 29 else 0)
            if told.stderr is not None:
                assert "the result could not be printed: No space left on device" in told.stderr
        assert len(world.accepted()) == 59
        looked = subprocess.run(
            world.command("status"), check=False, cwd=world.folder, env=world.environment(), stdout=full
        )
        assert looked.returncode == 75  # it does nothing but print
