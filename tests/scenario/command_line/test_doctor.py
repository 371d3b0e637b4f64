"""`mailrun doctor`: what is in order and what is not, one line each, before anything is sent."""

import os
from pathlib import Path
from typing import Any

from support.world import World


def by_part(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["part"]: finding for finding in told["findings"]}


def test_doctor_has_a_line_for_every_part_of_a_valid_workspace(world: World) -> None:
    (world.folder / ".mailrun").mkdir(mode=0o700, exist_ok=True)
    told = world.run("doctor")
    assert told.code == 0, told.stdout
    parts = ("versions", "workspace", "temporary files", "open files", "store", "ledger", "unsubscribe keys")
    assert all(f"ok       {part}" in told.stdout for part in parts)
    assert "none yet; the first launch creates the store's own" in told.stdout
    assert world.accepted() == []


def test_the_keys_of_unsubscribe_links_have_a_line(world: World) -> None:
    key = world.folder / ".mailrun/unsubscribe.key"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    key.write_text("s" * 40)
    world.settings["MAILRUN_UNSUBSCRIBE_KEYS"] = "k" * 40
    told = world.run("doctor", "--json")
    assert told.code == 0
    text = by_part(told.json)["unsubscribe keys"]["text"]
    assert text.startswith("1 in the settings, the first signs; the store's own (")
    assert text.endswith("still verifies")
    assert "k" * 40 not in told.stdout + told.stderr
    assert "s" * 40 not in told.stdout + told.stderr
    key.write_text("short")
    told = world.run("doctor", "--json")
    assert told.code == 78
    damaged = by_part(told.json)["unsubscribe keys"]
    assert (damaged["health"], "restore it from a backup" in damaged["remedy"]) == ("error", True)


def test_doctor_exits_with_78_and_shows_the_other_parts(world: World, tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.write_text("")
    told = world.run("doctor", "--json", "--store", str(file))
    assert told.code == 78
    parts = by_part(told.json)
    assert parts["store and ledger"]["health"] == "error"
    assert parts["temporary files"]["health"] == "ok"


def test_other_writers_are_a_warning_with_the_command_that_puts_it_right(world: World) -> None:
    store = world.folder / ".mailrun"
    store.mkdir(mode=0o700, exist_ok=True)
    os.chmod(store, 0o777)  # noqa: S103, PTH101 - what the warning is about
    told = world.run("doctor", "--json")
    assert told.code == 0
    warned = by_part(told.json)["other writers"]
    assert (warned["health"], "chmod o-w" in warned["remedy"]) == ("warning", True)
