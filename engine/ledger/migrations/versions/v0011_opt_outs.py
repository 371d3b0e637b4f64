"""Opt-outs by the unsubscribe links of runs get a table, so that they are attributed to the run and counted once.

The links of messages that were sent before name no run: their opt-outs stay in the suppression list alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "opt_out",
        sa.Column("run", sa.String(129), sa.ForeignKey("run.name"), primary_key=True),
        sa.Column("lease", sa.Integer(), primary_key=True),
        sa.Column("index", sa.Integer(), primary_key=True),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
    )
