"""A small world: a workspace, a sandbox that it reaches over HTTP, and the command line as a process."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import delete, func, select

from engine.ledger.database import open_ledger
from engine.ledger.schema import worker_table
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings
from support.commands import ForkedCommand
from support.credentials import CREDENTIALS

RUN = "hello/test"
LONGEST_SECONDS = 90.0  # of any command of a story

CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello {{ first_name }}"
kind = "transactional"

[audience]
source = "audiences/people.csv"

[content]
text = "body.txt.j2"
"""

# Variables that are read when they are used, and not when the interpreter or a library starts.
_READ_WHEN_USED = ("AWS_", "MAILRUN_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy")
_WITH_CONSTANTS = """
import importlib, json, sys
for name, value in json.loads(sys.argv.pop(1)).items():
    module, _, constant = name.rpartition(".")
    module = importlib.import_module(module)
    assert type(getattr(module, constant)) is type(value), name
    setattr(module, constant, value)
from engine.cli.main import main
main()
"""


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> "Printed":
        assert self.stdout, f"exit code {self.code}, nothing printed: {self.stderr}"
        document = json.loads(self.stdout)
        assert isinstance(document, dict)
        return Printed(document, self)


class Printed(dict[str, Any]):
    """The document that a command printed; looking up a key that it lacks tells how the command ended."""

    def __init__(self, document: dict[str, Any], finished: Finished) -> None:
        super().__init__(document)
        self._finished = finished

    def __missing__(self, key: str) -> Any:
        raise AssertionError(f"no {key} in what was printed: {self._finished}")


class World:
    """A workspace with the campaign `hello`, and the sandbox that its launches reach through AWS's own settings."""

    def __init__(
        self,
        folder: Path,
        server: EmbeddedSandbox,
        record_folder: Path,
        *,
        ledger: str | None = None,
    ) -> None:
        self.folder = folder
        self.server = server
        self.record_folder = record_folder
        self._ledger = ledger
        self.settings: dict[str, str] = {}  # of the environment of every command, such as MAILRUN_STORE
        self.constants: dict[str, float] = {}  # of the engine, such as a timeout, which a story shortens
        self.before = ""  # a program that every command runs first, such as one that makes the store slow
        self.campaign = folder / "campaigns" / "hello"
        self.campaign.mkdir(parents=True)
        (folder / "audiences").mkdir()
        self._processes: list[subprocess.Popen[str]] = []
        self.write("campaigns/hello/campaign.toml", CAMPAIGN)
        self.write("campaigns/hello/body.txt.j2", "Dear {{ first_name }}, how are you?\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def write_people(self, count: int, domain: str = "example.com") -> None:
        rows = "".join(f"person{i}@{domain},Name {i}\n" for i in range(count))
        self.write("audiences/people.csv", "email,first_name\n" + rows)

    @property
    def run_folder(self) -> Path:
        return self.folder / ".mailrun" / "runs" / RUN

    @property
    def ledger_url(self) -> str:
        return self._ledger or f"sqlite:///{self.folder / '.mailrun' / 'ledger.db'}"

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MAILRUN_"))}
        kept |= {"MAILRUN_REPORT_AT_END": "false"}  # it takes a fifth of a second; stories about reports set it
        kept |= {"MAILRUN_LEDGER": self._ledger} if self._ledger else {}
        return (
            kept
            | self.settings
            | {
                "AWS_ENDPOINT_URL_SESV2": self.server.url,
                "AWS_ACCESS_KEY_ID": self.server.access_key_id,
                "AWS_SECRET_ACCESS_KEY": self.server.secret_access_key,
                "AWS_DEFAULT_REGION": self.server.region,
                "AWS_CONFIG_FILE": str(self.folder / "no-aws-config"),
                "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "no-aws-credentials"),
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        )

    def command(self, *arguments: str) -> list[str]:
        if not self.constants and not self.before:
            return [sys.executable, "-m", "engine", *arguments]
        return [sys.executable, "-c", self.before + _WITH_CONSTANTS, json.dumps(self.constants), *arguments]

    def start(self, *arguments: str, folder: Path | None = None, **environment: str | None) -> subprocess.Popen[str]:
        """Start a command; variables of `environment` are set, or removed where they are None."""
        changed = self.environment() | environment
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=folder or self.folder,
            env={name: value for name, value in changed.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def fork(self, *arguments: str, folder: Path | None = None, **environment: str | None) -> subprocess.Popen[str]:
        """As `start`, without the time that imports take; starts it where a variable may affect the interpreter."""
        changed = self.environment() | environment
        new = {name for name in changed.keys() | os.environ.keys() if changed.get(name) != os.environ.get(name)}
        is_parent_watched = "--exit-with-parent" in arguments  # which one that is was read by an import
        is_plain = all(name.startswith(_READ_WHEN_USED) for name in new)
        if self.constants or self.before or is_parent_watched or not is_plain:
            return self.start(*arguments, folder=folder, **environment)
        settings = {name: value for name, value in changed.items() if value is not None}
        process = ForkedCommand(arguments, folder or self.folder, settings)
        self._processes.append(process)
        return process

    def end(self) -> None:
        """End every command that a failed story left behind."""
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def start_under(self, prefix: Sequence[str], *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command under another program, such as strace."""
        process = subprocess.Popen(
            [*prefix, *self.command(*arguments)],
            cwd=self.folder,
            env=self.environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def run(self, *arguments: str, folder: Path | None = None, **environment: str | None) -> Finished:
        """Run a command to its end; with a fresh interpreter where a variable may affect the interpreter itself."""
        return finish(self.fork(*arguments, folder=folder, **environment))

    def launch(self, *arguments: str) -> Finished:
        return self.run("launch", "hello", "--key", "test", "--json", *arguments)

    def start_launch(self, *arguments: str) -> subprocess.Popen[str]:
        return self.fork("launch", "hello", "--key", "test", "--json", *arguments)

    def accepted(self) -> list[dict[str, Any]]:
        """Read what the sandbox accepted: the receiving side's own record."""
        return list(read_record(self.record_folder))

    def accepted_count(self) -> int:
        path = self.record_folder / "accepted.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait_for_accepted(self, count: int, process: subprocess.Popen[str]) -> None:
        wait_until(lambda: self.accepted_count() >= count or process.poll() is not None, process)

    def wait_for_silence(self, process: subprocess.Popen[str], seconds: float = 2.0) -> int:
        """Wait until nothing more has been accepted for a while; returns how many were."""
        seen = [(time.monotonic(), self.accepted_count())]

        def is_silent() -> bool:
            count = self.accepted_count()
            if count != seen[-1][1]:
                seen.append((time.monotonic(), count))
            return time.monotonic() - seen[-1][0] > seconds or process.poll() is not None

        wait_until(is_silent, process)
        return seen[-1][1]

    def wait_for_workers(self, count: int) -> None:
        wait_until(lambda: self.count_workers() >= count)

    def count_workers(self) -> int:
        ledger = open_ledger(self.ledger_url)
        try:
            with ledger.read() as tx:
                return tx.execute(select(func.count()).select_from(worker_table)).scalar_one()
        finally:
            ledger.close()

    def forget_workers(self) -> None:
        """Remove all workers from the ledger, as after a long time without heartbeats."""
        ledger = open_ledger(self.ledger_url)
        try:
            with ledger.write() as tx:
                tx.execute(delete(worker_table))
        finally:
            ledger.close()

    def fault(self, kind: str, **details: object) -> None:
        self._control("POST", "/_sandbox/faults", {"kind": kind, **details})

    def clear_faults(self) -> None:
        self._control("DELETE", "/_sandbox/faults")

    def change_sandbox(self, **state: object) -> None:
        self._control("PATCH", "/_sandbox/state", state)

    def change_behaviour(self, behaviour: object) -> None:
        self._control("PUT", "/_sandbox/behaviour", behaviour)

    def write_firehose(self) -> None:
        self._control("POST", "/_sandbox/firehose")

    def sandbox_state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._control("GET", "/_sandbox/state")
        return state

    def _control(self, method: str, path: str, document: object = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(  # noqa: S310 - the sandbox, on loopback
            self.server.url + path,
            data=data,
            method=method,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.server.token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return json.loads(answer.read() or b"null")


@contextmanager
def open_world(folder: Path, *, ledger: str | None = None, **settings: Any) -> Iterator[World]:
    """Open a world; `settings` are the sandbox's; `ledger` is the URL of a ledger other than SQLite in the store."""
    record = folder / "record"
    given: dict[str, Any] = {
        "max_send_rate": 10_000.0,
        "max_24_hour_send": -1.0,
        "credentials": CREDENTIALS,
        **settings,
    }
    with run_in_thread(SandboxSettings(record_folder=record, **given)) as server:
        world = World(folder / "workspace", server, record, ledger=ledger)
        try:
            yield world
        finally:
            world.end()


def finish(process: subprocess.Popen[str], seconds: float = LONGEST_SECONDS) -> Finished:
    """Wait for a command's end; where it does not end, fail with what it printed and where its threads are."""
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the command has not ended after {seconds:g} s: {_abort(process)}") from None
    return check(Finished(process.returncode, stdout, stderr))


def _abort(process: subprocess.Popen[str]) -> str:
    """Abort a command that hangs; return what it printed, and where its threads were."""
    process.send_signal(signal.SIGABRT)
    try:
        return "".join(process.communicate(timeout=10))
    except subprocess.TimeoutExpired:
        return "a process that it has started keeps its output open"


def check(finished: Finished) -> Finished:
    """Check that a command did not end with a traceback."""
    assert "Traceback" not in finished.stderr, finished.stderr
    return finished


def wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    """Read a command's stderr up to the line with a word."""
    assert process.stderr is not None
    assert any(word in line for line in process.stderr), f"the command ended without printing {word}"


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until another process has reached the state that the test needs; fail after a deadline.

    Where the process is given, the failure tells what it printed and where its threads were.
    """
    pause, deadline = Event(), time.monotonic() + LONGEST_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            state = "" if process is None else _abort(process)
            raise AssertionError(f"the other process did not reach the expected state. {state}")
        pause.wait(0.002)


def wait_for_seconds(seconds: float) -> None:
    """Let some time pass, for instance between two signals of a person."""
    until = time.monotonic() + seconds * 1.1
    wait_until(lambda: time.monotonic() > until)
