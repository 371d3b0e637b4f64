"""The DMARC policy that applies to a message, as far as alignment needs it.

Sources: RFC 7489 6.3 (tags), 6.6.3 (where the record is looked for).
"""

from enum import StrEnum

from msgspec import Struct

from engine.authentication.alignment import find_organizational_domain
from engine.authentication.dkim_signatures import read_tags
from engine.authentication.resolver import Records, Resolver, Unknown


class PolicyState(StrEnum):
    """Whether there is a policy."""

    FOUND = "found"
    MISSING = "missing"  # certainly; also where there are several records, which then count for nothing
    UNKNOWN = "unknown"  # DNS did not answer


class DmarcPolicy(Struct, frozen=True):
    """The policy for mail from a domain.

    Attributes:
        state: whether there is one.
        name: the DNS name of the record, or the name that was asked first.
        policy: none, quarantine or reject; of the subdomain where it is found at the organizational domain.
        strict_dkim: `adkim=s`.
        strict_spf: `aspf=s`.
        problem: why it is missing or unknown.
    """

    state: PolicyState
    name: str
    policy: str = ""
    strict_dkim: bool = False
    strict_spf: bool = False
    problem: str = ""


async def ask_for_policy(domain: str, resolver: Resolver) -> DmarcPolicy:
    """Ask for the policy of a domain: at the domain, then at its organizational domain."""
    first = f"_dmarc.{domain}"
    for owner in dict.fromkeys((domain, find_organizational_domain(domain))):
        name = f"_dmarc.{owner}"
        match await resolver.query(name, "TXT"):
            case Unknown(reason=reason):
                return DmarcPolicy(PolicyState.UNKNOWN, name, problem=f"DNS did not answer ({reason})")
            case Records(values=values):
                records = [value for value in values if value.strip().lower().startswith("v=dmarc1")]
                if len(records) > 1:
                    return DmarcPolicy(PolicyState.MISSING, name, problem="there are several records: none counts")
                if records:
                    return _read(records[0], name, is_subdomain=owner != domain)
    return DmarcPolicy(PolicyState.MISSING, first, problem="there is no record")


def _read(record: str, name: str, *, is_subdomain: bool) -> DmarcPolicy:
    tags = {tag.lower(): value.lower() for tag, value in (read_tags(record) or {}).items()}
    policy = (tags.get("sp") if is_subdomain else None) or tags.get("p", "")
    if policy not in ("none", "quarantine", "reject"):
        if "rua" not in tags:
            return DmarcPolicy(PolicyState.MISSING, name, problem="the record has no valid p= tag")
        policy = "none"  # RFC 7489 6.6.3, step 6
    return DmarcPolicy(
        PolicyState.FOUND, name, policy, strict_dkim=tags.get("adkim") == "s", strict_spf=tags.get("aspf") == "s"
    )
