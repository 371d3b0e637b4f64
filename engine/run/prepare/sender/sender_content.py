"""Evidence for the sender rules from the campaign's content and from our own events. Pure."""

from collections.abc import Iterator, Mapping

from engine.authentication.results import Verdict
from engine.authentication.sender_rules import CLIPPED_BYTES, SPAM_RATE_ADVISED, SPAM_RATE_MAXIMUM, Evidence, Receiver
from engine.campaign.lint_findings import LintFindings, Severity
from engine.campaign.spec import CampaignSpec
from engine.quantities import format_count

FEWEST_DELIVERED = 1000  # of which a rate says something
_NO_LINK = "no_unsubscribe_link"  # lint's code
_UNSUBSCRIBE = "campaign.toml, [unsubscribe]"
_NAMES = {Receiver.YAHOO: "Yahoo", Receiver.MICROSOFT: "Microsoft"}


def judge_content(spec: CampaignSpec, findings: LintFindings, html_bytes: int) -> Iterator[Evidence]:
    """Yield the evidence that a campaign's content gives.

    Args:
        spec: the campaign's.
        findings: what lint found in a sample of messages.
        html_bytes: of the largest HTML part in it.
    """
    if spec.unsubscribe is not None:
        yield _judge_one_click(spec)
        yield _judge_visible_link(findings)
        yield Evidence("list_id", Verdict.PASS, "mailrun writes a List-Id of topic and domain", "List-Id")
    kilobytes = f"{html_bytes / 1024:,.0f} KB"
    if html_bytes > CLIPPED_BYTES:
        what, remedy = f"the largest HTML part has {kilobytes}, and Gmail clips it at 102 KB", "shorten the message"
        yield Evidence("message_size", Verdict.FAIL, what, "html", remedy)
    elif html_bytes:
        yield Evidence("message_size", Verdict.PASS, f"the largest HTML part has {kilobytes}", "html")


def _judge_one_click(spec: CampaignSpec) -> Evidence:
    unsubscribe = spec.unsubscribe
    assert unsubscribe is not None  # noqa: S101 - the caller has looked
    if unsubscribe.url is None and unsubscribe.ses_contact_list is None:
        what = "List-Unsubscribe has a mailto: link alone, and one-click unsubscribing needs https"
        return Evidence("one_click_headers", Verdict.FAIL, what, _UNSUBSCRIBE, "add url; keep mailto if you like")
    who = "SES" if unsubscribe.url is None else "mailrun"
    what = f"{who} writes List-Unsubscribe and List-Unsubscribe-Post"
    return Evidence("one_click_headers", Verdict.PASS, what, _UNSUBSCRIBE)


def _judge_visible_link(findings: LintFindings) -> Evidence:
    wrong = next((one for one in findings.of(Severity.ERROR) if one.code == _NO_LINK), None)
    if wrong is None:
        return Evidence("visible_link", Verdict.PASS, "every message of the sample shows an unsubscribe link", "html")
    return Evidence("visible_link", Verdict.FAIL, wrong.what, wrong.where, wrong.remedy)


def judge_spam_rates(sums: Mapping[str, tuple[int, int]]) -> Iterator[Evidence]:
    """Yield the evidence about complaints of the last days.

    Args:
        sums: name of a receiver, such as Yahoo, to its delivered messages and complaints.
    """
    code, where = "spam_rate", "events of the last 30 days"
    what = "Gmail reports no complaints to SES, so its spam rate is not known here"
    yield Evidence(code, Verdict.UNKNOWN, what, where, "look at Postmaster Tools of Gmail", Receiver.GMAIL)
    for receiver, name in _NAMES.items():
        delivered, complained = sums.get(name, (0, 0))
        if delivered < FEWEST_DELIVERED:
            what = f"too few events to judge: {format_count(delivered, 'message')} delivered to {name}"
            yield Evidence(code, Verdict.UNKNOWN, what, where, "process events: mailrun events pull", receiver)
            continue
        rate = complained / delivered
        what = f"{rate:.2%} of {delivered:,} messages to {name} were reported as spam"
        remedy = "send only to people who asked for this mail and still read it"
        if rate >= SPAM_RATE_MAXIMUM:
            yield Evidence(code, Verdict.FAIL, f"{what}: 0.3 % or more", where, remedy, receiver)
        elif rate >= SPAM_RATE_ADVISED:
            yield Evidence(code, Verdict.ADVICE, f"{what}: keep it below 0.1 %", where, remedy, receiver)
        else:
            yield Evidence(code, Verdict.PASS, what, where, "", receiver)
