"""Lists in pages, with an opaque token for the next one."""

import binascii
from base64 import b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from engine.sandbox.http.replies import ApiError, bad_request

MAX_PAGE_SIZE = 1000

T = TypeVar("T")


class PageRequest(NamedTuple):
    """How many things to list, and after which one to begin."""

    size: int
    after: str


def read_page_request(
    query: dict[str, list[str]], request: dict[str, Any], *, invalid_next_code: str = "BadRequestException"
) -> PageRequest:
    """Return PageSize and NextToken, from the query or the JSON document of a request.

    Args:
        query: the query string, parsed.
        request: the JSON document.
        invalid_next_code: the error code for a token that this server did not make.

    Raises:
        ApiError: for either of them.
    """
    size = query.get("PageSize", [request.get("PageSize") or MAX_PAGE_SIZE])[0]
    token = query.get("NextToken", [request.get("NextToken") or ""])[0]
    if not str(size).isdecimal() or not 1 <= int(size) <= MAX_PAGE_SIZE:
        raise bad_request(f"PageSize must be 1 to {MAX_PAGE_SIZE}.")
    try:
        return PageRequest(int(size), b64decode(str(token).encode(), b"-_", validate=True).decode())
    except (binascii.Error, UnicodeError):
        raise ApiError(invalid_next_code, "NextToken is not valid.") from None


def page_of(
    values: Sequence[T], *, key: Callable[[T], str], request: PageRequest
) -> tuple[Sequence[T], dict[str, str]]:
    """Return a page of sorted values, and the `NextToken` member where there are more."""
    start = bisect_right(values, request.after, key=key) if request.after else 0
    page = values[start : start + request.size]
    if start + request.size >= len(values):
        return page, {}
    return page, {"NextToken": urlsafe_b64encode(key(page[-1]).encode()).decode()}
