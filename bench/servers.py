"""A sandbox in a separate process, for benchmarks."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


@contextmanager
def run_sandbox(*options: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[str], Path]]:
    """Run a sandbox, without a rate limit unless an option sets one.

    Yields the environment for AWS clients, the process, and the folder of its record.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine", "sandbox", "--port", "0", "--json", "--workspace", folder, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            server = json.loads(process.stdout.readline())
            try:
                yield os.environ | server["environment"], process, Path(server["record"])
            finally:
                process.terminate()


@contextmanager
def run_sink(latency_seconds: float) -> Iterator[str]:
    """Run a sink without a rate limit, see bench.sink; yields its URL."""
    command = [sys.executable, "-m", "bench.sink", str(latency_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
