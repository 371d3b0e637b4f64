"""The answer at the top of a report."""

import pytest
from support.report_figures import make_bare_figures, make_figures

from engine.report.run_report.answer import count_lost, make_answer

_ALL_SENT = {"rows_read": 10, "accepted": 10, "sent": 10, "refused": 0, "failed": 0, "in_doubt": 0, "unsent": 0}


@pytest.mark.parametrize(
    ("state", "accounts", "feedback", "headline", "tone"),
    [
        ("planned", {"sent": 0, "unsent": 10}, {}, "Not yet: 10 recipients planned, nothing sent", ""),
        ("sending", {"sent": 4, "unsent": 6}, {}, "Not yet: 4 of 10 recipients sent so far", ""),
        ("paused", {"sent": 9, "unsent": 1}, {}, "Not yet: paused with 1 recipient left to send to", "warn"),
        ("cancelled", {"sent": 8, "unsent": 2}, {}, "No: cancelled with 2 recipients left to send to", "bad"),
        ("finished", {}, {}, "Sent to all 10 recipients; no delivery confirmed yet", "good"),
        ("finished", {}, {"delivered": 9}, "Sent to all 10 recipients; 9 deliveries confirmed so far", "good"),
        ("finished", {}, {"delivered": 10}, "Yes: delivered to all 10 recipients", "good"),
        ("finished", {"sent": 9, "failed": 1}, {}, "Not everybody: 1 of 10 recipients did not get it", "bad"),
        (
            "finished",
            {"sent": 9, "in_doubt": 1},
            {},
            "Not everybody: 1 of 10 recipients did not get it, or may not have",
            "bad",
        ),
        ("finished", {}, {"bounced": 1}, "Not everybody: 1 of 10 recipients did not get it", "bad"),
        ("finished", {"accepted": 0, "sent": 0}, {}, "Nobody: the run has no recipients", "warn"),
    ],
)
def test_headline_answers_whether_everybody_got_it(
    state: str, accounts: dict[str, int], feedback: dict[str, int], headline: str, tone: str
):
    figures = make_bare_figures(state=state, accounts=_ALL_SENT | accounts, feedback=feedback)
    answer = make_answer(figures)
    assert (answer.headline, answer.tone) == (headline, tone)


def test_lost_recipients_are_counted_by_outcome_and_by_event():
    assert count_lost(make_figures()) == 6 + 14 + 3 + 412 + 96 + 8 + 1


def test_lost_recipients_are_never_more_than_were_accepted():
    """A recipient may bounce softly and then permanently."""
    figures = make_bare_figures(accounts=_ALL_SENT, feedback={"bounced": 9, "soft_bounced": 9})
    assert count_lost(figures) == 10


def test_sentences_tell_the_accounts():
    text = " ".join(make_answer(make_figures()).sentences)
    assert "50,000 rows read: 48,720 accepted, 1,280 excluded." in text
    assert "48,697 messages sent; 6 refused, 14 failed, 3 in doubt." in text
    assert "47,912 deliveries confirmed, 412 bounced" in text


def test_sentences_say_that_nothing_is_known_without_events():
    text = " ".join(make_answer(make_figures(feedback={})).sentences)
    assert "no events have been processed" in text
