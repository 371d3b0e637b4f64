"""The rules of Gmail, Yahoo and Microsoft for senders, as a table: who asks for what, and where that is written.

Pure. Evidence comes from DNS, SES, the campaign and the ledger; the table says what each receiver makes of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from engine.authentication.results import Verdict


class Receiver(StrEnum):
    """A large receiver with published rules."""

    GMAIL = "gmail"
    YAHOO = "yahoo"
    MICROSOFT = "microsoft"


class Demand(StrEnum):
    """How strongly a receiver asks."""

    REQUIRED = "required"  # mail that breaks the rule is rejected, delayed or filtered
    RECOMMENDED = "recommended"


class SenderRule(Struct, frozen=True):
    """One rule.

    Attributes:
        code: its stable name.
        about: what it asks for, one sentence.
        demands: of each receiver that asks.
        is_content: the campaign's content breaks it, not the account or DNS.
        sources: where the receivers say so, where that is not their general page.
    """

    code: str
    about: str
    demands: Mapping[Receiver, Demand]
    is_content: bool = False
    sources: Mapping[Receiver, str] = MappingProxyType({})

    def find_source(self, receiver: Receiver) -> str:
        """Return the page on which a receiver asks for it."""
        return self.sources.get(receiver, PAGES[receiver])


class Evidence(Struct, frozen=True):
    """What was found about one rule.

    Attributes:
        code: of the rule.
        verdict: pass, fail, advice or unknown, before a receiver's demand is applied.
        what: a sentence: what was found.
        where: the DNS name, header, key or file.
        remedy: what to do.
        receiver: the only receiver that it is about; None for all.
    """

    code: str
    verdict: Verdict
    what: str
    where: str = ""
    remedy: str = ""
    receiver: Receiver | None = None


class RuleRow(Struct, frozen=True):
    """One row of the table for a campaign: a rule, what was found, and the verdict of each receiver that asks."""

    rule: SenderRule
    evidence: Evidence
    verdicts: Mapping[Receiver, Verdict]

    @property
    def verdict(self) -> Verdict:
        """The worst of the verdicts."""
        return min(self.verdicts.values(), key=_WORST_FIRST.index)

    def list_receivers(self, verdict: Verdict) -> list[str]:
        """Return the receivers with a verdict."""
        return [str(receiver) for receiver, given in self.verdicts.items() if given is verdict]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `sender_rules` in --json."""
        found = self.evidence
        return {
            "code": found.code,
            "verdict": self.verdict,
            "what": found.what,
            "where": found.where,
            "remedy": found.remedy,
            "receivers": {
                receiver: {
                    "verdict": given,
                    "demand": self.rule.demands[receiver],
                    "source": self.rule.find_source(receiver),
                }
                for receiver, given in self.verdicts.items()
            },
        }


PAGES: Mapping[Receiver, str] = {
    Receiver.GMAIL: "https://support.google.com/a/answer/81126",
    Receiver.YAHOO: "https://senders.yahooinc.com/best-practices/",
    Receiver.MICROSOFT: "https://support.microsoft.com/en-us/topic/"
    "fix-ndr-error-550-5-7-515-in-outlook-com-34cfe8f8-6fbf-457e-9e8b-9e4dbaf4e0ef",
}
BULK_MESSAGES = 5000  # a day to one receiver, from which Gmail and Microsoft ask for everything
CLIPPED_BYTES = 102 * 1024  # of HTML, beyond which Gmail clips
SPAM_RATE_ADVISED, SPAM_RATE_MAXIMUM = 0.001, 0.003
_SUBSCRIPTIONS = "https://support.google.com/a/answer/15263077"
_WORST_FIRST = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.ADVICE, Verdict.PASS)
_ALL = dict.fromkeys(Receiver, Demand.REQUIRED)
_BUT_MICROSOFT = {**_ALL, Receiver.MICROSOFT: Demand.RECOMMENDED}
_RULES = (
    SenderRule("spf", "SPF passes for the MAIL FROM domain.", _ALL),
    SenderRule("dkim", "Mail is signed with DKIM by the domain in From, or one above it.", _ALL),
    SenderRule("dmarc", "The domain in From has a DMARC record; p=none is enough.", _ALL),
    SenderRule("alignment", "The DKIM domain or the MAIL FROM domain is aligned with the domain in From.", _ALL),
    SenderRule("one_click_headers", "Marketing mail has List-Unsubscribe with https, and List-Unsubscribe-Post.",
               _BUT_MICROSOFT, is_content=True),
    SenderRule("one_click_answers", "The unsubscribe link answers the POST of RFC 8058, without a redirect.",
               _BUT_MICROSOFT),
    SenderRule("visible_link", "Marketing mail shows an unsubscribe link in its body.", _BUT_MICROSOFT,
               is_content=True),
    SenderRule("list_id", "Each list has its own List-Id.", {Receiver.GMAIL: Demand.RECOMMENDED}, is_content=True,
               sources={Receiver.GMAIL: _SUBSCRIPTIONS}),
    SenderRule("message_size", "The HTML has at most 102 KB; Gmail clips what is longer, with the unsubscribe link.",
               {Receiver.GMAIL: Demand.RECOMMENDED}, is_content=True),
    SenderRule("spam_rate", "Complaints stay below 0.1 % of delivered mail, and never reach 0.3 %.", _BUT_MICROSOFT),
    SenderRule("tls", "Mail is sent over TLS.", _BUT_MICROSOFT),
    SenderRule("reverse_dns", "The sending IP address has a name that leads back to it.", _BUT_MICROSOFT),
)  # fmt: skip
SENDER_RULES: Mapping[str, SenderRule] = {rule.code: rule for rule in _RULES}


def judge_evidence(evidence: Iterable[Evidence]) -> tuple[RuleRow, ...]:
    """Apply the demands of the receivers; the rows are in the order of the table.

    A failure is a fail for a receiver that requires the rule, and advice for one that recommends it. What is unknown
    stays unknown.
    """
    rows = [_judge(one) for one in evidence]
    order = list(SENDER_RULES)
    return tuple(sorted((row for row in rows if row.verdicts), key=lambda row: order.index(row.rule.code)))


def _judge(one: Evidence) -> RuleRow:
    rule = SENDER_RULES[one.code]
    asking = {receiver: how for receiver, how in rule.demands.items() if one.receiver in (None, receiver)}
    weakened = {Demand.REQUIRED: Verdict.FAIL, Demand.RECOMMENDED: Verdict.ADVICE}
    verdicts = {
        receiver: weakened[how] if one.verdict is Verdict.FAIL else one.verdict for receiver, how in asking.items()
    }
    return RuleRow(rule, one, verdicts)


def list_failures(rows: Sequence[RuleRow]) -> list[RuleRow]:
    """Return the rows that some receiver rejects mail for."""
    return [row for row in rows if row.verdict is Verdict.FAIL]
