"""Which mail a suppression blocks: one rule; see blocked_rows for columns of entries.

The rule looks at the reason as one of the enum `Reason`, at the entry's topic, and at the campaign's topic and kind. It
ignores the source: the name of a file, a run, a host or a person has no effect.

A reason outside the enum, such as `asked by phone` in a list from another system, or no reason at all, is treated as
an opt-out: the topic of the entry limits it. The same applies to rows that earlier versions wrote.
"""

from enum import StrEnum
from typing import Literal

from engine.ledger.suppressed.reasons import Reason

CampaignKind = Literal["marketing", "transactional"]

# An address that cannot be reached, or whose owner complained, gets no mail at all: a topic does not limit these.
OF_ALL_MAIL = frozenset({Reason.COMPLAINT, Reason.BOUNCE, Reason.SOFT_BOUNCES, Reason.PROVIDER})


class Scope(StrEnum):
    """Which mail a suppression blocks."""

    ALL = "all"
    TOPIC = "topic"


def find_scope(reason: Reason | None, topic: str) -> Scope:
    """Return which mail an entry blocks.

    Args:
        reason: None where it is not in the enum.
        topic: the entry's; empty where it has none.
    """
    return Scope.TOPIC if topic and reason not in OF_ALL_MAIL else Scope.ALL


def is_blocked(scope: Scope, topic: str, *, campaign_topic: str | None, kind: CampaignKind) -> bool:
    """Return whether an entry blocks the mail of a campaign.

    Args:
        scope: the entry's.
        topic: the entry's.
        campaign_topic: capitals do not matter; None where the campaign has none.
        kind: the campaign's; an opt-out from a topic does not block transactional mail.
    """
    if scope is Scope.ALL:
        return True
    return kind != "transactional" and campaign_topic is not None and topic.lower() == campaign_topic.strip().lower()
