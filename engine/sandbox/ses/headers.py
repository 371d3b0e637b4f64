"""Custom headers of Simple and Template content.

Source: SES API v2 `MessageHeader`; developer guide, "Amazon SES header fields".
"""

import re
from typing import Any

from engine.sandbox.http.replies import bad_request
from engine.sandbox.ses.draft import DraftHeader
from engine.sandbox.ses.members import items, required

MAX_HEADERS = 15
MAX_NAME_CHARACTERS = 126
MAX_VALUE_CHARACTERS = 995
MAX_HEADER_CHARACTERS = 996

_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_VALUE = re.compile(r"[ -~]{1,995}")
_SET_BY_SES = frozenset({
    "bcc", "cc", "content-disposition", "content-type", "date", "from", "message-id", "mime-version", "reply-to",
    "return-path", "subject", "to",
})  # fmt: skip
_ONCE_ONLY = frozenset({"in-reply-to", "list-unsubscribe", "list-unsubscribe-post", "references", "sender"})


def read_headers(source: dict[str, Any], member: str, *, path: str) -> list[DraftHeader]:
    """Return the headers of a list.

    Raises:
        ApiError: BadRequestException for a name or value that SES does not accept, or for too many.
    """
    headers: list[DraftHeader] = []
    given = items(source, member, dict, path=path)
    if len(given) > MAX_HEADERS:
        raise bad_request(f"{path}{member} has more than {MAX_HEADERS} headers.")
    where = f"{path}{member}."
    seen = set()
    for header in given:
        name, value = required(header, "Name", str, path=where), required(header, "Value", str, path=where)
        _check_header(name, value, where=where)
        lowered = name.lower()
        if lowered in seen and lowered in _ONCE_ONLY:
            raise bad_request(f"{where}Name: {name} may appear only once.")
        seen.add(lowered)
        headers.append({"name": name, "value": value})
    return headers


def merge_headers(defaults: list[DraftHeader], replacements: list[DraftHeader]) -> list[DraftHeader]:
    """Return the defaults, with those replaced or added that a bulk entry gives."""
    if not replacements:
        return defaults
    replaced = {header["name"].lower() for header in replacements}
    return [header for header in defaults if header["name"].lower() not in replaced] + replacements


def _check_header(name: str, value: str, *, where: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise bad_request(f"{where}Name must be 1 to {MAX_NAME_CHARACTERS} printable ASCII characters without a colon.")
    if name.lower() in _SET_BY_SES:
        raise bad_request(f"{where}Name: {name} is set by SES and must not be given.")
    if _VALUE.fullmatch(value) is None:
        raise bad_request(f"{where}Value of {name} must be 1 to {MAX_VALUE_CHARACTERS} printable ASCII characters.")
    if len(name) + len(value) > MAX_HEADER_CHARACTERS:
        raise bad_request(f"{where}Name and Value of {name} have more than {MAX_HEADER_CHARACTERS} characters.")
