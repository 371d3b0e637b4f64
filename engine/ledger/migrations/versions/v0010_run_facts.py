"""Facts of a run's campaign become columns of the run, so that other commands need not open campaign.toml.

They stay null for the runs of earlier versions until a command that needs them reads the run's frozen campaign once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns, and the indexes for the warm-up's query."""
    for name, type_ in (
        ("sender_domain", sa.String(253)),
        ("configuration_set", sa.String(64)),
        ("transport", sa.String(16)),
        ("trial", sa.Boolean()),
        ("kind", sa.String(16)),
        ("topic", sa.String(128)),
        ("warmup", sa.Text()),
        ("guard", sa.Text()),
        ("canary", sa.Text()),
    ):
        op.add_column("run", sa.Column(name, type_))
    op.create_index("ix_run_sender_domain", "run", ["sender_domain", "configuration_set"])
    op.create_index("ix_lease_settled_at", "lease", ["settled_at"])
