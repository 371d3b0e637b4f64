"""The engine keeps the size rules of its layout, and each rule can be broken."""

from pathlib import Path

import pytest

from tools import layout


def find(root: Path, **modules: str) -> list[str]:
    for name, source in modules.items():
        path = root / "package" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return list(layout.find_faults(root, "package"))


def test_engine_keeps_the_rules_of_its_layout() -> None:
    assert list(layout.find_faults(Path(layout.__file__).parents[1], "engine")) == []


def test_layout_accepts_what_is_as_large_as_allowed(tmp_path: Path) -> None:
    modules = {f"folder__m{number}": "class _Own:\n    pass\n" for number in range(layout.MOST_MODULES)}
    function = "def f():\n" + '    """Doc.\n    """\n' + "    x = 1\n" * (layout.MOST_FUNCTION_LINES - 1)
    long = "x = 1\n" * (layout.MOST_LINES - layout.MOST_FUNCTION_LINES - 2) + function
    assert find(tmp_path, **modules, long=long, folder____init__="") == []


@pytest.mark.parametrize(
    ("modules", "fault"),
    [
        ({f"folder__m{number}": "" for number in range(layout.MOST_MODULES + 1)}, "package/folder: 21 modules"),
        ({"long": "x = 1\n" * (layout.MOST_LINES + 1)}, "package/long.py: 401 lines"),
        ({"m": "async def f():\n" + "    x = 1\n" * layout.MOST_FUNCTION_LINES}, "package/m.py:1: f has 61 lines"),
        ({"a": "class Same: ...\n", "b": "class Same: ...\n"}, "class Same is in package/a.py and in package/b.py"),
        ({"a": "import package.b\n", "b": "def f():\n    from package.a import x\n"}, "modules import each other"),
        ({"a": "from package import b\n", "b": "from package import a\n"}, "modules import each other"),
    ],
)
def test_layout_names_what_breaks_a_rule(tmp_path: Path, modules: dict[str, str], fault: str) -> None:
    (found,) = find(tmp_path, **modules)
    assert found.startswith(fault)
