"""Which DMARC record applies to a domain: its own, or one above it, found by the tree walk (RFC 9989 4.10)."""

import asyncio
from enum import StrEnum

from msgspec import Struct

from engine.authentication.domains.rules import give_fail, give_pass, give_unknown, show
from engine.authentication.resolver import Answer, Records, Resolver, Unknown
from engine.authentication.results import RuleResult
from engine.authentication.tag_list import read_tags, starts_with_version

WALK_MAXIMUM = 8  # questions of one walk: RFC 9989 4.10


class Policy(StrEnum):
    """What a receiver does with mail that fails DMARC."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


class DmarcRecord(Struct, frozen=True):
    """A record that applies to the From domain.

    Attributes:
        domain: whose record it is; it stands at _dmarc.DOMAIN.
        text: of the record.
        tags: of the record, names in lower case.
        is_own: whether it is the From domain's own; else its policy for subdomains applies.
    """

    domain: str
    text: str
    tags: dict[str, str]
    is_own: bool

    @property
    def where(self) -> str:
        """The DNS name."""
        return f"_dmarc.{self.domain}"

    def find_policy(self, *, domain_exists: bool = True) -> Policy | None:
        """Return the policy for the From domain: p, sp or np (RFC 9989 4.7); None where it is not valid.

        Args:
            domain_exists: whether the From domain does; np is for those that do not.
        """
        names = ["p"] if self.is_own else ["sp", "p"] if domain_exists else ["np", "sp", "p"]
        value = next((self.tags[name] for name in names if name in self.tags), "").lower()
        return Policy(value) if value in set(Policy) else None

    def is_strict(self, tag: str) -> bool:
        """Return whether adkim or aspf asks for the same domain."""
        return self.tags.get(tag, "r").lower() == "s"


def list_walk(domain: str) -> list[str]:
    """List the domains whose records are asked for, from the domain itself up.

    >>> list_walk("a.b.acme.example")
    ['a.b.acme.example', 'b.acme.example', 'acme.example', 'example']
    """
    labels = domain.split(".")
    above = range(1 if len(labels) <= WALK_MAXIMUM else len(labels) - WALK_MAXIMUM + 1, len(labels))
    return [domain, *(".".join(labels[i:]) for i in above)]


async def find_dmarc_record(resolver: Resolver, from_domain: str) -> tuple[DmarcRecord | None, RuleResult]:
    """Find the record that applies, and judge whether there is one."""
    own, *above = list_walk(from_domain)
    answers = {own: await resolver.query(f"_dmarc.{own}", "TXT")}
    if not (isinstance(answers[own], Unknown) or _list_records(answers[own])):
        found = await asyncio.gather(*(resolver.query(f"_dmarc.{name}", "TXT") for name in above))
        answers |= zip(above, found, strict=True)
    return judge_walk(answers)


def judge_walk(answers: dict[str, Answer]) -> tuple[DmarcRecord | None, RuleResult]:
    """Choose the record.

    Args:
        answers: domain to the answer for TXT of _dmarc.DOMAIN, from the From domain up.
    """
    from_domain = next(iter(answers))
    own = _list_records(answers[from_domain])
    if len(own) > 1:
        what = f"there are {len(own)} DMARC records: receivers then use none of them"
        remedy = "keep one record that begins with v=DMARC1"
        return None, give_fail("dmarc_record", what, f"_dmarc.{from_domain}", remedy)
    walked = {name: records[0] for name, answer in answers.items() if len(records := _list_records(answer)) == 1}
    chosen = _choose(walked, from_domain)
    if chosen is not None:
        record = DmarcRecord(chosen, walked[chosen], read_tags(walked[chosen]) or {}, chosen == from_domain)
        return record, give_pass("dmarc_record", show(record.text), record.where)
    for answer in answers.values():
        if isinstance(answer, Unknown):
            return None, give_unknown("dmarc_record", answer, "DMARC")
    return None, _explain_missing(from_domain, answers[from_domain])


def _explain_missing(from_domain: str, answer: Answer) -> RuleResult:
    similar = [value for value in answer.values if "dmarc" in value[:16].lower()] if isinstance(answer, Records) else []
    what = "there is no DMARC record, for the domain or above it"
    if similar:
        what = f"the record does not begin with v=DMARC1: {show(similar[0])}"
    remedy = f'add: _dmarc.{from_domain} TXT "v=DMARC1; p=none; rua=mailto:ADDRESS"'
    return give_fail("dmarc_record", what, f"_dmarc.{from_domain}", remedy)


def _choose(walked: dict[str, str], from_domain: str) -> str | None:
    """Choose as RFC 9989 4.10 does: the domain's own, else that of the organization, else that of its registry."""
    if from_domain in walked:
        return from_domain
    chosen = None
    for name, record in walked.items():
        psd = (read_tags(record) or {}).get("psd", "").lower()
        if psd == "y" and chosen is not None:
            break  # the record below it is the organization's
        chosen = name
        if psd in {"n", "y"}:
            break
    return chosen


def _list_records(answer: Answer) -> list[str]:
    values = answer.values if isinstance(answer, Records) else ()
    return [value for value in values if starts_with_version(value, "DMARC1")]
