"""Address suites of other projects, read from their source distributions: cases and verdicts, no code."""

import ast
import json
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(sys.prefix) / "foreign"


@dataclass(frozen=True, slots=True)
class Case:
    """An address, and whether a suite treats it as valid."""

    suite: str
    text: str
    is_good: bool


def is_fetched() -> bool:
    return FOLDER.is_dir()


def read_cases() -> list[Case]:
    """Read all suites; each case once."""
    cases = [
        *_read_email_validator(),
        *_read_json_schema(),
        *_read_django(),
        *_read_validators(),
        *_read_marshmallow(),
    ]
    return list(dict.fromkeys(cases))


def read_source(project: str, path: str) -> str:
    """Read a file of a source distribution."""
    (archive,) = FOLDER.glob(f"{project}-*.tar.gz")
    with tarfile.open(archive) as tar:
        member = next(item for item in tar if item.name.partition("/")[2] == path)
        file = tar.extractfile(member)
        assert file is not None
        return file.read().decode()


def _parameters(tree: ast.AST, test: str) -> Iterator[list[ast.expr]]:
    """The parameter rows of a test."""
    function = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == test)
    for decorator in function.decorator_list:
        assert isinstance(decorator, ast.Call)
        rows = decorator.args[1]
        assert isinstance(rows, (ast.List, ast.Tuple))
        for row in rows.elts:
            yield list(row.elts) if isinstance(row, (ast.Tuple, ast.List)) else [row]


def _value(node: ast.expr) -> Any:
    """The value of an expression of literals, %, * and +."""
    code = compile(ast.Expression(node), "case", "eval")
    return eval(code, {"__builtins__": {}})  # noqa: S307 - literals of a file whose hash is pinned


def _read_email_validator() -> Iterator[Case]:
    tree = ast.parse(read_source("email_validator", "tests/test_syntax.py"))
    for test, is_good in {
        "test_email_valid": True,
        "test_email_valid_intl_local_part": True,
        "test_email_valid_only_if_quoted_local_part": False,
        "test_email_invalid_syntax": False,
        "test_email_invalid_syntax_strict": False,
        "test_email_invalid_syntax_display_name": False,
        "test_email_invalid_reserved_domain": False,
        "test_email_invalid_character_smtputf8_off": False,
    }.items():
        for row in _parameters(tree, test):
            yield Case("email-validator", str(_value(row[0])), is_good)
    for row in _parameters(tree, "test_pyisemail_tests"):
        yield Case("isemail", str(_value(row[0])), _value(row[1]) == "ISEMAIL_VALID")


def _read_json_schema() -> Iterator[Case]:
    for name in ("email", "idn-email"):
        for group in json.loads(read_source("jsonschema", f"json/tests/draft2020-12/optional/format/{name}.json")):
            for test in group["tests"]:
                if isinstance(test["data"], str):
                    yield Case(f"JSON Schema {name}", test["data"], test["valid"])


def _read_django() -> Iterator[Case]:
    tree = ast.parse(read_source("django", "tests/validators/tests.py"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Tuple) or len(node.elts) != 3:
            continue
        validator, text, error = node.elts
        if isinstance(validator, ast.Name) and validator.id == "validate_email" and (value := _value(text)) is not None:
            yield Case("Django", str(value), isinstance(error, ast.Constant) and error.value is None)


def _read_validators() -> Iterator[Case]:
    tree = ast.parse(read_source("validators", "tests/test_email.py"))
    for test, is_good in {
        "test_returns_true_on_valid_email": True,
        "test_returns_failed_validation_on_invalid_email": False,
    }.items():
        for row in _parameters(tree, test):
            if isinstance(value := _value(row[0]), str):
                yield Case("validators", value, is_good)


def _read_marshmallow() -> Iterator[Case]:
    tree = ast.parse(read_source("marshmallow", "tests/test_validate.py"))
    for test, is_good in {"test_email_valid": True, "test_email_invalid": False}.items():
        for row in _parameters(tree, test):
            if isinstance(value := _value(row[0]), str):
                yield Case("marshmallow", value, is_good)
