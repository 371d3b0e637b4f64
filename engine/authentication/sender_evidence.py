"""Evidence about authentication for the sender rules, from what SES and DNS say of the sending domain. Pure."""

from collections.abc import Iterator, Sequence

from engine.authentication.alignment import is_aligned
from engine.authentication.domains.dmarc_record import DmarcRecord
from engine.authentication.domains.facts import DomainFacts
from engine.authentication.results import RuleResult, Verdict
from engine.authentication.sender_rules import Evidence

_READY = "SUCCESS"
_SETUP = "mailrun ses setup {0} prints the DNS records, and mailrun ses verify {0} checks them"


def list_domain_evidence(
    facts: DomainFacts, record: DmarcRecord | None, results: Sequence[RuleResult]
) -> Iterator[Evidence]:
    """Yield the evidence for SPF, DKIM, DMARC and alignment.

    Args:
        facts: what SES says of the identity.
        record: the DMARC record that applies; None where there is none or it is not known.
        results: of the checks of MAIL FROM and DMARC.
    """
    spf = _judge_spf(facts, [one for one in results if one.code.startswith("spf_")])
    yield spf
    yield _judge_dkim(facts)
    found = next((one for one in results if one.code == "dmarc_record"), None)
    if found is not None:
        yield Evidence("dmarc", found.verdict, found.what, found.where, found.remedy)
    yield _judge_alignment(facts, record, spf)


def _judge_spf(facts: DomainFacts, results: list[RuleResult]) -> Evidence:
    if facts.dkim is None:
        what = "the envelope sender of the server is not known"
        return Evidence("spf", Verdict.UNKNOWN, what, facts.from_domain, "send a test message, then use --message")
    if not _uses_mail_from(facts):
        return Evidence("spf", Verdict.PASS, "the envelope sender is amazonses.com, for which SPF passes", facts.domain)
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        for one in results:
            if one.verdict is verdict:
                return Evidence("spf", verdict, one.what, one.where, one.remedy)
    return Evidence("spf", Verdict.PASS, f"SPF passes for {facts.mail_from}", facts.mail_from)


def _uses_mail_from(facts: DomainFacts) -> bool:
    return bool(facts.mail_from) and facts.mail_from_status == _READY


def _judge_dkim(facts: DomainFacts) -> Evidence:
    if facts.dkim is None:
        what, remedy = (
            "whether mail is signed is not known",
            "send a test message to yourself, and examine what arrives",
        )
        return Evidence("dkim", Verdict.UNKNOWN, what, facts.from_domain, remedy)
    if facts.dkim.signs:
        return Evidence("dkim", Verdict.PASS, f"SES signs as {facts.domain}", facts.domain)
    state = facts.dkim.status.lower().replace("_", " ") if facts.dkim.enabled else "off"
    what = f"SES does not sign as {facts.domain}: DKIM is {state}"
    return Evidence("dkim", Verdict.FAIL, what, facts.domain, _SETUP.format(facts.domain))


def is_sender_aligned(facts: DomainFacts, record: DmarcRecord | None) -> bool | None:
    """Return whether DKIM or MAIL FROM is aligned with From; None where SES does not say."""
    if facts.dkim is None:
        return None
    strict = [record is not None and record.is_strict(tag) for tag in ("adkim", "aspf")]
    by_dkim = facts.dkim.signs and is_aligned(facts.domain, facts.from_domain, strict=strict[0])
    return by_dkim or (_uses_mail_from(facts) and is_aligned(facts.mail_from, facts.from_domain, strict=strict[1]))


def _judge_alignment(facts: DomainFacts, record: DmarcRecord | None, spf: Evidence) -> Evidence:
    where, aligned = f"From, {facts.from_domain}", is_sender_aligned(facts, record)
    if aligned is None:
        remedy = "send a test message to yourself, and examine what arrives: mailrun ses verify --message FILE"
        return Evidence("alignment", Verdict.UNKNOWN, "whether the sender is aligned is not known", where, remedy)
    signs = facts.dkim is not None and facts.dkim.signs
    if aligned and not signs and spf.verdict is not Verdict.PASS:
        return Evidence("alignment", spf.verdict, f"SPF alone is aligned, and {spf.what}", where, spf.remedy)
    if aligned:
        return Evidence("alignment", Verdict.PASS, "DKIM or MAIL FROM is aligned with From", where)
    what = f"neither DKIM nor MAIL FROM is aligned with {facts.from_domain}: DMARC fails for every message"
    return Evidence("alignment", Verdict.FAIL, what, where, _SETUP.format(facts.from_domain))
