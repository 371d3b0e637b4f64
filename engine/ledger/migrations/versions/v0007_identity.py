"""The ledger's identity, the store of a run, and whether a run was made with `--limit`."""

from alembic import op
from sqlalchemy import Boolean, Column, Integer, String, Text, false

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add columns that older rows can do without, and a table."""
    op.add_column("run", Column("store", String(64)))
    op.add_column("run", Column("store_place", Text))
    op.add_column("run", Column("limited", Boolean, nullable=False, server_default=false()))
    op.create_table(
        "identity",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("ledger", String(32), nullable=False),
    )
