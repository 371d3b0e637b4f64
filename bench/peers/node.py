"""The scripts in Node and their packages, in a folder beside the packages of Python: installed once, from the lock."""

import shutil
import subprocess
from pathlib import Path

from bench import ROOT

INSTALLED = ROOT / ".venv" / "peers"


def find_obstacle() -> str:
    """Install the scripts, and their packages if the lock has changed; return why they cannot run, or nothing."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "not installed: install Node 20 or newer, with npm"
    source, lock = Path(__file__).parent, INSTALLED / "package-lock.json"
    is_current = lock.is_file() and lock.read_bytes() == (source / lock.name).read_bytes()
    shutil.copytree(source, INSTALLED, ignore=shutil.ignore_patterns("*.py", "__pycache__"), dirs_exist_ok=True)
    if is_current:
        return ""
    done = subprocess.run(["npm", "ci"], cwd=INSTALLED, capture_output=True, text=True, check=False)  # noqa: S607 - on PATH
    if done.returncode:
        lock.unlink()
        return f"not installed: npm ci failed: {done.stderr.strip()[-200:]}"
    return ""
