"""What users install is the wheel: it is built, installed into a fresh environment and run."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from support.paths import ROOT


def test_the_built_wheel_runs_the_samples_that_it_carries(tmp_path: Path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], check=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("mailrun-*.whl")
    home = tmp_path / "fresh"
    venv.create(home, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    # The dependencies come from this environment, at the end of the path: the wheel itself comes first.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(home / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*install, "--force-reinstall", str(wheel)], check=True)
    mailrun, workspace = home / "bin" / "mailrun", tmp_path / "workspace"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MAILRUN_"))}

    def run(*command: str | Path) -> str:
        return subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout

    where = run(home / "bin" / "python", "-c", "import engine; print(engine.__file__)")
    assert Path(where.strip()).is_relative_to(home)
    package = Path(where.strip()).parent
    assert (package / "py.typed").is_file()
    page = run(
        home / "bin" / "python",
        "-c",
        "from engine.errors import docs_page; print(docs_page('guides/back-up-and-restore.md'))",
    )
    assert Path(page.strip()) == package / "docs" / "guides" / "back-up-and-restore.md"
    assert {found.name for found in (package / "docs").rglob("*.md")} == {
        given.name for given in (ROOT / "docs").rglob("*.md")
    }
    run(mailrun, "init", workspace)
    shown = run(mailrun, "launch", workspace / "campaigns" / "welcome", "--sandbox")
    assert "balanced: " in shown
    assert "finished" in shown
    assert "--sandbox" in run(home / "bin" / "python", "-m", "engine", "launch", "--help")
