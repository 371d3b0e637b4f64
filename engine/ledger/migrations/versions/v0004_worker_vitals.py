"""The figures that workers record, for `mailrun status`."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("worker", Column("vitals", Text))
