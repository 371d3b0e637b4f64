"""Makes docs/launch.svg, the README's picture: what a launch of the sample campaign really prints.

Run from the project's folder: python docs/make_picture.py
"""

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

FOLDER = Path(__file__).parent
COMMAND = "mailrun launch campaigns/welcome --sandbox"


def main() -> None:
    """Launch in a temporary workspace and draw what is printed."""
    with tempfile.TemporaryDirectory() as folder:
        mailrun = [sys.executable, "-m", "engine"]
        subprocess.run([*mailrun, "init", folder], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves
        launch = [*mailrun, "launch", f"{folder}/campaigns/welcome", "--sandbox"]
        shown = subprocess.run(launch, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ourselves
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text("$ " + COMMAND, style="bold green"))
    console.print(Text(shown.replace(folder + "/", "")), highlight=True)
    svg = console.export_svg(title="mailrun", theme=MONOKAI)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts from the web: any will do
    (FOLDER / "launch.svg").write_text(svg.replace("Fira Code, monospace", "monospace"), encoding="utf-8")


if __name__ == "__main__":
    main()
