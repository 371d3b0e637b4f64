"""How fast `mailrun plan` is, and in how much memory, as ratios to Polars copying the same CSV to Parquet.

Run from the project's folder: python bench/audience.py [ROWS…], by default 1, 5 and 20 million; the issue's table is
of 1, 5, 10, 20 and 50 million. Each run is a process of its own, so that its peak memory is its own; the best of
several rounds counts. Files go to a temporary folder, about 60 bytes a row, and as much again for plan and scratch.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

ROWS = (1_000_000, 5_000_000, 20_000_000)
ROUNDS = 3
CORES = 2
BLOCK = 500_000
DOMAINS = ("gmail.com", "yahoo.com", "outlook.com", "example.com", "mail.example", "corp.example.org", "icloud.com")
MIB = 1 << 20

COPY = """
import polars as pl
def work():
    pl.scan_csv("{csv}").sink_parquet("{out}/copy.parquet", engine="streaming")
    return {{}}
"""
PLAN = """
from pathlib import Path
from engine.audience.planning.plan import open_audience, plan_audience
from engine.audience.reading.sources import find_sources
from engine.audience.spec import AudienceSpec, SuppressionSpec
def work():
    audience, folder = AudienceSpec(source="{csv}", required=("first_name",)), Path("{out}") / "plan"
    folder.mkdir()
    plan = plan_audience(
        audience=audience, suppression=SuppressionSpec(files=("{suppressed}",)), workspace=Path("/"),
        opened=open_audience(find_sources(audience.source, Path("/")), audience), columns=frozenset(["first_name"]),
        folder=folder, order_key="welcome", limit=None,
    )
    return {{"accepted": plan.accepted, "excluded": plan.excluded}}
"""
MEASURE = """
import json, resource, time
begin, cpu = time.perf_counter(), time.process_time()
found = work()
found |= {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
print(json.dumps(found | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def write_audience(rows: int, path: Path, suppressed: Path) -> None:
    """Write a CSV of some 58 bytes a row: 1 % invalid, 3 % duplicates; and a tenth of it as suppressions."""
    words = pl.Series([f"{n * 2654435761 % 2**32:x}"[: 3 + n % 6] for n in range(4096)])
    with path.open("wb") as file, suppressed.open("wb") as gone:
        for start in range(0, rows, BLOCK):
            block = pl.select(i=pl.int_range(start, min(start + BLOCK, rows))).with_columns(
                h=pl.col("i") * 2654435761 % 2**32
            )
            person = pl.when(pl.col("h") % 100 < 3).then(pl.col("i") // 2).otherwise("i")
            block = block.with_columns(person=person)
            domain = (pl.col("person") % len(DOMAINS)).replace_strict(dict(enumerate(DOMAINS)), return_dtype=pl.String)
            word = pl.lit(words).gather(pl.col("person") * 2654435761 % 2**32 // 7 % 4096)
            email = pl.format(
                "{}.{}{}{}",
                word,
                "person",
                pl.when(pl.col("h") % 100 == 50).then(pl.lit("..@")).otherwise(pl.lit("@")),
                domain,
            )
            table = block.select(
                email.alias("email"),
                pl.lit(words).gather(pl.col("h") // 3 % 4096).alias("first_name"),
                country=pl.when(pl.col("i") % 3 == 0).then(pl.lit("VN")).otherwise(pl.lit("DE")),
                points=pl.col("h") % 1000,
                signed_up=pl.format("2026-{}-{}", pl.col("h") // 5 % 12 + 1, pl.col("h") // 17 % 28 + 1),
                reference=pl.col("h") * 7919 % 999983,
            )
            table.write_csv(file, include_header=start == 0)
            listed = table.select("email").filter(~pl.col("email").str.contains("..", literal=True)).gather_every(10)
            listed.write_csv(gone, include_header=start == 0)


def measure(code: str, **places: object) -> dict[str, float]:
    """Run code in a process of its own, on two cores and with Polars' threads to match."""
    with TemporaryDirectory(dir=Path(str(places["csv"])).parent) as out:
        script = code.format(out=out, **places) + MEASURE
        environment = {**os.environ, "POLARS_MAX_THREADS": str(CORES)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def best(runs: list[dict[str, float]]) -> dict[str, float]:
    return min(runs, key=lambda run: run["seconds"])


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    first: dict[str, float] = {}
    titles = ("rows", "MB", "copy s", "plan s", "plan/copy", "by CPU", "peak MiB", "time by 5 M", "peak by 5 M")
    print(*(f"{title:>11}" for title in titles))
    for rows in [int(text) for text in sys.argv[1:] if text.isdigit()] or ROWS:
        with TemporaryDirectory() as folder:
            csv, suppressed = Path(folder) / "list.csv", Path(folder) / "gone.csv"
            write_audience(rows, csv, suppressed)
            rounds = ROUNDS if rows <= 5_000_000 else 1
            pairs = [(measure(COPY, csv=csv), measure(PLAN, csv=csv, suppressed=suppressed)) for _ in range(rounds)]
            megabytes = csv.stat().st_size / 1e6
        copy, plan = best([pair[0] for pair in pairs]), best([pair[1] for pair in pairs])
        first = plan if rows == 5_000_000 else first
        figures = [
            f"{rows:,}",
            f"{megabytes:,.0f}",
            *(f"{run['seconds']:.2f}" for run in (copy, plan)),
            *(f"{plan[unit] / copy[unit]:.2f}" for unit in ("seconds", "cpu")),
            f"{plan['peak'] / MIB:,.0f}",
            *(f"{plan[unit] / first[unit]:.2f}" for unit in ("seconds", "peak") if first),
        ]
        print(*(f"{figure:>11}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
