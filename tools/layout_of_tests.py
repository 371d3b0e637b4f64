"""Check the layout of the tests: where they are, how many share a folder, and how they are named.

Prints what breaks a rule and exits with 1 then; run from anywhere as `python -m tools.layout_of_tests`.

- A folder has at most 20 test modules.
- The folders of tests/unit, tests/contract and tests/property have the names of folders of engine/, or of another part
  of the project.
- A test's name has at most 70 characters.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MOST_MODULES = 20
MOST_CHARACTERS = 70
MIRRORS = ("unit", "contract", "property")
BESIDE = ("docs", "requirements", "tools")  # parts of the project outside of the engine
_ROOT = Path(__file__).parents[1]


def find_faults(root: Path) -> Iterator[str]:
    """Yield what breaks a rule, a sentence each, sorted by path.

    Args:
        root: the folder that holds `tests` and `engine`.
    """
    files = sorted((root / "tests").rglob("test_*.py"))
    for folder, count in Counter(file.parent.relative_to(root) for file in files).items():
        if count > MOST_MODULES:
            yield f"{folder}: {count} test modules, more than {MOST_MODULES}: move some into a folder"
        if not _is_mirror(root, folder):
            yield f"{folder}: engine/ has no such folder: move its tests to the folder of the code that they test"
    for file in files:
        yield from (f"{file.relative_to(root)}:{fault}" for fault in _find_long_names(file))


def _is_mirror(root: Path, folder: Path) -> bool:
    _, kind, *rooms = folder.parts
    return kind not in MIRRORS or not rooms or rooms[0] in BESIDE or root.joinpath("engine", *rooms).is_dir()


def _find_long_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            length = len(node.name)
            if length > MOST_CHARACTERS:
                yield f"{node.lineno}: {node.name} has {length} characters, more than {MOST_CHARACTERS}: shorten it"


def main() -> int:
    """Print what breaks a rule in the tests; returns the exit code."""
    faults = list(find_faults(_ROOT))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
