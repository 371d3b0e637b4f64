"""Check the layout of the engine: the sizes of folders, modules and functions, class names, circular imports.

Prints what breaks a rule and exits with 1 then; run from anywhere as `python -m tools.layout`.

- A folder has at most 20 modules, `__init__.py` not counted.
- A module has at most 400 lines.
- A function has at most 60 lines, its docstring not counted: signatures and docstrings name arguments one by one.
- No two modules have a public class of the same name, so that a name is clear where it is imported.
- No modules import each other in a circle; imports in functions and for types count too.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

MOST_MODULES = 20
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
_ROOT = Path(__file__).parents[1]


def find_faults(root: Path, package: str) -> Iterator[str]:
    """Yield what breaks a rule, a sentence each, sorted by path.

    Args:
        root: the folder that paths are relative to.
        package: the folder in it whose modules are checked.
    """
    files = sorted((root / package).rglob("*.py"))
    trees = {file: ast.parse(file.read_bytes()) for file in files}
    yield from _find_full_folders(root, files)
    for file, tree in trees.items():
        path = file.relative_to(root)
        lines = len(file.read_bytes().splitlines())
        if lines > MOST_LINES:
            yield f"{path}: {lines} lines, more than {MOST_LINES}: divide it into modules by topic"
        yield from (f"{path}:{fault}" for fault in _find_long_functions(tree))
    yield from _find_shared_names({str(file.relative_to(root)): tree for file, tree in trees.items()})
    yield from _find_circle({_name_module(file.relative_to(root)): tree for file, tree in trees.items()})


def _find_full_folders(root: Path, files: Sequence[Path]) -> Iterator[str]:
    modules: dict[Path, int] = defaultdict(int)
    for file in files:
        modules[file.parent] += file.name != "__init__.py"
    for folder, count in modules.items():
        if count > MOST_MODULES:
            yield f"{folder.relative_to(root)}: {count} modules, more than {MOST_MODULES}: move some into a folder"


def _find_long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = _count_lines(node)
            if lines > MOST_FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines, more than {MOST_FUNCTION_LINES}: divide it"


def _count_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    last, first = function.end_lineno or function.lineno, function.body[0]
    docstring = 0
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        docstring = (first.end_lineno or first.lineno) - first.lineno + 1
    return last - function.lineno + 1 - docstring


def _find_shared_names(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield f"class {name} is in {' and in '.join(found)}: rename all but one"


def _name_module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _find_circle(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    graph = {name: set(_find_imports(tree)) & trees.keys() for name, tree in trees.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"modules import each other in a circle: {' < '.join(error.args[1])}"


def _find_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def main() -> int:
    """Print what breaks a rule in the engine; returns the exit code."""
    faults = list(find_faults(_ROOT, "engine"))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
