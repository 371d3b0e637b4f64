"""CPU a message: `mailrun launch` compared with a plain aiobotocore loop that renders and sends the same messages.

Both run in separate processes, one after the other, against the same sandbox in a third process. CPU is user and
system time of all threads, as the kernel counts it.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.servers import ROOT, run_sandbox

CONNECTIONS = 128
MESSAGES = 8_000


@dataclass(frozen=True)
class Measured:
    """Wall and CPU seconds of a process."""

    cpu_seconds: float
    wall_seconds: float

    def less(self, other: "Measured") -> "Measured":
        return Measured(self.cpu_seconds - other.cpu_seconds, self.wall_seconds - other.wall_seconds)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, run_sandbox() as (environment, _, _):
        workspace = make_workspace(Path(folder))
        write_audience(workspace, 0)
        start = _measure_launch(workspace, environment, "start")
        write_audience(workspace, MESSAGES)
        launch = _measure_launch(workspace, environment, "all")
        loop = measure([sys.executable, "-m", "bench.plain_loop", str(workspace), str(CONNECTIONS)], environment)
    print(f"launch: {MESSAGES:,} messages of the welcome campaign, sandbox without rate limit, {CONNECTIONS} in flight")
    print(f"{'':34}{'CPU µs a message':>18}{'messages a second':>20}")
    for name, measured in (
        ("mailrun launch, all of it", launch),
        ("mailrun launch, without its start", launch.less(start)),
        ("plain aiobotocore loop, all of it", loop),
    ):
        micros = measured.cpu_seconds / MESSAGES * 1e6
        print(f"{name:34}{micros:>18,.0f}{MESSAGES / measured.wall_seconds:>20,.0f}")
    print(f"mailrun's CPU is {launch.cpu_seconds / loop.cpu_seconds:.2f} x the loop's; only mailrun keeps a ledger")


def _measure_launch(workspace: Path, environment: dict[str, str], key: str) -> Measured:
    command = [
        sys.executable,
        "-m",
        "engine",
        "launch",
        "welcome",
        "--workspace",
        str(workspace),
        "--key",
        key,
        "--json",
    ]
    return measure(command, environment)


def measure(command: list[str], environment: dict[str, str]) -> Measured:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, cwd=ROOT, capture_output=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Measured(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def make_workspace(folder: Path, *, bulk: bool = False) -> Path:
    """Make a workspace with the welcome campaign."""
    workspace = folder / "workspace"
    shutil.copytree(ROOT / "campaigns" / "welcome", workspace / "campaigns" / "welcome")
    (workspace / "audiences").mkdir()
    (workspace / "audiences" / "suppressed.csv").write_text("email,reason,topic\n")
    toml = workspace / "campaigns" / "welcome" / "campaign.toml"
    text = toml.read_text().replace("audiences/subscribers.csv", "audiences/bench.csv")
    toml.write_text(text + ('\n[delivery]\ncall = "bulk"\n' if bulk else ""))
    return workspace


def write_audience(workspace: Path, rows: int) -> None:
    header = (ROOT / "audiences" / "subscribers.csv").read_text(encoding="utf-8").partition("\n")[0].split(",")
    values = {"first_name": "Ann", "last_name": "Lee", "country": "VN", "city": "Huế", "plan": "pro", "points": "420"}
    with (workspace / "audiences" / "bench.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(header) + "\n")
        for i in range(rows):
            file.write(
                ",".join([f"person{i}@example.com", *(values.get(name, "2026-01-02") for name in header[1:])]) + "\n"
            )


if __name__ == "__main__":
    main()
