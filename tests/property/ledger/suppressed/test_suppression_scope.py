"""Which mail a suppression blocks: the expression over rows and the function of one entry are the same rule."""

from datetime import UTC, datetime
from itertools import product
from typing import get_args

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.suppressed.blocked_rows import are_blocked
from engine.ledger.suppressed.reasons import Reason, classify_reason
from engine.ledger.suppressed.suppression_scope import OF_ALL_MAIL, CampaignKind, Scope
from engine.ledger.suppressed.suppressions import Suppression

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KINDS: tuple[CampaignKind, ...] = get_args(CampaignKind)
REASONS = [*map(str, Reason), "hard bounce", "550 5.1.1 unknown", "asked by phone", "bounceback", "no complaints", ""]
TOPICS = ["", "news", "News", "surveys", "bounces", "ΝΈΑΣ", "İstanbul", "straße"]
SOURCES = ["run hello/bounceback", "bounces-and-optouts.csv", "complaints/bounce", "bounce@host", "link", ""]


def judge(entries: list[Suppression], topic: str | None, kind: CampaignKind) -> list[bool]:
    """The result of the expression for entries."""
    known = [classify_reason(one.reason) for one in entries]
    frame = pl.DataFrame(
        {"topic": [one.topic for one in entries], "known": known}, schema={"topic": pl.String, "known": pl.String}
    )
    return frame.select(are_blocked(campaign_topic=topic, kind=kind)).to_series().to_list()


def make(reason: str, topic: str, source: str = "link") -> Suppression:
    return Suppression("a@x.example", topic, reason, source, NOW)


def test_expression_and_function_agree_on_every_combination() -> None:
    entries = [make(reason, topic, source) for reason, topic, source in product(REASONS, TOPICS, SOURCES)]
    for topic, kind in product([None, "news", "NEWS ", "bounces", "νέας", "i̇stanbul", "STRASSE"], KINDS):
        assert judge(entries, topic, kind) == [one.applies_to(topic, kind) for one in entries]


words = st.text(max_size=12) | st.sampled_from([*REASONS, *TOPICS])


@given(
    entries=st.lists(st.builds(make, words, words), min_size=1), topic=st.none() | words, kind=st.sampled_from(KINDS)
)
def test_expression_and_function_agree_on_any_text(
    entries: list[Suppression], topic: str | None, kind: CampaignKind
) -> None:
    assert judge(entries, topic, kind) == [one.applies_to(topic, kind) for one in entries]


@given(reason=words, topic=words, sources=st.tuples(st.text(), st.sampled_from(SOURCES)), kind=st.sampled_from(KINDS))
def test_source_of_an_entry_never_decides_its_scope(
    reason: str, topic: str, sources: tuple[str, str], kind: CampaignKind
) -> None:
    one, other = (make(reason, topic, source) for source in sources)
    assert one.scope is other.scope
    assert one.applies_to("news", kind) == other.applies_to("news", kind)


def test_topic_limits_opt_outs_and_nothing_heavier() -> None:
    limited = {reason for reason in Reason if make(reason, "news").scope is Scope.TOPIC}
    assert limited == set(Reason) - OF_ALL_MAIL == {Reason.UNSUBSCRIBE, Reason.MANUAL}
    assert all(make(reason, "").scope is Scope.ALL for reason in REASONS)
