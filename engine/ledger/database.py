"""Opens the ledger and its transactions; the only place that translates database errors to mailrun's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, Table, exc, text

from engine.errors import ConfigurationError, DataError, MailrunError, PausedError, UnreachableError, docs_page
from engine.ledger import migrate, restore_check
from engine.ledger.connect import BUSY_TIMEOUT_SECONDS, make_engine
from engine.masking import mask_url
from engine.transaction_guard import guard_transaction

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

# PostgreSQL's error codes (its manual, appendix A) of temporary failures: the connection is gone, the server starts,
# stops, recovers or is a standby that was not promoted yet, too many connections, or two transactions conflict.
_TEMPORARY = ("08", "57P", "55000", "25006", "25P03", "53300", "40001", "40P01", "55P03")
CLOCK = {  # dialect -> the database's clock, as a Timestamp is written
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
    "postgresql": "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
}
_CONFIGURATION_WORDS = ("authentication failed", "does not exist", "no password", "pg_hba", "permission denied")


class Ledger:
    """An open ledger.

    Attributes:
        url: where it is, without a password, for messages.
        is_of_one_machine: it is a file, which only workers on one machine can use.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._was_open = False
        self.url = mask_url(engine.url.render_as_string(hide_password=False))
        self.is_of_one_machine = engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a durable transaction: it has reached the disk when the block has ended.

        The block may only call functions of the ledger: work on files, the store or the network raises in it.

        Raises:
            UnreachableError: the server is unreachable; the block may or may not have been recorded.
            OpenTransactionError: this thread has a transaction open already.
            PausedError: the disk is full or failing; nothing of the block was recorded.
            DataError: the ledger is damaged.
            ConfigurationError: the ledger cannot be used.
        """
        with guard_transaction(), self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one consistent view, which never waits for a writer; as `write`, the block only reads the ledger."""
        with guard_transaction(), self._translated(), self._engine.connect() as connection:
            yield connection.execution_options(mailrun_read=True)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translate_database_errors(self.url, was_open=self._was_open):
            yield
            self._was_open = True


def open_ledger(url: str) -> Ledger:
    """Open the ledger at an SQLAlchemy URL; make or migrate its tables where needed.

    Args:
        url: `sqlite:///PATH` or `postgresql://USER@HOST/DATABASE`.

    Raises:
        ConfigurationError: not a usable URL, folder not writable, or written by a newer mailrun.
        DataError: the file is damaged, or is not a ledger.
        UnreachableError: the server does not answer.
    """
    engine = make_engine(url)
    ledger = Ledger(engine)
    try:
        with translate_database_errors(ledger.url):
            migrate.migrate(engine, ledger.url)
            restore_check.detect_restore(engine)
    except MailrunError:
        ledger.close()
        raise
    return ledger


def insert_if_absent(tx: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Begin an INSERT that does nothing if the key exists; its rowcount is then 0."""
    dialect = import_module(f"sqlalchemy.dialects.{tx.dialect.name}")  # the one that is in use
    statement: postgresql.Insert | sqlite.Insert = dialect.insert(table)
    return statement.on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def read_clock(tx: Connection) -> datetime:
    """Read the database's clock, which all processes that use the ledger share."""
    return datetime.fromisoformat(tx.execute(text(f"SELECT {CLOCK[tx.dialect.name]}")).scalar_one())


@contextmanager
def translate_database_errors(where: str, *, was_open: bool = False) -> Iterator[None]:
    """Translate database errors to mailrun's own; the only place that does.

    Args:
        where: the ledger.
        was_open: an earlier login succeeded, so a login that fails now may succeed later, with a renewed token.

    Raises:
        MailrunError: the type depends on the database's error; see `_translate`.
        UnreachableError: no connection was free in time.
    """
    try:
        yield
    except exc.DBAPIError as error:
        raise _translate(error, where, was_open=was_open) from error
    except exc.TimeoutError as error:
        raise _unreachable("no connection was free in time", where) from error


def _translate(error: exc.DBAPIError, where: str, *, was_open: bool) -> MailrunError:
    text = str(error.orig).strip()
    lower = text.lower()
    if "disk is full" in lower or "no space" in lower:
        return PausedError(
            "the disk with the ledger is full", where=where, remedy="free some space and run the same command again"
        )
    if "disk i/o error" in lower or "input/output error" in lower:
        return PausedError(
            "the disk with the ledger has I/O errors",
            where=where,
            remedy="repair the disk, then run the same command again",
        )
    if "malformed" in lower or "not a database" in lower or "corrupt" in lower:
        return DataError(
            f"the ledger is damaged: {text}",
            where=where,
            remedy=f"set the file aside and restore a backup; see {docs_page('guides/back-up-and-restore.md')}",
        )
    if where.startswith("postgresql"):
        return _translate_postgres(error, where, was_open=was_open)
    if "locked" in lower:
        return PausedError(
            f"another process has held the ledger for {BUSY_TIMEOUT_SECONDS} s",
            where=where,
            remedy="find the process and stop it, then run the same command again",
        )
    return _unusable(text, where)


def _translate_postgres(error: exc.DBAPIError, where: str, *, was_open: bool) -> MailrunError:
    text = " ".join(_read_sentence(error.orig).split())
    if "statement pooling mode" in text:
        return ConfigurationError(
            "the ledger is behind PgBouncer in statement mode, which does not support transactions",
            where=where,
            remedy="set pool_mode = transaction or session in pgbouncer.ini, or give the URL of the server itself",
        )
    code = getattr(error.orig, "sqlstate", None)
    wrong = any(word in text for word in _CONFIGURATION_WORDS)
    away = error.connection_invalidated or (code is None and isinstance(error, exc.OperationalError))
    if (away and (was_open or not wrong)) or (code is not None and code.startswith(_TEMPORARY)):
        return _unreachable(text, where)
    return _unusable(text, where)


def _read_sentence(error: BaseException | None) -> str:
    """Return PostgreSQL's message without the DETAIL that quotes rows; return a message of the driver unchanged."""
    diagnosis = getattr(error, "diag", None)
    return str(getattr(diagnosis, "message_primary", None) or error)


def _unreachable(text: str, where: str) -> UnreachableError:
    return UnreachableError(
        f"the ledger cannot be reached: {text}",
        where=where,
        remedy="check that the database server is up and reachable, then run the same command again",
    )


def _unusable(text: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"the ledger cannot be used: {text}", where=where, remedy="check the URL, its access rights and its version"
    )
