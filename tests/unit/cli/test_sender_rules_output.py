"""What `mailrun check` writes about the sender rules."""

from engine.authentication.results import Verdict
from engine.authentication.sender_rules import PAGES, Evidence, Receiver, judge_evidence
from engine.cli.output import describe_sender_rules


def describe(verdict: Verdict) -> list[str]:
    return list(
        describe_sender_rules(judge_evidence([Evidence("spf", verdict, "there is no SPF record", "acme.example")]))
    )


def test_sender_rule_that_fails_names_the_page_of_each_receiver():
    assert [line.strip() for line in describe(Verdict.FAIL)[-3:]] == [f"see {PAGES[one]}" for one in Receiver]


def test_sender_rule_that_is_unknown_names_no_page():
    assert not any("https://" in line for line in describe(Verdict.UNKNOWN))
