"""The SPF record of the MAIL FROM domain itself, without the records that it includes (RFC 7208)."""

import re

from engine.authentication.domains.rules import explain_absence, give_advice, give_fail, give_pass, give_unknown, show
from engine.authentication.resolver import Absent, Answer, Unknown
from engine.authentication.results import RuleResult

WANTED = "v=spf1 include:amazonses.com ~all"
_AMAZONSES = re.compile(r"[+]?include:amazonses\.com\.?", re.IGNORECASE)
_ALL = re.compile(r"([+?~-]?)all", re.IGNORECASE)
_PTR = re.compile(r"[+?~-]?ptr(:.*)?", re.IGNORECASE)


def find_spf_records(values: tuple[str, ...]) -> list[str]:
    """List the SPF records among TXT records: `v=spf1`, and a space or the end (RFC 7208 4.5)."""
    return [value for value in values if re.match(r"v=spf1( |$)", value, re.IGNORECASE)]


def read_spf_record(name: str, answer: Answer) -> str | RuleResult:
    """Return the only SPF record of a name, or why there is not one."""
    remedy = f"add: {name} TXT {WANTED}"
    if isinstance(answer, Unknown):
        return give_unknown("spf_record", answer, "SPF")
    if isinstance(answer, Absent):
        return give_fail("spf_record", explain_absence(answer, "SPF"), name, remedy)
    found = find_spf_records(answer.values)
    if len(found) > 1:
        what = f"there are {len(found)} SPF records: receivers then use none of them"
        return give_fail("spf_record", what, name, f"replace all of them with one: {WANTED}")
    if not found:
        similar = next((value for value in answer.values if "spf" in value[:12].lower()), "")
        what = f"no TXT record is an SPF record{f'; this one is not valid: {show(similar)}' if similar else ''}"
        return give_fail("spf_record", what, name, remedy)
    return found[0]


def judge_terms(name: str, record: str) -> list[RuleResult]:
    """Judge the terms of one record: does it permit SES, and does it permit too much?

    Args:
        name: of the record.
        record: beginning with v=spf1.
    """
    terms = record.split()[1:]
    end = next((i for i, term in enumerate(terms) if _ALL.fullmatch(term)), len(terms))
    results = [
        give_pass("spf_record", show(record), name),
        _judge_include(name, terms[:end], record),
        *_judge_all(name, terms),
    ]
    if any(_PTR.fullmatch(term) for term in terms[:end]):
        what = "the record uses ptr, which is slow, unreliable and deprecated"
        results.append(give_advice("spf_ptr", what, name, "remove the term"))
    return results


def _judge_include(name: str, terms: list[str], record: str) -> RuleResult:
    if any(_AMAZONSES.fullmatch(term) for term in terms):
        return give_pass("spf_amazonses", "the record permits SES", name)
    if any(term.lower().startswith(("include:", "redirect=")) for term in terms):
        what = f"the record does not include amazonses.com itself: {show(record)}"
        remedy = "add include:amazonses.com, unless a record that this one includes has it"
        return give_advice("spf_amazonses", what, name, remedy)
    what = f"the record does not permit SES: {show(record)}"
    return give_fail("spf_amazonses", what, name, "add include:amazonses.com before the term `all`")


def _judge_all(name: str, terms: list[str]) -> list[RuleResult]:
    found = next((match[1] for term in terms if (match := _ALL.fullmatch(term))), None)
    remedy = "end the record with ~all"
    if found is None:
        if any(term.lower().startswith("redirect=") for term in terms):
            return []
        return [give_advice("spf_all", "the record does not say what is not permitted: `all` is missing", name, remedy)]
    if found in {"", "+"}:
        what = "the record permits every server of the internet (+all): receivers treat such mail as spam"
        return [give_fail("spf_all", what, name, remedy)]
    if found == "?":
        return [give_advice("spf_all", "the record says nothing about other servers (?all)", name, remedy)]
    return [give_pass("spf_all", f"the record ends with {found}all", name)]
