"""Suppressions record what proved an inbound mail: one without a token is never sent to the account's list.

For entries that earlier versions made from inbound mail, it is unknown whether there was a token.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; what came from inbound mail is marked as unknown."""
    op.add_column("suppression", sa.Column("proof", sa.String(16)))
    op.execute("UPDATE suppression SET proof = 'unknown' WHERE source = 'inbound mail'")
