"""The MAIL FROM domain: the envelope sender of SES, which receives bounces."""

import re

from engine.authentication.domains.facts import DomainFacts
from engine.authentication.domains.rules import explain_absence, give_advice, give_fail, give_pass, give_unknown, show
from engine.authentication.resolver import Absent, Answer, Unknown, read_exchangers
from engine.authentication.results import RuleResult

_FEEDBACK = re.compile(r"feedback-smtp\.[a-z0-9-]+\.amazonses\.com")


def judge_mail_from(facts: DomainFacts) -> RuleResult:
    """Judge whether there is a MAIL FROM domain, and its state where SES is called."""
    if not facts.mail_from:
        what = "the envelope sender is amazonses.com: SPF passes, and does not align"
        if not facts.has_account:
            what = "no MAIL FROM domain is given; without one, SPF does not align"
        remedy = f"set one up: mailrun ses setup {facts.domain} --mail-from bounce"
        return give_advice("mail_from", what, facts.domain, remedy)
    if facts.mail_from_status in {"", "SUCCESS"}:
        return give_pass("mail_from", f"MAIL FROM is {facts.mail_from}", facts.domain)
    state = facts.mail_from_status.lower().replace("_", " ")
    what = f"SES does not use the MAIL FROM domain {facts.mail_from}: its state is {show(state)}"
    return give_advice("mail_from", what, facts.domain, "publish its MX record; SES looks for it for 72 hours")


def judge_mx(facts: DomainFacts, answer: Answer) -> RuleResult:
    """Judge the MX records of the MAIL FROM domain: exactly one, the feedback server of SES in the region."""
    name = facts.mail_from
    wanted = f"feedback-smtp.{facts.region or 'REGION'}.amazonses.com"
    if isinstance(answer, Unknown):
        return give_unknown("mail_from_mx", answer, "MX")
    if isinstance(answer, Absent):
        return give_fail("mail_from_mx", explain_absence(answer, "MX"), name, f"add: {name} MX 10 {wanted}")
    hosts = [one.host for one in read_exchangers(answer)]
    if len(hosts) > 1:
        what = f"there are {len(hosts)} MX records, and SES accepts one: {show(', '.join(hosts))}"
        remedy = f"keep only MX 10 {wanted}; use another subdomain to receive mail"
        return give_fail("mail_from_mx", what, name, remedy)
    is_right = hosts[0] == wanted if facts.region else _FEEDBACK.fullmatch(hosts[0])
    if is_right:
        return give_pass("mail_from_mx", f"MX is {hosts[0]}", name)
    what = f"MX is {show(hosts[0]) or 'the null MX'}, not {wanted}"
    return give_fail("mail_from_mx", what, name, f"replace it with: {name} MX 10 {wanted}")
