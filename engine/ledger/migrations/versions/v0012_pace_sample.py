"""Workers record how fast they send: the time line of a run. Runs of earlier versions have none."""

from alembic import op
from sqlalchemy import Column, Float, ForeignKey, Integer, String

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "pace_sample",
        Column("run", String(129), ForeignKey("run.name"), primary_key=True),
        Column("worker", String(32), primary_key=True),
        Column("at", String(27), primary_key=True),
        Column("seconds", Float, nullable=False),
        Column("handed_over", Integer, nullable=False),
        Column("throttled", Integer, nullable=False),
        Column("rate_limit", Float, nullable=False),
        Column("in_flight", Integer, nullable=False),
        Column("latency_ms", Float, nullable=False),
    )
