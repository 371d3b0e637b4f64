"""How much of the account's rate is used, at several rates: launches against the sandbox with its limit on.

Share: recipients accepted from the fifth second to the end, by the sandbox's own record, of what the limit allows in
that time. Largest second: the most that any sliding second held, of the limit.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.servers import run_sandbox
from bench.workspaces import make_workspace, write_audience

RATES = ((1, 30, False), (14, 20, False), (200, 20, False), (1_000, 20, False), (5_000, 20, True))
WARM_SECONDS = 5.0
STORM_RATE, STORM_SECONDS = 400, 10.0


def main() -> None:
    print("rates: share of the limit used after the first 5 s, throttles, largest sliding second")
    print(f"{'limit a second':>15}{'call':>8}{'share':>9}{'throttles':>11}{'largest second':>16}")
    for rate, seconds, bulk in RATES:
        share, throttled, largest = measure_rate(rate, seconds, bulk=bulk)
        call = "bulk" if bulk else "single"
        print(f"{rate:>15,}{call:>8}{share:>9.2%}{throttled:>11}{largest / rate:>15.2f} x")
    seconds_back = measure_storm()
    print(f"after {STORM_SECONDS:.0f} s in which 30 % of calls were throttled: back at 95 % after {seconds_back:.0f} s")


@contextmanager
def sending(rate: int, messages: int, *, bulk: bool) -> Iterator[tuple[subprocess.Popen[str], Mapping[str, str], Path]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        run_sandbox("--rate", str(rate)) as (environment, _, record),
    ):
        workspace = make_workspace(Path(folder), bulk=bulk)
        write_audience(workspace, messages)
        command = [sys.executable, "-m", "engine", "launch", "welcome", "--workspace", str(workspace), "--json"]
        with subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            yield process, environment, record


def measure_rate(rate: int, seconds: int, *, bulk: bool) -> tuple[float, int, int]:
    """Return the share used, the throttled calls and the largest second."""
    messages = int(rate * (WARM_SECONDS + seconds))
    with sending(rate, messages, bulk=bulk) as (process, sandbox, record):
        stdout, _ = process.communicate()
        assert json.loads(stdout)["sent"] == messages
        state = control(sandbox, "GET", "state")
        times = read_times(record)
    steady = [at for at in times if at >= times[0] + WARM_SECONDS]
    return len(steady) / rate / (steady[-1] - steady[0] + 1 / rate), state["throttled"], state["largest_second"]


def measure_storm() -> float:
    """Return the seconds from the end of a storm of throttles to the first second at 95 % of the rate."""
    with sending(STORM_RATE, STORM_RATE * 45, bulk=False) as (process, sandbox, record):
        wait_for(record, STORM_RATE * 5)
        control(sandbox, "POST", "faults", {"kind": "throttle", "count": None, "probability": 0.3})
        threading.Event().wait(STORM_SECONDS)
        control(sandbox, "DELETE", "faults")
        ended = time.time()
        process.communicate()
        times = [at - ended for at in read_times(record) if at >= ended]
    per_second = [sum(begin <= at < begin + 1 for at in times) for begin in range(int(times[-1]))]
    return next((begin + 1 for begin, count in enumerate(per_second) if count >= 0.95 * STORM_RATE), float("inf"))


def read_times(record: Path) -> list[float]:
    with (record / "accepted.jsonl").open() as file:
        return [datetime.fromisoformat(json.loads(line)["at"]).timestamp() for line in file]


def wait_for(record: Path, count: int) -> None:
    pause = threading.Event()
    path = record / "accepted.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        pause.wait(0.05)


def control(environment: Mapping[str, str], method: str, name: str, document: Any = None) -> Any:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(  # noqa: S310 - the sandbox, on loopback
        f"{environment['AWS_ENDPOINT_URL_SESV2']}/_sandbox/{name}",
        data=data,
        method=method,
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Bearer {environment['MAILRUN_SANDBOX_TOKEN']}",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        return json.loads(answer.read() or b"null")


if __name__ == "__main__":
    main()
