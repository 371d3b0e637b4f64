"""Members of a JSON request, read with their types checked and named in errors."""

from typing import Any, TypeVar

from engine.sandbox.http.replies import bad_request

T = TypeVar("T")

_NAMES = {dict: "a structure", list: "a list", str: "a string", bool: "true or false", int: "an integer"}


def optional(source: dict[str, Any], name: str, kind: type[T], *, path: str = "") -> T | None:
    """Return a member, None when it is absent or null.

    Args:
        source: the structure.
        name: the member.
        kind: the type that its value must have.
        path: where the structure is in the request, for the error.

    Raises:
        ApiError: BadRequestException that names the member.
    """
    value = source.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise bad_request(f"{path}{name} must be {_NAMES[kind]}.")


def required(source: dict[str, Any], name: str, kind: type[T], *, path: str = "") -> T:
    """Return a member that must be there; see `optional`."""
    value = optional(source, name, kind, path=path)
    if value is None:
        raise bad_request(f"{path}{name} must not be null.")
    return value


def items(source: dict[str, Any], name: str, kind: type[T], *, path: str = "") -> list[T]:
    """Return a list of which every item has a type, empty when it is absent; see `optional`."""
    values: list[T] = optional(source, name, list, path=path) or []
    for value in values:
        if not isinstance(value, kind):
            raise bad_request(f"{path}{name} must hold {_NAMES[kind]} in every place.")
    return values


def one_of(source: dict[str, Any], name: str, allowed: tuple[str, ...], *, path: str = "") -> str | None:
    """Return a member that is one of some words; see `optional`."""
    value = optional(source, name, str, path=path)
    if value is not None and value not in allowed:
        raise bad_request(f"{path}{name} must be one of {', '.join(allowed)}.")
    return value


def check_length(value: str | None, *, minimum: int = 0, maximum: int, where: str) -> None:
    """Refuse a string that is too short or too long."""
    if value is not None and not minimum <= len(value) <= maximum:
        raise bad_request(f"{where} must have {minimum} to {maximum} characters.")
