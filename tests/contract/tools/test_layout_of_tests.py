"""The tests keep the rules of their layout, and each rule can be broken."""

from pathlib import Path

import pytest
from support.paths import ROOT

from tools import layout_of_tests as layout


def find(root: Path, *files: str, source: str = "") -> list[str]:
    for name in ("engine/store", *(str(Path(file).parent) for file in files)):
        (root / name).mkdir(parents=True, exist_ok=True)
    for file in files:
        (root / file).write_text(source, encoding="utf-8")
    return list(layout.find_faults(root))


def test_tests_keep_the_rules_of_their_layout() -> None:
    assert list(layout.find_faults(ROOT)) == []


def test_layout_accepts_rooms_of_the_engine_and_stories(tmp_path: Path) -> None:
    name = "test_" + "x" * (layout.MOST_CHARACTERS - 5)
    files = ["tests/unit/store/test_a.py", "tests/unit/test_a.py", "tests/contract/docs/test_a.py"]
    files += [f"tests/scenario/send/test_{number}.py" for number in range(layout.MOST_MODULES)]
    assert find(tmp_path, *files, source=f"async def {name}(): ...\n") == []


@pytest.mark.parametrize(
    ("files", "source", "fault"),
    [
        ([f"tests/crash/test_{n}.py" for n in range(21)], "", "tests/crash: 21 test modules"),
        (["tests/unit/shop/test_a.py"], "", "tests/unit/shop: engine/ has no such folder"),
        (["tests/unit/test_a.py"], f"def test_{'x' * 66}(): ...\n", "tests/unit/test_a.py:1: test_x"),
    ],
)
def test_layout_names_what_breaks_a_rule(tmp_path: Path, files: list[str], source: str, fault: str) -> None:
    (found,) = find(tmp_path, *files, source=source)
    assert found.startswith(fault)
