"""One engine for each kind of database: how it is connected, and how its transactions begin.

All other code of the ledger is the same for both kinds. Both guarantee: a commit that returned is on the disk, a write
transaction never sees a part of another one, and a read is one consistent view.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url, text

from engine.errors import ConfigurationError
from engine.ledger.schema import set_conditions
from engine.locations import LEDGER_EXAMPLES
from engine.masking import mask_url, remember_secrets
from engine.system.temporary import find_temporary_folder

BUSY_TIMEOUT_SECONDS = 30  # another worker's commit takes milliseconds; this is for a stalled disk

# A worker that is suspended or cut off in the middle of a transaction holds locks on its leases. The server ends such a
# transaction sooner than other workers would declare a silent worker dead.
IDLE_IN_TRANSACTION_SECONDS = 10.0
_NOT_DURABLE = ("off", "local")  # a server may be configured like this; a record of the ledger must never be lost
_READ_SETTINGS = """\
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
 SET LOCAL idle_in_transaction_session_timeout = {idle_milliseconds}"""
_WRITE_SETTINGS = f"""\
SELECT set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN {_NOT_DURABLE}
 THEN 'on' ELSE current_setting('synchronous_commit') END, true),
 set_config('idle_in_transaction_session_timeout', '{{idle_milliseconds}}', true),
 set_config('lock_timeout', '{BUSY_TIMEOUT_SECONDS * 1000}', true)"""
# A cut network is noticed within this time instead of the kernel's quarter of an hour (libpq, "tcp_user_timeout").
_SILENT_NETWORK_MILLISECONDS = 10_000
_POSTGRES_CONNECTION = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": _SILENT_NETWORK_MILLISECONDS,
    "application_name": "mailrun",
}


def make_engine(url: str) -> Engine:
    """Make the engine for a ledger's URL; nothing is connected yet.

    Raises:
        ConfigurationError: not a usable URL, or the folder of an SQLite file cannot be written.
    """
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):  # the latter where the port is not a number; it quotes the URL
        raise ConfigurationError(f"the ledger's URL cannot be read: {mask_url(url)}", remedy=LEDGER_EXAMPLES) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return _make_sqlite_engine(parsed)
    if kind in ("postgresql", "postgres"):
        if "@" in f"{parsed.host}{parsed.database}":  # a driver would read a part of the password as the host's name
            raise ConfigurationError(
                f"the ledger's URL has more than one @: {mask_url(url)}",
                remedy="write an @ of the user or the password as %40, a / as %2F, a : as %3A",
            )
        return _make_postgres_engine(parsed)
    raise ConfigurationError(
        f"a ledger is an SQLite or PostgreSQL database, not {kind}",
        where=mask_url(url),
        remedy=LEDGER_EXAMPLES,
    )


def _make_sqlite_engine(url: URL) -> Engine:
    _create_private_file(Path(str(url.database)))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}, hide_parameters=True)
    set_conditions("sqlite")
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_postgres_engine(url: URL) -> Engine:
    remember_secrets(_list_secrets(url))
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args=_POSTGRES_CONNECTION,
        hide_parameters=True,  # errors of statements would quote addresses
        isolation_level="READ COMMITTED",  # whatever the server's default is: ownership is checked under row locks
        pool_size=2,
        pool_pre_ping=True,  # a connection that was dropped while idle fails no request
    )
    set_conditions("postgresql")
    event.listen(engine, "connect", _set_up_postgres)
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _list_secrets(url: URL) -> Iterator[str]:
    """List the passwords of a URL; libpq's own names for them are `password` and `sslpassword`."""
    yield str(url.password or "")
    for name, value in url.query.items():
        if "password" in name.lower():
            yield from (value,) if isinstance(value, str) else value


def _create_private_file(path: Path) -> None:
    """Create the file, readable by its owner alone: it has addresses. SQLite gives its side files the same mode.

    A file that is there is not opened: to close it again would end the locks of this process's other connections, and
    other processes would then remove the log that these write to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(path.resolve(), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigurationError(
            f"the ledger cannot be written: {error.strerror}",
            where=str(path),
            remedy="give this user write access to the folder, or choose another with --store or --ledger",
        ) from None


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where this module begins them, not where the driver does
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"]
    if find_temporary_folder() is None:
        pragmas.append("temp_store=MEMORY")  # otherwise, statements that sort much data fail with "disk I/O error"
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE acquires the write lock at once, so that a transaction that reads first cannot fail half-way.
    connection.exec_driver_sql("BEGIN" if is_reading(connection) else "BEGIN IMMEDIATE")


def _set_up_postgres(connection: Any, _record: object) -> None:
    """Prepare no statements where a pooler such as PgBouncer may give each transaction another server connection.

    Behind a pooler, the process id that the login reports differs from the server's own.
    """
    (server,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.rollback()
    if server != connection.info.backend_pid:
        connection.prepare_threshold = None


def _begin_postgres(connection: Connection) -> None:
    """Set the parameters of this transaction only: behind a pooler, other clients share the session."""
    idle_milliseconds = round(IDLE_IN_TRANSACTION_SECONDS * 1000)
    if is_reading(connection):
        connection.exec_driver_sql(_READ_SETTINGS.format(idle_milliseconds=idle_milliseconds))
        return
    durability = connection.exec_driver_sql(_WRITE_SETTINGS.format(idle_milliseconds=idle_milliseconds)).scalar_one()
    if durability in _NOT_DURABLE:
        raise ConfigurationError(
            f"the ledger's server does not wait for its disk: synchronous_commit is {durability} inside a transaction",
            where=mask_url(connection.engine.url.render_as_string(hide_password=False)),
            remedy="let the server, or the pooler before it, accept SET synchronous_commit",
        )


def is_reading(connection: Connection) -> bool:
    """Return True if a connection was opened for reading only."""
    return bool(connection.get_execution_options().get("mailrun_read"))


def read_server_identity(connection: Connection) -> str | None:
    """Return what identifies the server of the ledger's data; another value means a restore or a fail-over.

    PostgreSQL: the cluster's identity, the database's number and the timeline, which a restore into another database
    or the promotion of a standby changes. SQLite has nothing of the kind: None.
    """
    if connection.dialect.name != "postgresql":
        return None
    parts = text(
        "SELECT (SELECT system_identifier FROM pg_control_system()),"
        " (SELECT oid FROM pg_database WHERE datname = current_database()),"
        " substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
    )
    system, database, timeline = connection.execute(parts).one()
    return f"{system}/{database}/{timeline}"


def read_transaction(connection: Connection) -> str:
    """Read the id of PostgreSQL's transaction, in the form of the column `xmin` of the rows that it writes."""
    return str(connection.execute(text("SELECT mod(txid_current(), 4294967296)")).scalar_one())
