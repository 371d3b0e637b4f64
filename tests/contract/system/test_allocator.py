"""The allocator of a command keeps freed memory for the next frames."""

import os
import subprocess
import sys
from itertools import pairwise

import pytest

from engine.system.allocator import keep_freed_memory

VARIABLE = "_RJEM_MALLOC_CONF"
# Polars' allocator prints its settings when the process ends.
PROGRAM = f"""
import os
from engine.system.allocator import keep_freed_memory
keep_freed_memory()
os.environ["{VARIABLE}"] += ",stats_print:true"
import polars
polars.Series([1])
"""


def test_keep_freed_memory_configures_the_allocator_of_polars() -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert "Invalid conf" not in run.stderr
    words = run.stderr.split()
    settings = {name: value.strip('"') for name, value in pairwise(words)}
    wanted = {"oversize_threshold": "0", "dirty_decay_ms": "30000", "muzzy_decay_ms": "0", "narenas": "2"}
    assert {name: settings.get(f"opt.{name}:") for name in wanted} == wanted


def test_keep_freed_memory_leaves_a_given_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "narenas:1")
    keep_freed_memory()
    assert os.environ[VARIABLE] == "narenas:1"
