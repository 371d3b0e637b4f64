"""The DNS lookups that an SPF record costs a receiver (RFC 7208 4.6.4), counted by checkdmarc.

checkdmarc evaluates a record without input or output: it is given the answers that are known, and evaluated again after
each question that it lacks. So a time-out anywhere is an unknown count, and never a missing record.
"""

import re
from types import SimpleNamespace
from typing import Any

import checkdmarc.spf
import checkdmarc.utils
import dns.name
import dns.resolver
from msgspec import Struct

from engine.authentication.domains.rules import give_fail, give_pass, give_unknown, give_unknown_because, show
from engine.authentication.domains.spf_record import find_spf_records
from engine.authentication.resolver import Absence, Absent, Records, Resolver, Unknown, read_exchangers
from engine.authentication.results import RuleResult

LOOKUPS_MAXIMUM = 10
VOID_LOOKUPS_MAXIMUM = 2
QUESTIONS_MAXIMUM = 120  # of one record: ten terms mx with ten hosts each, and some
LENGTH_MAXIMUM = 8192  # characters of a record that are parsed

Known = dict[tuple[str, str], Records | Absent]


class LookupCount(Struct, frozen=True):
    """What a valid record costs."""

    lookups: int
    void_lookups: int


class SpfFault(Struct, frozen=True):
    """Why a record is a permanent error.

    Attributes:
        code: spf_syntax, spf_lookups or spf_void_lookups.
        what: a sentence.
    """

    code: str
    what: str


class NeededAnswer(Exception):  # noqa: N818 - not an error: a question
    """An answer that evaluation lacks."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name, kind)
        self.name, self.kind = name, kind


async def check_lookups(resolver: Resolver, domain: str, record: str) -> list[RuleResult]:
    """Follow what a record includes, and judge its cost.

    Args:
        resolver: asks DNS.
        domain: whose record it is.
        record: the only SPF record.
    """
    known: Known = {}
    for _ in range(QUESTIONS_MAXIMUM):
        try:
            found = count_lookups(record, domain, known)
        except NeededAnswer as needed:
            answer = await resolver.query(needed.name, needed.kind)
            if isinstance(answer, Unknown):
                return [give_unknown("spf_lookups", answer, needed.kind)]
            known[needed.name, needed.kind] = answer
            continue
        return judge_count(domain, found)
    what = f"more than {QUESTIONS_MAXIMUM} DNS questions are needed to follow the record"
    return [give_unknown_because("spf_lookups", what, domain, "remove terms of the record")]


def judge_count(domain: str, found: LookupCount | SpfFault) -> list[RuleResult]:
    """Judge the cost of a record."""
    if isinstance(found, SpfFault):
        remedy = {
            "spf_syntax": "correct the record, or remove what it includes",
            "spf_lookups": "remove terms that you do not need; MAIL FROM needs include:amazonses.com only",
            "spf_void_lookups": "remove the terms whose names have no records",
        }[found.code]
        return [give_fail(found.code, show(found.what), domain, remedy)]
    return [
        give_pass("spf_syntax", "the record is valid", domain),
        give_pass("spf_lookups", f"it needs {found.lookups} of {LOOKUPS_MAXIMUM} lookups", domain),
        give_pass("spf_void_lookups", f"{found.void_lookups} of them find nothing", domain),
    ]


def count_lookups(record: str, domain: str, known: Known) -> LookupCount | SpfFault:
    """Evaluate a record on answers that are known.

    Raises:
        NeededAnswer: another answer is needed.
    """
    checkdmarc.utils.DNS_CACHE.clear()  # of the process: it would give answers of another evaluation
    try:
        found = checkdmarc.spf.parse_spf_record(
            _prepare(record),
            domain,
            resolver=_KnownAnswers(known),
            retries=0,
        )
    except checkdmarc.spf.SPFTooManyDNSLookups as error:
        return SpfFault("spf_lookups", _clean(error))
    except checkdmarc.spf.SPFTooManyVoidDNSLookups as error:
        return SpfFault("spf_void_lookups", _clean(error))
    except checkdmarc.spf.SPFError as error:
        return SpfFault("spf_syntax", _clean(error))
    except RecursionError:
        return SpfFault("spf_syntax", "the records include each other too deeply")
    finally:
        checkdmarc.utils.DNS_CACHE.clear()
    return LookupCount(found["dns_lookups"], found["void_dns_lookups"])


def _clean(error: Exception) -> str:
    return " ".join(str(error).split())


def _prepare(record: str) -> str:
    """Write a record as checkdmarc reads it.

    exp= is left out: it costs a receiver nothing, and checkdmarc would look it up by the system's resolver. checkdmarc
    refuses a version in capitals, which RFC 7208 12 permits.
    """
    if len(record) > LENGTH_MAXIMUM:
        raise checkdmarc.spf.SPFSyntaxError(f"a record has more than {LENGTH_MAXIMUM:,} characters")
    text = re.sub(r"(?i)(?<=\s)exp=\S*", "", record)
    return re.sub(r"(?i)\Av=spf1(?= |\Z)", "v=spf1", text)


class _KnownAnswers:
    """Stands in for a resolver of dnspython."""

    lifetime = 1.0

    def __init__(self, known: Known) -> None:
        self._known = known

    def resolve(self, name: str, kind: str, **_: Any) -> list[Any]:
        """Answer as dnspython does."""
        if kind in {"SPF", "CNAME"}:  # asked for warnings that are not used
            raise _nothing()
        name = str(name).lower().removesuffix(".")
        if (name, kind) not in self._known:
            raise NeededAnswer(name, kind)
        answer = self._known[name, kind]
        if isinstance(answer, Records):
            return _imitate(answer, kind)
        if answer.reason is Absence.NODATA:
            raise _nothing()
        raise dns.resolver.NXDOMAIN


def _nothing() -> Exception:
    return dns.resolver.NoAnswer(response=SimpleNamespace(question="", answer=[]))  # type: ignore[no-untyped-call]


def _imitate(answer: Records, kind: str) -> list[Any]:
    """Make records as checkdmarc reads them."""
    if kind == "TXT":
        records = find_spf_records(answer.values)
        others = [value for value in answer.values if value not in records]
        return [SimpleNamespace(strings=[value.encode()]) for value in (*map(_prepare, records), *others)]
    if kind == "MX":
        return [
            SimpleNamespace(preference=one.preference, exchange=dns.name.from_text(one.host or "."))
            for one in read_exchangers(answer)
        ]
    return [SimpleNamespace(to_text=lambda value=value: value) for value in answer.values]
