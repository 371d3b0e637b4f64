"""The ledger's own suppression list."""

from alembic import op
from sqlalchemy import Column, String, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "suppression",
        Column("key", String(254), primary_key=True),
        Column("topic", String(128), primary_key=True),
        Column("reason", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("at", String(27), nullable=False),
    )
