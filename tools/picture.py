"""Draw docs/launch.svg, the README's picture: what a launch of the sample campaign prints.

Run from the project's folder:

    python tools/picture.py           # launch, and draw what is printed
    python tools/picture.py --check   # launch, and exit with 1 if the picture differs
"""

import html
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "launch.svg"
COMMAND = "mailrun launch campaigns/welcome --sandbox --key first"
# What differs from launch to launch: how long it took.
_DURATION = re.compile(r"in [\d.]+ (s|min)\b")


def main(arguments: list[str]) -> int:
    """Draw the picture, or check that it shows what is printed now."""
    drawn = _draw(_launch())
    if arguments != ["--check"]:
        PICTURE.write_text(drawn, encoding="utf-8")
        return 0
    shown, printed = _read_lines(PICTURE.read_text(encoding="utf-8")), _read_lines(drawn)
    if shown == printed:
        return 0
    print(f"{PICTURE.name} does not show what a launch prints; run: make picture", file=sys.stderr)
    print("\n".join(printed), file=sys.stderr)
    return 1


def _launch() -> str:
    """Launch in a temporary workspace; returns what is printed, without that workspace's path."""
    with tempfile.TemporaryDirectory() as folder:
        mailrun = [sys.executable, "-m", "engine"]
        subprocess.run([*mailrun, "init", folder], check=True, stdout=subprocess.DEVNULL)
        launch = [*mailrun, *COMMAND.split()[1:]]
        shown = subprocess.run(launch, check=True, capture_output=True, text=True, cwd=folder).stdout
    return shown.replace(f"{Path(folder).resolve()}/", "").replace("python -m engine", "mailrun")


def _draw(shown: str) -> str:
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text("$ " + COMMAND, style="bold green"))
    console.print(Text(shown), highlight=True)
    svg = console.export_svg(title="mailrun", theme=MONOKAI)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts from the web: use a local one
    return svg.replace("Fira Code, monospace", "monospace")


def _read_lines(svg: str) -> list[str]:
    """Read the text of a picture line by line, without what differs from launch to launch."""
    lines: dict[float, str] = {}
    for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', svg, flags=re.DOTALL):
        lines[float(y)] = lines.get(float(y), "") + html.unescape(text).replace("\xa0", " ")
    return [_DURATION.sub("in …", line).rstrip() for _, line in sorted(lines.items())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
