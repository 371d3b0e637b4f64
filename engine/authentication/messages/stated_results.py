"""What the receiving server states about a message: Authentication-Results and Received-SPF.

Anyone can write these fields into a message. A server adds its own above what it received, so only the topmost of each
can be the receiver's.

Sources: RFC 8601 2.2 (the form), 5 (forged fields); RFC 7208 9.1 (Received-SPF).
"""

import re

import authres
from msgspec import Struct

from engine.authentication.messages.fields import MessageFields
from engine.errors import escape_controls

_LONGEST_FIELD = 8192
_MOST_RESULTS = 40
_SHOWN = 253
_SPF_RESULT = re.compile(r"\s*(pass|fail|softfail|neutral|none|temperror|permerror)\b", re.IGNORECASE)
_ENVELOPE = re.compile(r"""envelope-from\s*=\s*"?<?([^\s;">]{1,320})""", re.IGNORECASE)
_DOMAIN_OF = re.compile(r"domain of (?:[^\s@]{1,64}@)?([A-Za-z0-9._-]{1,253})")


class StatedResult(Struct, frozen=True):
    """One result: `method` such as dkim, `result` such as pass, and the `domain` that it is about; empty for none."""

    method: str
    result: str
    domain: str = ""


class StatedResults(Struct, frozen=True):
    """What the receiver states.

    Attributes:
        server: the authserv-id; empty where there is no field, or it cannot be read.
        results: in their order.
        others: how many more Authentication-Results fields there are; they prove nothing.
        problem: why the topmost field cannot be read.
    """

    server: str = ""
    results: tuple[StatedResult, ...] = ()
    others: int = 0
    problem: str = ""

    def find(self, method: str) -> tuple[StatedResult, ...]:
        """Return the results of a method."""
        return tuple(one for one in self.results if one.method == method)


def read_stated_results(message: MessageFields) -> StatedResults:
    """Read the topmost Authentication-Results field."""
    fields = message.all("authentication-results")
    if not fields:
        return StatedResults()
    others = len(fields) - 1
    if len(fields[0]) > _LONGEST_FIELD:
        return StatedResults(others=others, problem="it is too long")
    try:
        parsed = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {fields[0]}")
        results = tuple(_read(one) for one in parsed.results[:_MOST_RESULTS])
    except (authres.AuthResError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        return StatedResults(others=others, problem=escape_controls(str(error))[:200] or "it is not valid")
    return StatedResults(_clean(parsed.authserv_id), results, others)


def _read(one: authres.AuthenticationResult) -> StatedResult:
    wanted = {
        "dkim": (("header", "d"), ("header", "i")),
        "spf": (("smtp", "mailfrom"), ("smtp", "helo")),
        "dmarc": (("header", "from"),),
    }.get(one.method, ())
    given = {(item.type, item.name): item.value for item in one.properties}
    value = next((given[key] for key in wanted if given.get(key)), "")
    return StatedResult(
        _clean(one.method).lower(), _clean(one.result).lower(), _clean(value.rpartition("@")[2]).lower()
    )


def read_stated_spf(message: MessageFields, stated: StatedResults) -> StatedResult | None:
    """Return the receiver's SPF result: of Authentication-Results, otherwise of Received-SPF; None for none."""
    found = stated.find("spf")
    if found:
        return found[0]
    value = (message.first("received-spf") or "")[:_LONGEST_FIELD]
    result = _SPF_RESULT.match(value)
    if result is None:
        return None
    domain = _ENVELOPE.search(value) or _DOMAIN_OF.search(value)
    return StatedResult("spf", result[1].lower(), _clean(domain[1].rpartition("@")[2]).lower() if domain else "")


def _clean(text: object) -> str:
    return escape_controls(str(text or ""))[:_SHOWN]
