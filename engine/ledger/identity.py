"""The ledger's identity: a random value, created once, which a backup and its restore keep."""

import uuid

from sqlalchemy import select

from engine.ledger.database import Ledger, insert_if_absent
from engine.ledger.schema import identity_table


def read_identity(ledger: Ledger) -> str:
    """Read the ledger's identity; it is made on first use.

    Raises:
        MailrunError: the ledger could not be read or written.
    """
    with ledger.read() as tx:
        known = tx.execute(select(identity_table.c.ledger)).scalar_one_or_none()
    if known is not None:
        return str(known)
    with ledger.write() as tx:  # two processes may create it at once: both then use the first one
        tx.execute(insert_if_absent(tx, identity_table).values(id=1, ledger=uuid.uuid4().hex))
        return str(tx.execute(select(identity_table.c.ledger)).scalar_one())
