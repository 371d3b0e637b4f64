"""Reasons of imported lists become values of `Reason` where they match; the reason alone decides if a topic limits it.

Before, any text with "bounce" or "complain" in it lifted the topic.
"""

from alembic import op
from sqlalchemy import column, select, table, update

revision = "0008"
down_revision = "0007"

_WORDS = {
    **dict.fromkeys(("bounced", "bounces", "hardbounce", "hardbounces", "hardbounced", "permanentbounce"), "bounce"),
    **dict.fromkeys(("softbounce", "softbounced", "transientbounce"), "soft_bounces"),
    **dict.fromkeys(("complained", "complaints", "spamcomplaint", "spamcomplaints", "abusecomplaint"), "complaint"),
}


def upgrade() -> None:
    """Rename the reasons of entries that have a topic."""
    suppression = table("suppression", column("topic"), column("reason"))
    connection = op.get_bind()
    with_topic = suppression.c.topic != ""
    for (text,) in connection.execute(select(suppression.c.reason).where(with_topic).distinct()).all():
        reason = _WORDS.get("".join(character for character in text.lower() if character.isalnum()))
        if reason is not None:
            named = (with_topic, suppression.c.reason == text)
            connection.execute(update(suppression).where(*named).values(reason=reason))
