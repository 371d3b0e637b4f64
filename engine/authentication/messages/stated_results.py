"""What the receiving server states about a message: Authentication-Results and Received-SPF.

Anyone can write these fields into a message. A server adds its own above what it received, so only the topmost of each
can be the receiver's.

Sources: RFC 8601 2.2 (the form), 5 (forged fields); RFC 7208 9.1 (Received-SPF).
"""

import re

from msgspec import Struct

from engine.authentication.messages.fields import MessageFields
from engine.authentication.results_field import MethodResult, read_results_field
from engine.errors import escape_controls

_LONGEST_FIELD = 8192
_MOST_RESULTS = 40
_SHOWN = 253
_ENVELOPE_STATEMENT = "envelope-from"
# RFC 8601 2.7; large receivers also write the others.
_RESULTS = frozenset(
    ["pass", "fail", "none", "neutral", "policy", "temperror", "permerror", "softfail", "hardfail", "bestguesspass"]
)
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
    server, found = read_results_field(fields[0])
    envelope = next((one.result for one in found if one.method == _ENVELOPE_STATEMENT), "")  # as SES writes it
    results = tuple(_read(one, envelope) for one in found[:_MOST_RESULTS] if one.result in _RESULTS)
    if not results and not server:
        return StatedResults(others=others, problem="it names no server and no result")
    return StatedResults(_clean(server), results, others)


def _read(one: MethodResult, envelope: str) -> StatedResult:
    wanted = {"dkim": ("header.d", "header.i"), "spf": ("smtp.mailfrom", "smtp.helo"), "dmarc": ("header.from",)}
    value = next((one.properties[key] for key in wanted.get(one.method, ()) if one.properties.get(key)), "")
    value = value or (envelope if one.method == "spf" else "")
    return StatedResult(_clean(one.method), _clean(one.result), _clean(value.rpartition("@")[2]))


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
