"""The rules for the DNS records of a sending domain: who applies each, and where it is written."""

from collections.abc import Mapping

from msgspec import Struct

from engine.authentication.resolver import Absence, Absent, Doubt, Unknown
from engine.authentication.results import RuleResult, Verdict
from engine.errors import escape_controls

SHOWN_CHARACTERS = 160  # of a text from DNS, in a message
_ALL = ("gmail", "yahoo", "microsoft")
_GMAIL = "https://support.google.com/a/answer/81126"
_MAIL_FROM = "https://docs.aws.amazon.com/ses/latest/dg/mail-from.html"
_EASY_DKIM = "https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-easy.html"
_BIMI = "https://datatracker.ietf.org/doc/draft-brand-indicators-for-message-identification/"
_DOUBTS: Mapping[Doubt, str] = {
    Doubt.TIMEOUT: "no reply in time",
    Doubt.SERVFAIL: "the name server failed (SERVFAIL)",
    Doubt.REFUSED: "the name server refused the question",
    Doubt.UNREACHABLE: "no name server can be reached",
    Doubt.MALFORMED: "the reply cannot be read",
    Doubt.CHAIN: "the CNAME records form a loop or a chain that is too long",
    Doubt.NO_RESOLVER: "this machine has no name server",
}


class DomainRule(Struct, frozen=True):
    """One rule.

    Attributes:
        code: its stable name.
        about: what it asks for, one sentence.
        receivers: who rejects or filters mail that breaks it.
        source: URL or section of an RFC.
    """

    code: str
    about: str
    receivers: tuple[str, ...]
    source: str


_RULES = (
    DomainRule("identity_status", "SES may send from the domain.", ("ses",),
               "https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html"),
    DomainRule("dkim_status", "SES signs with DKIM.", _ALL, _GMAIL),
    DomainRule("dkim_record", "Each DKIM record exists and leads to the key of this identity.", _ALL, _EASY_DKIM),
    DomainRule("dkim_key", "Each DKIM key is valid, not revoked, and has 2048 bits; fewer than 1024 fail.", _ALL,
               "RFC 8301 3.2"),
    DomainRule("dkim_testing", "No DKIM key has the flag t=y: receivers may ignore such signatures.", (),
               "RFC 6376 3.6.1"),
    DomainRule("mail_from", "The identity has its own MAIL FROM domain, so that SPF aligns.", (), _MAIL_FROM),
    DomainRule("mail_from_mx", "MAIL FROM has one MX record, which is the feedback server of SES in this region.",
               ("ses",), _MAIL_FROM),
    DomainRule("spf_record", "MAIL FROM has exactly one SPF record.", _ALL, "RFC 7208 4.5"),
    DomainRule("spf_amazonses", "The SPF record includes amazonses.com.", _ALL, _MAIL_FROM),
    DomainRule("spf_all", "The SPF record ends with ~all or -all; +all fails.", _ALL, "RFC 7208 5.1"),
    DomainRule("spf_ptr", "The SPF record does not use ptr.", (), "RFC 7208 5.5"),
    DomainRule("spf_syntax", "The SPF record and those that it includes are valid.", _ALL, "RFC 7208 4.6"),
    DomainRule("spf_lookups", "The SPF record needs at most 10 DNS lookups.", _ALL, "RFC 7208 4.6.4"),
    DomainRule("spf_void_lookups", "At most 2 of these lookups find nothing.", _ALL, "RFC 7208 4.6.4"),
    DomainRule("dmarc_record", "The From domain or a domain above it has exactly one DMARC record.", _ALL, _GMAIL),
    DomainRule("dmarc_syntax", "The DMARC record is valid.", _ALL, "RFC 9989 4.8"),
    DomainRule("dmarc_policy", "The DMARC policy that applies to the From domain is quarantine or reject.", (),
               "RFC 9989 4.7"),
    DomainRule("dmarc_pct", "The DMARC policy applies to all mail.", (), "RFC 7489 6.3"),
    DomainRule("dmarc_reports", "DMARC reports are asked for, and their receiver accepts them.", (), "RFC 7489 7.1"),
    DomainRule("dmarc_dkim_alignment", "The DKIM domain aligns with the From domain.", _ALL, "RFC 7489 3.1.1"),
    DomainRule("dmarc_spf_alignment", "The MAIL FROM domain aligns with the From domain.", _ALL, "RFC 7489 3.1.2"),
    DomainRule("from_domain", "The From domain can receive replies: it has an MX record or an address.", _ALL,
               "RFC 5321 5.1"),
    DomainRule("bimi_record", "The From domain has a valid BIMI record.", (), _BIMI),
    DomainRule("bimi_logo", "The logo of the BIMI record is an SVG of the profile Tiny PS.", (),
               "https://datatracker.ietf.org/doc/draft-svg-tiny-ps-abrotman/"),
    DomainRule("bimi_certificate", "The BIMI record names a certificate, which Gmail asks for.", ("gmail",),
               "https://support.google.com/a/answer/10911320"),
    DomainRule("bimi_dmarc", "The DMARC policy is strong enough for BIMI.", (), _BIMI),
    DomainRule("mta_sts", "The domain that receives replies has an MTA-STS record and policy.", (), "RFC 8461"),
    DomainRule("tls_rpt", "The domain that receives replies asks for TLS reports.", (), "RFC 8460"),
)  # fmt: skip
DOMAIN_RULES: Mapping[str, DomainRule] = {rule.code: rule for rule in _RULES}


def give_pass(code: str, what: str, where: str = "") -> RuleResult:
    """Make the result of a rule that is kept."""
    return RuleResult(code, Verdict.PASS, what, where, source=DOMAIN_RULES[code].source)


def give_fail(code: str, what: str, where: str, remedy: str) -> RuleResult:
    """Make the result of a rule that is broken: mail is rejected or filtered for it."""
    rule = DOMAIN_RULES[code]
    return RuleResult(code, Verdict.FAIL, what, where, rule.receivers, remedy, rule.source)


def give_advice(code: str, what: str, where: str, remedy: str) -> RuleResult:
    """Make the result of a rule that nobody rejects mail for."""
    return RuleResult(code, Verdict.ADVICE, what, where, (), remedy, DOMAIN_RULES[code].source)


def give_unknown(code: str, answer: Unknown, kind: str) -> RuleResult:
    """Make the result of a rule whose question to DNS was not answered.

    Args:
        code: of the rule.
        answer: what DNS gave.
        kind: of the record that was asked for.
    """
    return give_unknown_because(
        code, f"the {kind} record is not known: {_DOUBTS[answer.reason]}", show(answer.name), "run the command again"
    )


def give_unknown_because(code: str, what: str, where: str, remedy: str) -> RuleResult:
    """Make the result of a rule that could not be checked for another reason."""
    return RuleResult(code, Verdict.UNKNOWN, what, where, (), remedy, DOMAIN_RULES[code].source)


def explain_absence(answer: Absent, kind: str) -> str:
    """Say that there is no record, and whether its name exists."""
    if answer.chain:
        return f"its alias leads to {show(answer.chain[-1])}, which has no {kind} record"
    return {
        Absence.NXDOMAIN: f"there is no {kind} record: the name does not exist",
        Absence.NODATA: f"there is no {kind} record, only others",
        Absence.INVALID_NAME: "the name is not a valid domain name",
    }[answer.reason]


def show(text: str) -> str:
    """Return a text from DNS so that a terminal shows it as it is, cut where it is long."""
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return escape_controls(cut)
