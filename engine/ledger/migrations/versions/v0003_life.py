"""Pauses by people, heartbeats without clocks, decisions, forgotten addresses, the ledger's place."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Text, false

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns that older rows can do without, and tables."""
    op.add_column("run", Column("paused_by", Text))
    op.add_column("run", Column("next_manifest_digest", String(64)))
    op.add_column("run", Column("pruned_at", String(27)))
    op.add_column("run", Column("suspect", Boolean, nullable=False, server_default=false()))
    op.create_index("ix_run_created_at", "run", ["created_at"])
    op.add_column("worker", Column("beats", Integer, nullable=False, server_default="0"))
    op.create_index("ix_lease_settled", "lease", ["run", "sent", "refused", "failed", "in_doubt"])
    op.create_table(
        "decision",
        Column("id", Integer, primary_key=True),
        Column("run", String(129), index=True),
        Column("at", String(27), nullable=False),
        Column("who", Text, nullable=False),
        Column("what", String(32), nullable=False),
        Column("detail", Text, nullable=False),
    )
    op.create_table(
        "forgotten",
        Column("digest", String(64), primary_key=True),
        Column("bucket", BigInteger, nullable=False),
        Column("at", String(27), nullable=False),
    )
    op.create_table(
        "place",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("place", Text, nullable=False),
    )
