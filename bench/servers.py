"""A sandbox in a process of its own, for benchmarks."""

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
def run_sandbox() -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """Run a sandbox without a rate limit; gives the environment that points AWS clients at it, and its process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine", "sandbox", "--port", "0", "--json", "--workspace", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            told = "".join(iter(process.stdout.readline, "}\n")) + "}"
            try:
                yield os.environ | json.loads(told)["environment"], process
            finally:
                process.terminate()
