"""The whole-audience preview: two processes against one, and its memory. `whole_preview` compares it with Jinja."""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from engine.campaign.spec import Campaign, load_campaign
from engine.run.manifest import read_manifest
from engine.run.prepare.plan_rendering import render_plan
from engine.run.prepare.planning import PlanRequest
from engine.run.prepare.preview import make_job
from engine.run.prepare.rendered import Rendered
from engine.run.prepare.replan import replan
from engine.store.folder import FolderStore

CAMPAIGN = Path(__file__).parent.parent / "campaigns" / "welcome"
ROWS = 1_000_000
KEY = b"a key for measurements only"


def write_audience(path: Path, rows: int) -> None:
    plans = ("free", "pro", "business")
    with path.open("w", encoding="utf-8") as file:
        file.write("email,first_name,city,plan,points,signed_up\n")
        for number in range(rows):
            address, city = f"reader{number}@host{number % 97}.example", "Đà Nẵng" if number % 3 else ""
            file.write(f"{address},Reader {number},{city},{plans[number % 3]},{number},2026-10-03\n")


def make_request(rows: int, workspace: Path) -> PlanRequest:
    campaign = load_campaign(CAMPAIGN)
    audience = campaign.spec.audience.model_copy(update={"source": str(workspace / f"people-{rows}.csv")})
    suppression = campaign.spec.suppression.model_copy(update={"files": ()})
    spec = campaign.spec.model_copy(update={"audience": audience, "suppression": suppression})
    return PlanRequest(
        campaign=Campaign(campaign.name, campaign.folder, spec),
        key="bench",
        workspace=workspace,
        limit=None,
        sandbox=False,
        created_at=datetime.now(UTC),
    )


def plan(rows: int, workspace: Path) -> None:
    replan(make_request(rows, workspace), FolderStore(workspace / f"store-{rows}"), "previews")


def render(rows: int, workspace: Path, processes: int) -> None:
    """Render all with so many processes; print seconds, CPU seconds, and this process's peak memory in MB."""
    folder = workspace / f"store-{rows}" / "previews" / "welcome"
    manifest = read_manifest(folder)
    job = make_job(make_request(rows, workspace), manifest, folder, lambda: (KEY,))
    begin, before, found = time.perf_counter(), _count_processor_seconds(), Rendered()
    for of_lease in render_plan(job, manifest.leases, processes=processes):
        found.merge(of_lease)
    seconds, used = time.perf_counter() - begin, _count_processor_seconds() - before
    assert found.rendered == rows
    status = Path("/proc/self/status").read_text(encoding="ascii")
    memory = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(seconds, used, memory)


def _count_processor_seconds() -> float:
    """Of this process and its children."""
    return sum(os.times()[:4])


def measure(*arguments: object) -> list[float]:
    """Run in a separate process, so that its memory is measured alone."""
    command = [sys.executable, "-m", "bench.preview", *map(str, arguments)]
    return [float(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        for rows in (ROWS // 10, ROWS):
            write_audience(workspace / f"people-{rows}.csv", rows)
            measure("plan", rows, workspace)
        one, one_used, large = measure("render", ROWS, workspace, 1)
        two, two_used, _ = measure("render", ROWS, workspace, 2)
        _, _, small = measure("render", ROWS // 10, workspace, 1)
    print(f"{ROWS:,} recipients rendered and checked: {one_used / ROWS * 1e6:.0f} µs of processor time a message")
    print(f"one process {one:.1f} s, two {two:.1f} s: {one / two:.2f} times as fast (at least 1.8 on two free cores)")
    share = two_used / one_used
    print(f"both used {share:.2f} times the processor time of one: {2 / share:.2f} times as fast where cores are free")
    print(f"memory of a rendering process: {small:.0f} MB for {ROWS // 10:,} recipients, {large:.0f} MB for {ROWS:,}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["plan", rows, workspace]:
            plan(int(rows), Path(workspace))
        case ["render", rows, workspace, processes]:
            render(int(rows), Path(workspace), int(processes))
        case _:
            main()
