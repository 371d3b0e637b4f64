"""The table of benchmarks: what is compared, its target, and the median of several runs.

Commands that are compared run in turn, so that what else the machine does hits both. An exclamation mark shows that a
target is missed. Compare ratios; times are those of this machine.
"""

import sys
from collections.abc import Iterator

from bench import audience, delivery, start, whole_preview, workers
from bench.comparison import RUNS, Row, print_markdown, print_rows


def compare_all() -> Iterator[Row]:
    yield from audience.compare_plans(RUNS)
    yield from delivery.compare_senders(RUNS)
    yield from start.compare_starts(RUNS)
    yield from whole_preview.compare_previews(RUNS)
    yield from workers.compare_workers(RUNS)


def main() -> None:
    rows = print_rows(compare_all())
    if "--markdown" in sys.argv:
        print_markdown(rows)


if __name__ == "__main__":
    main()
