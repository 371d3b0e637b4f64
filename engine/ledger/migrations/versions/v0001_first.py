"""Runs, workers, leases, journal."""

from alembic import op
from sqlalchemy import Boolean, Column, ForeignKey, ForeignKeyConstraint, Integer, LargeBinary, String, Text, text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "run",
        Column("name", String(129), primary_key=True),
        Column("state", String(16), nullable=False),
        Column("reason", Text),
        Column("sandbox", Boolean, nullable=False),
        Column("folder", Text, nullable=False),
        Column("manifest_digest", String(64), nullable=False),
        Column("rows_read", Integer, nullable=False),
        Column("accepted", Integer, nullable=False),
        Column("excluded", Text, nullable=False),
        Column("created_at", String(27), nullable=False),
        Column("started_at", String(27)),
        Column("finished_at", String(27)),
    )
    op.create_table(
        "worker",
        Column("id", String(32), primary_key=True),
        Column("run", String(129), ForeignKey("run.name"), nullable=False, index=True),
        Column("account", Text, nullable=False),
        Column("host", Text, nullable=False),
        Column("process", Text, nullable=False),
        Column("heartbeat_at", String(27), nullable=False),
    )
    op.create_table(
        "lease",
        Column("run", String(129), ForeignKey("run.name"), primary_key=True),
        Column("ordinal", Integer, primary_key=True),
        Column("rows", Integer, nullable=False),
        Column("worker", String(32)),
        Column("epoch", Integer, nullable=False),
        Column("settled_at", String(27)),
        Column("sent", Integer),
        Column("refused", Integer),
        Column("failed", Integer),
        Column("in_doubt", Integer),
        Column("outcomes_file", Text),
        Column("outcomes_digest", String(64)),
    )
    op.create_index(
        "ix_lease_unsettled",
        "lease",
        ["run", "ordinal"],
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    )
    op.create_table(
        "journal",
        Column("run", String(129), primary_key=True),
        Column("lease", Integer, primary_key=True),
        Column("epoch", Integer, primary_key=True),
        Column("sequence", Integer, primary_key=True),
        Column("entries", LargeBinary, nullable=False),
        ForeignKeyConstraint(["run", "lease"], ["lease.run", "lease.ordinal"]),
    )
