"""Events: flags of rows, counts of receivers, transient bounces; the event and address of a suppression."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, String, Text

revision = "0005"
down_revision = "0004"

_COUNTS = ("proven", "delivered", "bounced", "soft_bounced", "provider_suppressed", "complained", "rejected")
_LEASE_COUNTS = (
    *("proven", "delivered", "bounced", "soft_bounced", "provider_suppressed", "complained", "opened", "clicked"),
    *("delayed", "unsubscribed", "rejected"),
)


def upgrade() -> None:
    """Add columns that older rows can do without, and tables."""
    op.add_column("suppression", Column("event", Text))
    op.add_column("suppression", Column("address", String(254)))
    op.create_index("ix_suppression_at", "suppression", ["at"])
    op.create_table(
        "feedback",
        Column("run", String(129), ForeignKey("run.name"), primary_key=True),
        Column("lease", Integer, primary_key=True),
        Column("flags", LargeBinary, nullable=False),
        *(Column(name, Integer, nullable=False) for name in _LEASE_COUNTS),
    )
    op.create_table(
        "feedback_domain",
        Column("run", String(129), ForeignKey("run.name"), primary_key=True),
        Column("domain", String(253), primary_key=True),
        *(Column(name, Integer, nullable=False) for name in _COUNTS),
    )
    op.create_table(
        "soft_bounce",
        Column("key", String(254), primary_key=True),
        Column("run", String(129), primary_key=True),
        Column("row", BigInteger, primary_key=True),
        Column("at", String(27), nullable=False),
        Column("event", Text, nullable=False),
    )
    op.create_index("ix_soft_bounce_at", "soft_bounce", ["at"])
