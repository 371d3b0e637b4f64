"""The ledger's tables.

State only, and small: a run of ten million recipients is a couple of thousand leases. Volume is Parquet in the store.
A new ledger is made from these tables; migrations in `migrations/versions` bring earlier ones to them. A test
compares both.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
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

from engine.ledger.values.documents import make_damage


class RunState(StrEnum):
    """The state of a run."""

    PLANNED = "planned"  # the plan is frozen; nothing was sent yet
    SENDING = "sending"
    PAUSED = "paused"  # with a reason; the next launch resumes it
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
        try:
            return None if value is None else datetime.fromisoformat(value)
        except ValueError:
            raise make_damage("a time") from None


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
    Column("name", String(129), primary_key=True, doc="CAMPAIGN/KEY"),
    Column("state", String(16), nullable=False, doc="`planned`, `sending`, `paused`, `finished` or `cancelled`"),
    Column("reason", Text, doc="why it is paused or cancelled"),
    Column("paused_by", Text, doc="who paused it: a person, or `guard`; null where the run paused itself"),
    Column("sandbox", Boolean, nullable=False, doc="whether it sends to the embedded sandbox"),
    Column("folder", Text, nullable=False, doc="its folder in the store"),
    Column("manifest_digest", String(64), nullable=False, doc="SHA-256 of run.json"),
    Column(
        "next_manifest_digest",
        String(64),
        doc="SHA-256 of the next run.json while the file is being replaced: either one is right",
    ),
    Column("rows_read", Integer, nullable=False, doc="rows of the audience"),
    Column("accepted", Integer, nullable=False, doc="recipients of the plan"),
    Column("excluded", Text, nullable=False, doc="JSON: exclusion reason to rows"),
    Column("created_at", Timestamp, nullable=False, doc="when it was planned"),
    Column("started_at", Timestamp, doc="when the first message was handed over"),
    Column("finished_at", Timestamp, doc="when it finished"),
    Column(
        "pruned_at", Timestamp, doc="when its files were removed; the row stays, so that its key is never sent again"
    ),
    Column(
        "suspect",
        Boolean,
        nullable=False,
        server_default=false(),
        doc="whether the ledger was restored or failed over while the run was sending",
    ),
    Column("store", String(64), doc="identity of the store that has its files; null for runs of earlier versions"),
    Column("store_place", Text, doc="where that store was at the launch"),
    Column("limited", Boolean, nullable=False, server_default=false(), doc="whether `--limit` made the plan smaller"),
    # Facts of the frozen campaign, see facts.py; all null where they are not known yet.
    Column("sender_domain", String(253), doc="domain of `from`; null while the campaign's facts are not known"),
    Column("configuration_set", String(64), doc="SES configuration set of the campaign"),
    Column("transport", String(16), doc="`ses`, `smtp` or `outbox`, as launched"),
    Column("trial", Boolean, doc="whether SES does not count what it sends: to the sandbox, or to files"),
    Column("kind", String(16), doc="`marketing` or `transactional`"),
    Column("topic", String(128), doc="topic whose opt-outs apply"),
    Column("warmup", Text, doc="JSON of `[warmup]`; null where the campaign has none"),
    Column("guard", Text, doc="JSON of `[guard]`"),
    Column("canary", Text, doc="JSON of `[canary]`; null where the campaign has none"),
    Column("notify", Text, doc="JSON of the campaign's `[notify]`; null where it has none"),
    info={"about": "One execution of a campaign."},
)
Index("ix_run_created_at", run_table.c.created_at)
Index("ix_run_sender_domain", run_table.c.sender_domain, run_table.c.configuration_set)

worker_table = Table(
    "worker",
    metadata,
    Column("id", String(32), primary_key=True, doc="random"),
    Column("run", String(129), ForeignKey("run.name"), nullable=False, index=True, doc="the run that it sends for"),
    Column(
        "account", Text, nullable=False, doc="the endpoint whose rate it shares; empty while it has nothing to send"
    ),
    Column("host", Text, nullable=False, doc="name of its machine, for people"),
    Column("process", Text, nullable=False, doc="its process id, for people"),
    Column(
        "heartbeat_at",
        Timestamp,
        nullable=False,
        doc="time of the last heartbeat, for people: no other machine's clock decides anything",
    ),
    Column(
        "beats",
        Integer,
        nullable=False,
        server_default="0",
        doc="number of heartbeats: a worker whose number grows is alive",
    ),
    Column("vitals", Text, doc="JSON: what `mailrun status` shows of the worker"),
    info={"about": "A process that sends for a run."},
)

lease_table = Table(
    "lease",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True, doc="its run"),
    Column("ordinal", Integer, primary_key=True, doc="its row group in the plan"),
    Column("rows", Integer, nullable=False, doc="recipients in it"),
    Column(
        "worker", String(32), doc="its owner; the lease of a dead worker waits for another owner"
    ),  # no foreign key: a dead worker's row is removed, its lease waits for another owner
    Column("epoch", Integer, nullable=False, doc="grows with each owner; the ledger rejects records of an older epoch"),
    Column("settled_at", Timestamp, doc="when every row had its outcome"),
    Column("sent", Integer, doc="rows with the outcome `sent`, once settled"),
    Column("refused", Integer, doc="rows with the outcome `refused`, once settled"),
    Column("failed", Integer, doc="rows with the outcome `failed`, once settled"),
    Column("in_doubt", Integer, doc="rows with the outcome `in_doubt`, once settled"),
    Column("outcomes_file", Text, doc="its outcomes file in the store"),
    Column("outcomes_digest", String(64), doc="SHA-256 of that file"),
    info={"about": "A row group of the plan that one worker owns."},
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
Index("ix_lease_settled_at", lease_table.c.settled_at)  # what was sent today: the warm-up
# The queries for the next lease and for open leases read unsettled leases only.
_UNSETTLED = Index("ix_lease_unsettled", lease_table.c.run, lease_table.c.ordinal)

journal_table = Table(
    "journal",
    metadata,
    Column("run", String(129), primary_key=True, doc="its run"),
    Column("lease", Integer, primary_key=True, doc="ordinal of its lease"),
    Column("epoch", Integer, primary_key=True, doc="epoch of the worker that wrote it"),
    Column("sequence", Integer, primary_key=True, doc="order of the commits within the epoch"),
    Column("entries", LargeBinary, nullable=False, doc="intents and outcomes, compressed"),
    Column("at", Timestamp, doc="time of the commit by the database's clock; null for rows of earlier versions"),
    ForeignKeyConstraint(["run", "lease"], ["lease.run", "lease.ordinal"]),
    info={"about": "Intents and outcomes of open leases; the rows of a lease are removed when it is settled."},
)

decision_table = Table(
    "decision",
    metadata,
    Column("id", Integer, primary_key=True, doc="number"),
    Column("run", String(129), index=True, doc="its run; null where it concerns no single run"),
    Column("at", Timestamp, nullable=False, doc="when"),
    Column("who", Text, nullable=False, doc="USER@HOST"),
    Column("what", String(32), nullable=False, doc="the command and how it was given"),
    Column("detail", Text, nullable=False, doc="JSON, without addresses"),
    info={"about": "What people and the guard decided."},
)

notification_table = Table(
    "notification",
    metadata,
    Column("occurrence", String(32), primary_key=True, doc="id of a change of a run's state, or of a stall"),
    Column(
        "target",
        String(32),
        primary_key=True,
        doc="name of the receiver; empty for the occurrence itself",
    ),
    Column("run", String(129), nullable=False, index=True, doc="its run"),
    Column("event", String(16), nullable=False, doc="`started`, `resumed`, `paused`, `guard`, `finished` or `stalled`"),
    Column("notice", Text, nullable=False, doc="JSON: what is sent, the same at each attempt"),
    Column("created_at", Timestamp, nullable=False, doc="when the state changed, by the database's clock"),
    Column("due_at", Timestamp, nullable=False, index=True, doc="when the next attempt may begin"),
    Column("claim", String(32), doc="random, of the attempt that was begun last"),
    Column("attempts", Integer, nullable=False, server_default="0", doc="number of attempts"),
    Column("delivered_at", Timestamp, doc="when the target accepted it"),
    Column("given_up_at", Timestamp, doc="when mailrun stopped trying"),
    Column("last_error", Text, doc="why the last attempt failed"),
    info={"about": "Notifications of changes of runs, one row for each target; kept as a record."},
)

forgotten_table = Table(
    "forgotten",
    metadata,
    Column("digest", String(64), primary_key=True, doc="HMAC of the normalised address under the store's `forget.key`"),
    Column("bucket", BigInteger, nullable=False, doc="a shorter keyed hash, for a fast first lookup"),
    Column("at", Timestamp, nullable=False, doc="when the address was erased"),
    info={"about": "Addresses that `mailrun forget` erased, as keyed hashes."},
)

identity_table = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="always 1"),
    Column("ledger", String(32), nullable=False, doc="random; a restored ledger keeps it, a new ledger has another"),
    info={"about": "The identity of this ledger."},
)

place_table = Table(
    "place",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="always 1"),
    Column(
        "place", Text, nullable=False, doc="the database that holds this data: a copy or a restored backup has another"
    ),
    info={"about": "Where this ledger lives."},
)
suppression_table = Table(
    "suppression",
    metadata,
    Column(
        "key", String(254), primary_key=True, doc="the normalised address in lower case, or a domain as `@example.com`"
    ),
    Column("topic", String(128), primary_key=True, doc="the topic that it applies to; empty for all mail"),
    Column("reason", Text, nullable=False, doc="why"),
    Column("source", Text, nullable=False, doc="its origin: a run, a file, a person, an unsubscribe link"),
    Column("at", Timestamp, nullable=False, doc="since when"),
    Column("event", Text, doc="id of the event that caused it, in the store's events; else null"),
    Column("address", String(254), doc="the address as it was received"),
    Column("proof", String(16), doc="what proved an inbound mail; else null"),
    info={"about": "Addresses that must not be mailed."},
)
Index("ix_suppression_at", suppression_table.c.at)  # added since

_EVENT_COUNTS = {
    "proven": "rows of which an event proves that SES accepted them",
    "delivered": "rows delivered",
    "bounced": "rows that bounced permanently",
    "soft_bounced": "rows that SES stopped retrying",
    "provider_suppressed": "rows that SES did not try, because its own list has the address",
    "complained": "rows with a complaint",
    "opened": "rows opened",
    "clicked": "rows with a click",
    "delayed": "rows that were delayed",
    "unsubscribed": "rows whose recipient opted out: by SES, one click, page or mail",
    "rejected": "rows that SES accepted and did not send",
    "opened_by_people": "rows opened by a person, or by what is not known as a machine",
    "clicked_by_people": "rows with a click by a person, or by what is not known as a machine",
}
_OF_LEASES_ALONE = ("opened", "clicked", "delayed", "unsubscribed", "opened_by_people", "clicked_by_people")
_LATER_COUNTS = ("opened_by_people", "clicked_by_people")


def _count_events(names: Iterable[str]) -> list[Column[int]]:
    zero = dict.fromkeys(_LATER_COUNTS, "0")
    return [
        Column(name, Integer, nullable=False, server_default=zero.get(name), doc=_EVENT_COUNTS[name]) for name in names
    ]


feedback_table = Table(
    "feedback",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True, doc="its run"),
    Column("lease", Integer, primary_key=True, doc="ordinal of its lease"),
    Column(
        "flags", LargeBinary, nullable=False, doc="two bytes for each row, in the plan's order: the events of the row"
    ),
    *_count_events(_EVENT_COUNTS),
    info={"about": "Events by lease."},
)

feedback_domain_table = Table(
    "feedback_domain",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True, doc="its run"),
    Column("domain", String(253), primary_key=True, doc="a large receiver domain; empty for all others together"),
    *_count_events(name for name in _EVENT_COUNTS if name not in _OF_LEASES_ALONE),
    info={"about": "Events by receiver domain."},
)

opt_out_table = Table(
    "opt_out",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True, doc="the run whose message had the link"),
    Column("lease", Integer, primary_key=True, doc="ordinal of the row's lease"),
    Column("index", Integer, primary_key=True, doc="the row's place in its lease, in the plan's order, from 0"),
    Column("at", Timestamp, nullable=False, doc="when the recipient first opted out"),
    Column("method", String(16), nullable=False, doc="how: `one_click`, `page` or `mailto`"),
    Column(
        "recipients", Integer, nullable=False, doc="1; of a run whose files are pruned, everybody who used the method"
    ),
    info={"about": "Opt-outs by the unsubscribe links of runs."},
)

soft_bounce_table = Table(
    "soft_bounce",
    metadata,
    Column("key", String(254), primary_key=True, doc="the normalised address"),
    Column("run", String(129), primary_key=True, doc="the run"),
    Column("row", BigInteger, primary_key=True, doc="the row: a message counts once"),
    Column("at", Timestamp, nullable=False, doc="when it bounced"),
    Column("event", Text, nullable=False, doc="id of the event, in the store's events"),
    info={"about": "Transient bounces, kept for the period of the rule that counts them."},
)
Index("ix_soft_bounce_at", soft_bounce_table.c.at)  # rows older than every rule's period are removed

pace_sample_table = Table(
    "pace_sample",
    metadata,
    Column("run", String(129), ForeignKey("run.name"), primary_key=True, doc="its run"),
    Column("worker", String(32), primary_key=True, doc="the worker that measured"),
    Column("at", Timestamp, primary_key=True, doc="end of the period"),
    Column("seconds", Float, nullable=False, doc="length of the period; a minute, and more in long runs"),
    Column("handed_over", Integer, nullable=False, doc="recipients handed over in the period"),
    Column("throttled", Integer, nullable=False, doc="throttle replies in the period"),
    Column("rate_limit", Float, nullable=False, doc="recipients a second that the worker may send at the end"),
    Column("in_flight", Integer, nullable=False, doc="calls in flight at the end"),
    Column("latency_ms", Float, nullable=False, doc="moving average of a call with its journal, in milliseconds"),
    info={"about": "How fast each worker sent: the time line of a run."},
)


def set_conditions(dialect: str) -> None:
    """Set the condition of the partial index for one kind of database: SQLAlchemy then imports its dialect."""
    _UNSETTLED.dialect_kwargs[f"{dialect}_where"] = lease_table.c.settled_at.is_(None)
