"""CPU a message of `mailrun preview` of a whole audience, compared with Jinja's own render of the same templates.

Both are whole commands and run in turn. Each time they render for a few recipients and then for many, and the
difference counts. A preview plans, renders and checks every message, and writes a gallery of some.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.comparison import RUNS, Row, print_rows
from bench.delivery import write_recipients
from bench.processes import run
from bench.workspaces import make_workspace, write_audience

FEW, MANY = 21_000, 121_000  # both so many that several processes render


def compare_previews(runs: int) -> Iterator[Row]:
    """Compare the CPU per message of previews with that of Jinja."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_recipients(folder, MANY)
        pairs = [
            tuple((use(folder, MANY) - use(folder, FEW)) / (MANY - FEW) for use in (use_preview, use_jinja))
            for _ in range(runs)
        ]
    preview, jinja = (median(values) * 1e6 for values in zip(*pairs, strict=True))
    yield Row(
        "preview: CPU per message / CPU of Jinja's own render",
        [own / plain for own, plain in pairs],
        target="≤ 1.3",
        note=f"{preview:,.0f} µs / {jinja:,.0f} µs per message",
    )


def use_preview(folder: Path, messages: int) -> float:
    """Return the CPU seconds of a preview for so many recipients."""
    workspace = make_workspace(folder / "preview")
    write_audience(workspace, messages)
    used = run((sys.executable, "-m", "engine", "preview", "welcome", "--workspace", str(workspace)), os.environ)
    shutil.rmtree(folder / "preview")
    return used.cpu_seconds


def use_jinja(folder: Path, messages: int) -> float:
    """Return the CPU seconds of Jinja's render for so many recipients."""
    command = (sys.executable, "-m", "bench.peers.jinja_render", str(folder / "peers"), str(messages))
    return run(command, os.environ).cpu_seconds


def main() -> None:
    print_rows(compare_previews(RUNS))


if __name__ == "__main__":
    main()
