"""The states that SES reports of an identity and its DKIM."""

from engine.authentication.domains.facts import DkimFacts, DomainFacts
from engine.authentication.domains.rules import give_fail, give_pass, show
from engine.authentication.results import RuleResult


def judge_signing(facts: DomainFacts) -> list[RuleResult]:
    """Judge the states that SES reports of the identity and its DKIM; nothing where SES is not called."""
    if facts.dkim is None:
        if facts.is_identity is None:
            return []
        remedy = f"create it with: mailrun ses setup {facts.domain}"
        return [give_fail("identity_status", "SES does not have this identity", facts.domain, remedy)]
    results = [
        give_pass("identity_status", "SES may send from this identity", facts.domain)
        if facts.sends
        else give_fail(
            "identity_status",
            f"SES may not send from this identity: it is {facts.dkim.status.lower().replace('_', ' ')}",
            facts.domain,
            "publish its DKIM records; SES looks for them for 72 hours",
        )
    ]
    return [*results, _judge_status(facts.domain, facts.dkim)]


def _judge_status(domain: str, dkim: DkimFacts) -> RuleResult:
    if not dkim.enabled:
        return give_fail(
            "dkim_status", "SES does not sign: DKIM signing is off", domain, "turn DKIM signing on for the identity"
        )
    if not dkim.signs:
        return give_fail(
            "dkim_status",
            f"SES does not sign yet: the state of DKIM is {show(dkim.status)}",
            domain,
            "publish the DKIM records; SES looks for them for 72 hours",
        )
    return give_pass("dkim_status", "SES signs", domain)
