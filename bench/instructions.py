"""Instructions that rendering and serializing a message takes, counted by callgrind, a tool of Valgrind.

They are counted as a ratio to the same work done by Jinja and the standard library in the same interpreter, because
builds of Python differ. A test fails when a ratio is more than a tenth above the recorded one. After a change that is
meant to cost so much, or that makes rendering cheaper, renew the record: python -m bench.instructions --record
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench import ROOT
from bench.counted import ADDED_WORK, YARDSTICK

RECORD = Path(__file__).with_name("instructions.json")
MOST = 1.1  # times the recorded ratio
# Hashes decide how many collisions a dict has; plugins of pydantic are looked for in every installed package.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYDANTIC_DISABLE_PLUGINS": "1", "PATH": os.environ.get("PATH", "")}

Ratios = dict[str, float]


def find_obstacle() -> str:
    """Return why instructions cannot be counted here, or nothing."""
    return "" if shutil.which("valgrind") else "valgrind is not installed: apt-get install valgrind"


def count() -> Ratios:
    """Count the instructions of bench.counted: the ratio of each section to the yardstick."""
    with tempfile.TemporaryDirectory() as folder:
        command = ("valgrind", "--tool=callgrind", "--dump-before=getsid", f"--callgrind-out-file={folder}/out")
        done = subprocess.run(
            (*command, sys.executable, "-m", "bench.counted"),
            cwd=ROOT,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        # out.1 ends where the first section begins, out.2 where it ends, and so on.
        counts = {
            name: _read_total(Path(folder, f"out.{2 * number}"))
            for number, name in enumerate(done.stdout.splitlines(), start=1)
        }
    return {name: total / counts[YARDSTICK] for name, total in counts.items() if name != YARDSTICK}


def _read_total(path: Path) -> int:
    found = re.search(r"^totals: (\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, path
    return int(found[1])


def read_record() -> Ratios:
    """Read the recorded ratios."""
    ratios: Ratios = json.loads(RECORD.read_text(encoding="utf-8"))
    return ratios


def find_regressions(counted: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """Return a sentence for each recorded ratio that was exceeded by more than a tenth."""
    return [
        f"{name}: {counted[name]:.3f} of the yardstick's instructions, {counted[name] / ratio - 1:+.0%} against the "
        f"recorded {ratio:.3f}; make it cheaper, or run python -m bench.instructions --record"
        for name, ratio in recorded.items()
        if counted[name] > ratio * MOST
    ]


def main() -> None:
    """Print the ratios beside the recorded ones; with --record, record them."""
    if obstacle := find_obstacle():
        print(obstacle)
        return
    counted, recorded = count(), read_record() if RECORD.exists() else {}
    for name, ratio in counted.items():
        print(f"{name:32}{ratio:8.3f} of the yardstick's instructions; recorded {recorded.get(name, 0):.3f}")
    if "--record" in sys.argv:
        kept = {name: round(ratio, 4) for name, ratio in counted.items() if name != ADDED_WORK}
        RECORD.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
