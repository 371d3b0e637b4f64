"""Notifications: an outbox of what happens to runs, and `[notify]` of a run's campaign."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table, its indexes and the column of the run."""
    op.add_column("run", sa.Column("notify", sa.Text()))
    op.create_table(
        "notification",
        sa.Column("occurrence", sa.String(32), nullable=False),
        sa.Column("target", sa.String(32), nullable=False),
        sa.Column("run", sa.String(129), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("due_at", sa.String(27), nullable=False),
        sa.Column("claim", sa.String(32)),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("delivered_at", sa.String(27)),
        sa.Column("given_up_at", sa.String(27)),
        sa.Column("last_error", sa.Text()),
        sa.PrimaryKeyConstraint("occurrence", "target", name="pk_notification"),
    )
    op.create_index("ix_notification_run", "notification", ["run"])
    op.create_index("ix_notification_due_at", "notification", ["due_at"])
