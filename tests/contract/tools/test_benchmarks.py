"""The benchmarks run: what they compare receives the same messages."""

import json
from pathlib import Path

import pytest

from bench import ROOT
from bench.__main__ import BENCHMARKS, IN_TABLE
from bench.comparison import Row, print_markdown, print_rows
from bench.delivery import LOOP, MAILRUN, PYTHON_PEERS, SAME_SIZE, send, write_recipients
from bench.servers import run_sink

MESSAGES = 40
LOCK = ROOT / "bench" / "peers" / "package-lock.json"


def test_every_part_of_the_table_is_a_benchmark_by_itself():
    assert BENCHMARKS.keys() > IN_TABLE


def test_senders_send_equal_messages_to_all_that_a_plan_accepts(tmp_path: Path):
    write_recipients(tmp_path, MESSAGES)
    (single,) = (one for one in MAILRUN if one.call == "single")
    (loop,) = (one for one in PYTHON_PEERS if one.name == LOOP)
    with run_sink(0.0) as sink:
        (_, own), (_, other) = (send(one, tmp_path, sink, MESSAGES) for one in (single, loop))
    assert own == pytest.approx(other, rel=SAME_SIZE)


def test_locked_packages_of_node_have_hashes_and_name_no_registry():
    _, *packages = json.loads(LOCK.read_text(encoding="utf-8"))["packages"].values()
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)


def test_table_marks_a_missed_target_and_prints_markdown(capsys: pytest.CaptureFixture[str]):
    rows = [
        Row("a", (1.0, 9.0, 2.0), target="≤ 2", note="n"),
        Row("b", (1.0,), "s", "≥ 2"),
        Row("c", (), target="≥ 2", note="not installed"),
    ]
    print_markdown(print_rows(rows))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:4] == [
        "a ≤ 2 x 2.00 x 1.00 to 9.00 n",
        "b ≥ 2 s 1.00 s ! 1.00 to 1.00",
        "c ≥ 2 x - - not installed",
    ]
    assert lines[-3:] == [
        "| a | 2.00 x | 1.00 to 9.00 | n |",
        "| b | 1.00 s | 1.00 to 1.00 | |",
        "| c | - | - | not installed |",
    ]
