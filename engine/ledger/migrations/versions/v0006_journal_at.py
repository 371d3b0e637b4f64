"""When a journal value was recorded: for how long its calls have been without an answer."""

from alembic import op
from sqlalchemy import Column, String

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a column that older rows can do without."""
    op.add_column("journal", Column("at", String(27)))
