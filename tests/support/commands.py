"""Commands forked from a process that has imported the libraries: imports take most of a short command's time.

Each command is a separate process, forked with its own arguments, folder, environment and standard streams, and runs
`python -m engine` to its end. Settings that the interpreter reads at its start (PYTHON*, LC_*, LANG), signals from
people and killed commands are tested with a fresh interpreter: `World.start`.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

# Before its first use Polars starts only threads that release memory, which a fork may lose.
_IMPORTS = """
import atexit, gc, importlib, json, os, pkgutil, runpy, signal, socket, sys, threading, time, traceback
import engine
for module in pkgutil.walk_packages(engine.__path__, "engine."):
    if not module.name.endswith("__main__") and ".migrations" not in module.name:
        importlib.import_module(module.name)
import aiobotocore.session, psycopg, sqlalchemy.dialects.postgresql, sqlalchemy.dialects.sqlite
gc.collect()
gc.freeze()
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


def run_command(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], seconds: float
) -> tuple[int, str, str]:
    """Run a command of mailrun to its end; returns its exit code (negative for a signal), stdout and stderr.

    Raises:
        subprocess.TimeoutExpired: it took longer than `seconds`, and was killed.
    """
    server, lock = _start_server()
    wanted = json.dumps({"arguments": list(arguments), "folder": str(folder), "environment": environment}).encode()
    pipes = [os.pipe() for _ in range(3)]
    with Path(os.devnull).open("rb") as nothing:
        descriptors = [nothing.fileno(), *(write for _, write in pipes)]
        with lock:
            socket.send_fds(server, [len(wanted).to_bytes(8)], descriptors)
            server.sendall(wanted)
    for _, write in pipes:
        os.close(write)
    read: list[bytes] = [b"", b"", b""]

    def drain(number: int) -> None:
        with os.fdopen(pipes[number][0], "rb") as stream:
            for line in stream:
                read[number] += line

    threads = [threading.Thread(target=drain, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        if thread.is_alive():
            os.kill(int(read[2].split()[0]), 9)
            raise subprocess.TimeoutExpired(list(arguments), seconds, read[0], read[1])
    return int(read[2].split()[1]), read[0].decode(), read[1].decode()
