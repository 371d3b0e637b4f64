"""What SES says of an address is read without trust in the shape of its answer."""

from typing import Any

import pytest

from engine.account.insights import AddressInsight, read_insight
from engine.run.prepare.insight_lookups import describe_price


def answer(valid: object, **checks: object) -> dict[str, Any]:
    evaluations = {name: {"ConfidenceVerdict": level} for name, level in checks.items()}
    return {"MailboxValidation": {"IsValid": {"ConfidenceVerdict": valid}, "Evaluations": evaluations}}


def test_insight_names_what_speaks_against_an_address() -> None:
    """Of checks HIGH is good, of risks it is bad."""
    risks = {"IsDisposable": "HIGH", "IsRoleAddress": "LOW"}
    found = read_insight(answer("LOW", MailboxExists="LOW", HasValidSyntax="HIGH", **risks))
    assert found == AddressInsight("LOW", ("mailbox exists: LOW", "disposable: HIGH"))


@pytest.mark.parametrize(
    "answered",
    [{}, None, [], {"MailboxValidation": None}, {"MailboxValidation": []}, answer(None), answer("lowest"), answer(3)],
)
def test_insight_without_a_known_verdict_has_no_objection(answered: Any) -> None:
    assert read_insight(answered) == AddressInsight(None)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1 address, at USD 0.01 each: USD 0.01, in about 1 minute"),
        (12_345, "12,345 addresses, at USD 0.01 each: USD 123.45, in about 206 minutes"),
    ],
)
def test_price_is_exact(count: int, words: str) -> None:
    assert describe_price(count) == words
