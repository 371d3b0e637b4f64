"""Commands forked from a process that has imported the libraries: imports take most of a short command's time.

Each command is a separate process, forked with its own arguments, folder, environment and standard streams, and runs
`python -m engine` to its end. Settings that the interpreter reads at its start (PYTHON*, LC_*, LANG) and signals that
come while it starts are tested with a fresh interpreter: `World.start`.
"""

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

# Before its first use Polars starts only threads that release memory, which a fork may lose.
_IMPORTS = """
import atexit, gc, glob, importlib, json, os, pkgutil, runpy, signal, socket, sys, threading, time, traceback
import engine
for module in pkgutil.walk_packages(engine.__path__, "engine."):
    if not module.name.endswith("__main__") and ".migrations" not in module.name:
        importlib.import_module(module.name)
# What the engine imports when it needs it.
import aiobotocore.session, alembic.command, boto3, jinja2.sandbox, polars, psycopg
import sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite.pysqlite
gc.collect()
gc.freeze()
if any(open(name).read() == "polars-0\\n" for name in glob.glob("/proc/self/task/*/comm")):
    sys.exit("a module computes with Polars when it is imported: forked commands would wait for its threads forever")
"""
_LOOP = """
server = socket.socket(fileno=int(sys.argv[1]))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    size, descriptors, _, _ = socket.recv_fds(server, 8, 4)
    if not size:
        os._exit(0)
    wanted = json.loads(server.recv(int.from_bytes(size), socket.MSG_WAITALL))
    if os.fork():
        for descriptor in descriptors:
            os.close(descriptor)
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if command:
        os.write(descriptors[3], b"%d\\n" % command)
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        os.write(descriptors[3], b"%d\\n" % code)
        os._exit(0)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    break
os.chdir(wanted["folder"])
os.environ.clear()
os.environ.update(wanted["environment"])
time.tzset()
sys.path[0] = wanted["folder"]
sys.argv = ["engine", *wanted["arguments"]]
try:
    runpy.run_module("engine", run_name="__main__", alter_sys=True)
except SystemExit as error:
    code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
except BaseException:
    traceback.print_exc()
    code = 1
threading._shutdown()  # as the interpreter ends, but for taking apart what was imported
atexit._run_exitfuncs()
for stream in (sys.stdout, sys.stderr):
    stream.flush()
os._exit(code)
"""


@cache
def _start_server() -> tuple[socket.socket, threading.Lock]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", _IMPORTS + _LOOP, str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours, threading.Lock()


class ForkedCommand(subprocess.Popen[str]):
    """A command that the server forks, to be waited for and signalled as any process that is started.

    Its parent is in the server and passes on its exit code.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self.args = list(arguments)
        self.stdin = None
        self.returncode = None
        self._read = ["", ""]  # of stdout and stderr, by the threads that communicate starts
        self._readers: list[threading.Thread] = []
        server, lock = _start_server()
        wanted = json.dumps({"arguments": self.args, "folder": str(folder), "environment": environment}).encode()
        pipes = [os.pipe() for _ in range(3)]
        with Path(os.devnull).open("rb") as nothing:
            descriptors = [nothing.fileno(), *(write for _, write in pipes)]
            with lock:
                socket.send_fds(server, [len(wanted).to_bytes(8)], descriptors)
                server.sendall(wanted)
        for _, write in pipes:
            os.close(write)
        self.stdout, self.stderr = (open(read, encoding="utf-8", newline="") for read, _ in pipes[:2])  # noqa: PTH123, SIM115 - descriptors; closed as subprocess does
        self._status = open(pipes[2][0], "rb", buffering=0)  # noqa: PTH123, SIM115 - as above
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:  # noqa: A002 - as in subprocess
        assert input is None, "commands have no input"

        def drain(number: int, stream: IO[str] | None) -> None:
            if stream is not None and not stream.closed:
                with stream:
                    self._read[number] = stream.read()

        if not self._readers:  # after a timeout they go on
            streams = enumerate((self.stdout, self.stderr))
            self._readers += [threading.Thread(target=drain, args=each, daemon=True) for each in streams]
            for thread in self._readers:
                thread.start()
        for thread in self._readers:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(timeout)
        return self._read[0], self._read[1]

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, sig)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode


def run_command(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a forked command to its end, as `subprocess.run` does."""
    command = ForkedCommand(arguments, folder, environment)
    try:
        stdout, stderr = command.communicate(timeout=seconds)
    finally:
        command.kill()
    return subprocess.CompletedProcess(command.args, command.wait(), stdout, stderr)
