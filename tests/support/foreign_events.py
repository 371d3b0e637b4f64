"""Sample events of django-ses, read from its source distribution; its code does not run."""

import ast
from collections.abc import Iterator
from typing import Any

from support.foreign import read_source

_OBJECTS = {
    "bounce": "Bounce",
    "complaint": "Complaint",
    "delivery": "Delivery",
    "open": "Open",
    "click": "Click",
    "send": "Send",
}


def read_records() -> list[dict[str, Any]]:
    """Read django-ses's records, each under both names of its type."""
    tree = ast.parse(read_source("django_ses", "tests/mocks.py"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    mail = next(_returned(functions["get_mock_email"]))
    return [
        {specifier: _OBJECTS[name], "mail": mail, name: details}
        for function in functions.values()
        for name, details in _assigned(function)
        for specifier in ("eventType", "notificationType")
        if name in _OBJECTS
    ]


def read_signed() -> tuple[list[dict[str, Any]], bytes]:
    """Read the notifications that AWS signed, and the certificate of SNS that they name."""
    tree = ast.parse(read_source("django_ses", "tests/test_verifier.py"))
    values = dict(_assigned(tree))
    certificate = next(v for v in values.values() if isinstance(v, bytes) and b"BEGIN CERTIFICATE" in v)
    return [values["valid_msg"], values["valid_msg_missing_fields"]], certificate


def _assigned(tree: ast.AST) -> Iterator[tuple[str, Any]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                yield node.targets[0].id, ast.literal_eval(node.value)
            except ValueError:
                continue  # made by a call


def _returned(function: ast.FunctionDef) -> Iterator[Any]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield ast.literal_eval(node.value)
