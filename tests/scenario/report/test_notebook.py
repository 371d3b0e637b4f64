"""The guide to notebooks: its code, cell after cell, on a run that has ended."""

import re
from typing import Any

import polars as pl
import pytest
from support.paths import DOCS
from support.world import RUN, World

GUIDE = (DOCS / "guides" / "analyse-runs-in-a-notebook.md").read_text(encoding="utf-8")
CELLS = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


def test_notebook_guide_reads_the_accounts_and_outcomes_of_a_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write_people(30)
    assert world.launch().code == 0
    monkeypatch.chdir(world.folder)
    monkeypatch.delenv("MAILRUN_WORKSPACE", raising=False)
    names: dict[str, Any] = {}
    for cell in CELLS:
        exec(compile(cell, "the guide", "exec"), names)  # noqa: S102 - our own documentation
    assert names["runs"].rows() == [(RUN, "finished", 30, 30, 0, 0)]
    assert names["by_domain"].rows() == [("example.com", "sent", 30)]
    assert names["not_sent"].is_empty()
    assert (names["audit"].problems, names["audit"].accounts.balanced) == ([], True)
    assert isinstance(names["outcomes"], pl.LazyFrame)
