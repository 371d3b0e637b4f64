"""Pages of the documentation: their blocks, and the fields that a table of them lists."""

import os
import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def list_blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and text of each block of code."""
    return [(kind, text) for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def put_mailrun_on_path(folder: Path) -> str:
    """Make a folder with the commands `mailrun` and `python` in it; returns PATH with that folder first."""
    folder.mkdir(exist_ok=True)
    for name, arguments in (("mailrun", "-m engine "), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
