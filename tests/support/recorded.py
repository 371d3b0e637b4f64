"""What a ledger and a campaign hold, as tests compare it: the engine itself reads it in other ways."""

from pathlib import Path

from sqlalchemy import Connection, select

from engine.campaign.files import list_files
from engine.ledger.event_flags import _COLUMNS, OF_DOMAINS, Counts
from engine.ledger.schema import feedback_domain_table, journal_table
from engine.run.manifest import digest_campaign_file


def read_journal(tx: Connection, run: str, ordinal: int) -> list[bytes]:
    """Read a lease's journal values in order of commit."""
    rows = select(journal_table.c.entries).where(journal_table.c.run == run, journal_table.c.lease == ordinal)
    return list(tx.execute(rows.order_by(journal_table.c.epoch, journal_table.c.sequence)).scalars())


def read_domains(tx: Connection, run: str) -> dict[str, Counts]:
    """Read the counts of a run's receivers: domain -> flag -> rows; the empty domain is all smaller ones together."""
    rows = tx.execute(select(feedback_domain_table).where(feedback_domain_table.c.run == run))
    return {row.domain: {flag: getattr(row, _COLUMNS[flag]) for flag in OF_DOMAINS} for row in rows}


def digest_campaign(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that makes a campaign, by its path in a run's copy."""
    return {name: digest_campaign_file(folder, name, path) for name, path in list_files(folder).items()}
