"""On a terminal: a question before a real send, a bar while it lasts, sentences instead of JSON lines."""

import os
import pty
import signal
import subprocess
import sys

from support.world import World


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, world: World, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine", *arguments],
            cwd=world.folder,
            env=world.environment() | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.shown = ""

    def read_until(self, word: str) -> None:
        while word not in self.shown:
            self.shown += os.read(self._master, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def finish(self) -> int:
        try:
            while True:
                self.shown += os.read(self._master, 4096).decode(errors="replace")
        except OSError:  # the terminal is gone with its last process
            os.close(self._master)
        return self.process.wait()


def test_a_new_run_is_asked_about_with_recipients_rate_and_endpoint_and_no_calls_it_off(world: World):
    world.write_people(25)
    world.change_sandbox(max_send_rate=10.0, max_24_hour_send=1000)
    terminal = Terminal(world, "launch", "hello", "--key", "test")
    terminal.read_until("[y/N]")
    assert "Send hello/test to 25 recipients" in terminal.shown
    assert world.server.url in terminal.shown
    assert "at 10 a second" in terminal.shown
    assert "1,000 left today" in terminal.shown
    terminal.type("n\n")
    assert terminal.finish() == 64
    assert "called off, nothing was sent" in terminal.shown
    assert world.accepted() == []
    assert world.run("status", "--json").json == {"runs": []}


def test_yes_sends_behind_a_bar_and_ends_with_the_accounts(world: World):
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
    assert world.accepted() == []
