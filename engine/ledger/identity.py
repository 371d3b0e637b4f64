"""The ledger's identity: a random value, created once, which a backup and its restore keep."""

import uuid
from hashlib import sha256

from sqlalchemy import Connection, select

from engine.ledger.database import Ledger, insert_if_absent
from engine.ledger.schema import identity_table, run_table

RUN_DIGEST_BYTES = 6  # of 10,000 runs, two have the same digest with a probability of 1 to 5 million


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


def digest_run(identity: str, name: str) -> bytes:
    """Return the short digest of a run, which the unsubscribe tokens of its messages carry.

    It covers the ledger's identity too: the digest of another ledger's run of the same name is another.

    Args:
        identity: of its ledger.
        name: CAMPAIGN/KEY.
    """
    return sha256(f"mailrun run\0{identity}\0{name}".encode()).digest()[:RUN_DIGEST_BYTES]


def list_run_digests(tx: Connection) -> dict[bytes, str | None]:
    """Compute the digests of all runs: digest -> the run's name; None where several runs have the same."""
    identity = tx.execute(select(identity_table.c.ledger)).scalar_one_or_none()
    found: dict[bytes, str | None] = {}
    for name in tx.execute(select(run_table.c.name)).scalars() if identity is not None else ():
        digest = digest_run(str(identity), name)
        found[digest] = None if digest in found else name
    return found
