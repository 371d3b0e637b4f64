"""The tutorials as a reader follows them: their commands in order, with the files that they show."""

import subprocess
from pathlib import Path

from support.invariants import count_received
from support.pages import list_blocks, put_mailrun_on_path
from support.paths import DOCS
from support.world import World

APPEND = "cat >> campaigns/welcome/campaign.toml <<'END'\n{}END\n"
RUN_PYTHON = "cat > script.py <<'END'\n{}END\npython script.py\n"


def make_script(name: str, *, without: tuple[str, ...]) -> str:
    """Return the blocks of a tutorial as one shell script, without the lines that begin with a text of `without`."""
    forms = {"sh": "{}", "toml": APPEND, "python": RUN_PYTHON}
    parts = [forms[kind].format(text) for kind, text in list_blocks(DOCS / "tutorials" / name)]
    return "\n".join(line for line in "".join(parts).splitlines() if not line.startswith(without))


def follow(world: World, script: str, folder: Path) -> str:
    path = put_mailrun_on_path(folder / "tools")
    shown = subprocess.run(
        ["/bin/bash", "-eu", "-c", script],
        cwd=folder,
        env=world.environment() | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_first_campaign_is_sent_and_proved(world: World, tmp_path: Path):
    """At a higher rate than on the page, without stopping the run; the sandbox's page is not opened."""
    script = make_script("first-campaign.md", without=("mailrun sandbox",)).replace(
        "max_rate = 50 ", "max_rate = 5000 "
    )
    shown = follow(world, script, tmp_path)
    assert "proved" in shown
    assert "invalid" in shown
    assert list((tmp_path / "news" / ".mailrun" / "runs" / "welcome" / "second" / "outcomes").glob("*.parquet"))


def test_first_ses_campaign_is_sent_and_proved(world: World, tmp_path: Path):
    """SES is the sandbox here, which AWS's own settings name."""
    shown = follow(world, make_script("first-ses-campaign.md", without=("export AWS_",)), tmp_path)
    assert "proved" in shown
    assert set(count_received(world, "welcome/first").values()) == {1}
