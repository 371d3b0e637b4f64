"""The ledger's tables.

State only, and small: a run of ten million recipients is a couple of thousand leases. Volume is Parquet in the store.
Migrations in `migrations/versions` make these tables; a test compares both.
"""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
)


class RunState(StrEnum):
    """Where a run is in its life."""

    PLANNED = "planned"  # the plan is frozen, nothing was sent yet
    SENDING = "sending"
    PAUSED = "paused"  # with a reason; the next launch goes on
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Timestamp(TypeDecorator[datetime]):
    """An aware datetime as fixed-width ISO 8601 text in UTC: readable by people, ordered as text."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Write UTC with microseconds."""
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Read it back, aware."""
        return None if value is None else datetime.fromisoformat(value)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

run_table = Table(
    "run",
    metadata,
    Column("name", String(129), primary_key=True),  # CAMPAIGN/KEY
    Column("state", String(16), nullable=False),
    Column("reason", Text),  # why it is paused or cancelled
    Column("paused_by", Text),  # the person who paused it, or `guard`: until `resume`; null where mailrun itself did
    Column("sandbox", Boolean, nullable=False),  # sent to the embedded sandbox, never to be mixed with the real SES
    Column("folder", Text, nullable=False),  # within the store
    Column("manifest_digest", String(64), nullable=False),  # sha256 of run.json
    Column("next_manifest_digest", String(64)),  # while run.json is being rewritten: either is right
    Column("rows_read", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("excluded", Text, nullable=False),  # JSON: reason -> count
    Column("created_at", Timestamp, nullable=False),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    Column("pruned_at", Timestamp),  # its files are gone; the row stays, so that its key is never sent again
    # The ledger was restored or has failed over while the run was under way: it may be older than what was sent.
    Column("suspect", Boolean, nullable=False, server_default=false()),
    # The identity of the store that has its files, and where that was for the launch; null where an older version made
    # the run.
    Column("store", String(64)),
    Column("store_place", Text),
    Column("limited", Boolean, nullable=False, server_default=false()),  # by `--limit`: says nothing about the audience
)
Index("ix_run_created_at", run_table.c.created_at)

worker_table = Table(
    "worker",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("run", String(129), ForeignKey("run.name"), nullable=False, index=True),
    Column("account", Text, nullable=False),  # the endpoint whose rate is shared; empty while it has nothing to send
    Column("host", Text, nullable=False),  # for people, as the next one: many machines may have one name
    Column("process", Text, nullable=False),
    Column("heartbeat_at", Timestamp, nullable=False),  # for people; no clock of another machine decides anything
    Column("beats", Integer, nullable=False, server_default="0"),  # grows: who watches it sees that the worker lives
    Column("vitals", Text),  # JSON: what the worker tells of itself, for `status`
)

lease_table = Table(
    "lease",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("rows", Integer, nullable=False),
    Column(
        "worker", String(32)
    ),  # the owner; no foreign key: a dead worker's row goes, its lease waits to be taken over
    Column("epoch", Integer, nullable=False),  # grows with each owner; records of an older epoch are refused
    Column("settled_at", Timestamp),
    # What became of the rows: filled in when the lease is settled.
    Column("sent", Integer),
    Column("refused", Integer),
    Column("failed", Integer),
    Column("in_doubt", Integer),
    Column("outcomes_file", Text),
    Column("outcomes_digest", String(64)),
)
# Sums over all runs: `status`.
Index(
    "ix_lease_settled",
    lease_table.c.run,
    lease_table.c.sent,
    lease_table.c.refused,
    lease_table.c.failed,
    lease_table.c.in_doubt,
)
# Taking the next lease and "is anything left?" look at unsettled leases alone.
Index(
    "ix_lease_unsettled",
    lease_table.c.run,
    lease_table.c.ordinal,
    sqlite_where=lease_table.c.settled_at.is_(None),
    postgresql_where=lease_table.c.settled_at.is_(None),
)

journal_table = Table(
    "journal",
    metadata,
    Column("run", String(129), primary_key=True),
    Column("lease", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("sequence", Integer, primary_key=True),  # within the epoch, in order of commit
    Column("entries", LargeBinary, nullable=False),  # intents and outcomes, see journal.py
    Column("at", Timestamp),  # by the database's clock; null where an older version wrote it
    ForeignKeyConstraint(["run", "lease"], ["lease.run", "lease.ordinal"]),
)

decision_table = Table(
    "decision",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String(129), index=True),  # null: of no single run
    Column("at", Timestamp, nullable=False),
    Column("who", Text, nullable=False),  # user@host
    Column("what", String(32), nullable=False),  # the command, and how
    Column("detail", Text, nullable=False),  # JSON, without addresses
)

forgotten_table = Table(
    "forgotten",
    metadata,
    Column("digest", String(64), primary_key=True),  # HMAC of the normalised address under the store's key
    Column("bucket", BigInteger, nullable=False),  # a shorter keyed hash: tells quickly who is certainly not meant
    Column("at", Timestamp, nullable=False),
)

identity_table = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("ledger", String(32), nullable=False),  # random; a restored ledger keeps it, a new one has another
)

place_table = Table(
    "place",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("place", Text, nullable=False),  # where this data lives, see engines.py
)
suppression_table = Table(
    "suppression",
    metadata,
    Column("key", String(254), primary_key=True),  # the normalised address, in lower case
    Column("topic", String(128), primary_key=True),  # only mail of this topic; empty for all mail
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),  # where it is from: a run, an event, a person
    Column("at", Timestamp, nullable=False),
    Column("event", Text),  # the id of the event that caused it, in the store's events; null where none did
    Column("address", String(254)),  # as it was received: SES's own list is case-sensitive
    Column("proof", String(16)),  # what proved an inbound mail's word (`Proof`); null where no mail is the reason
)
Index("ix_suppression_at", suppression_table.c.at)  # what was learnt since

feedback_table = Table(
    "feedback",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True),
    Column("lease", Integer, primary_key=True),  # its ordinal
    # For each of its rows, in the plan's order, the flags of all that came back for it; see feedback.py.
    Column("flags", LargeBinary, nullable=False),
    # How many rows have which flag: what the flags add up to.
    Column("proven", Integer, nullable=False),
    Column("delivered", Integer, nullable=False),
    Column("bounced", Integer, nullable=False),
    Column("soft_bounced", Integer, nullable=False),
    Column("provider_suppressed", Integer, nullable=False),
    Column("complained", Integer, nullable=False),
    Column("opened", Integer, nullable=False),
    Column("clicked", Integer, nullable=False),
    Column("delayed", Integer, nullable=False),
    Column("unsubscribed", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
)

feedback_domain_table = Table(
    "feedback_domain",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True),
    Column("domain", String(253), primary_key=True),  # a large receiver; empty for all others together
    Column("proven", Integer, nullable=False),
    Column("delivered", Integer, nullable=False),
    Column("bounced", Integer, nullable=False),
    Column("soft_bounced", Integer, nullable=False),
    Column("provider_suppressed", Integer, nullable=False),
    Column("complained", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
)

soft_bounce_table = Table(
    "soft_bounce",
    metadata,
    Column("key", String(254), primary_key=True),  # the normalised address
    Column("run", String(129), primary_key=True),
    Column("row", BigInteger, primary_key=True),  # one bounce counts for a message
    Column("at", Timestamp, nullable=False),
    Column("event", Text, nullable=False),
)
Index("ix_soft_bounce_at", soft_bounce_table.c.at)  # what is older than any rule looks back is removed
