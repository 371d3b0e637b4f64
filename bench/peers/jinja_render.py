"""Jinja's own render of the welcome campaign's templates: subject, HTML and text, and nothing else.

Usage: python -m bench.peers.jinja_render WORKSPACE MESSAGES
"""

import sys
from pathlib import Path

from bench.peers.common import make_renderer, read_recipients


def render_all(workspace: Path, messages: int) -> None:
    render = make_renderer(workspace)
    for row in read_recipients(workspace, messages):
        render(row)


if __name__ == "__main__":
    render_all(Path(sys.argv[1]), int(sys.argv[2]))
