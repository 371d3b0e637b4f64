"""The whole-audience preview: two processes against one, and the memory of both with ten times the audience."""

import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from engine.campaign.spec import load_campaign
from engine.run.planning import PlanRequest
from engine.run.preview import make_job, replan
from engine.run.rendering import Rendered, render_plan
from engine.store.folder import Store

CAMPAIGN = Path(__file__).parent.parent / "campaigns" / "welcome"
ROWS = 1_000_000
KEY = b"a key for measurements only"


def write_audience(path: Path, rows: int) -> None:
    plans = ("free", "pro", "business")
    with path.open("w", encoding="utf-8") as file:
        file.write("email,first_name,city,plan,points,signed_up\n")
        for number in range(rows):
            city = "Đà Nẵng" if number % 3 else ""
            file.write(
                f"reader{number}@host{number % 97}.example,Reader {number},{city},{plans[number % 3]},{number},2026-10-03\n"
            )


def run(rows: int, processes: int, workspace: Path) -> None:
    """Plan, render all with so many processes, print seconds and the largest memory of a process in MB."""
    campaign = load_campaign(CAMPAIGN)
    spec = campaign.spec.model_copy(
        update={
            "audience": campaign.spec.audience.model_copy(update={"source": str(workspace / f"people-{rows}.csv")}),
            "suppression": campaign.spec.suppression.model_copy(update={"files": ()}),
        }
    )
    request = PlanRequest(
        campaign=type(campaign)(campaign.name, campaign.folder, spec),
        key="bench",
        workspace=workspace,
        limit=None,
        sandbox=False,
        created_at=datetime.now(UTC),
    )
    manifest, folder = replan(request, Store(workspace / f"store-{rows}-{processes}"), "previews")
    after_planning = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job = make_job(request, manifest, folder, lambda: (KEY,))
    begin = time.perf_counter()
    found = Rendered()
    for of_lease in render_plan(job, manifest.leases, processes=processes):
        found.merge(of_lease)
    seconds = time.perf_counter() - begin
    assert found.rendered == rows
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - after_planning
    print(seconds, children / 1024, grown / 1024)


def measure(rows: int, processes: int, workspace: Path) -> tuple[float, float, float]:
    """Run in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "bench.preview", str(rows), str(processes), str(workspace)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    seconds, children, grown = map(float, told)
    return seconds, children, grown


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        for rows in (ROWS // 10, ROWS):
            write_audience(workspace / f"people-{rows}.csv", rows)
        one, _, _ = measure(ROWS, 1, workspace)
        two, large, grown = measure(ROWS, 2, workspace)
        _, small, small_grown = measure(ROWS // 10, 2, workspace)
    print(
        f"{ROWS:,} recipients rendered and looked at: one process {one:.1f} s ({one / ROWS * 1e6:.0f} µs a message)",
        end=", ",
    )
    print(f"two {two:.1f} s: {one / two:.2f} × (≥ 1.8)")
    print(f"memory of a rendering process: {small:.0f} MB for {ROWS // 10:,}, {large:.0f} MB for {ROWS:,}", end="; ")
    print(f"the first one grows by {small_grown:.0f} and {grown:.0f} MB after planning")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
