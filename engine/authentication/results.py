"""The result of one rule that receivers apply to a sender."""

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """What a rule says. `unknown` is an unanswered question, such as a DNS time-out: it proves nothing."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    ADVICE = "advice"
    UNKNOWN = "unknown"


class RuleResult(Struct, frozen=True):
    """The result of one rule.

    Attributes:
        code: the stable name of the rule, such as dmarc_missing; docs/reference lists all.
        verdict: pass, fail, advice or unknown.
        what: a sentence: what was found.
        where: the DNS name, header or setting.
        receivers: who rejects or filters mail for it, such as ("gmail", "yahoo"); empty where none is known.
        remedy: what to do; empty for a pass.
        source: URL or RFC section of the rule.
    """

    code: str
    verdict: Verdict
    what: str
    where: str = ""
    receivers: tuple[str, ...] = ()
    remedy: str = ""
    source: str = ""
