"""The documentation as a site, built as `make docs` builds it."""

import os
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT


def build_site(folder: Path) -> Path:
    """Build the site into a folder; a warning, such as a broken link, fails the test."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder
