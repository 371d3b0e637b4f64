"""Opening the ledger, its transactions, and the border where database errors become mailrun's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url

from engine.errors import ConfigurationError, DataError, MailrunError, PausedError
from engine.ledger import migrate

BUSY_TIMEOUT_SECONDS = 30  # another worker's commit takes milliseconds; this is for a stalled disk


class Ledger:
    """An open ledger.

    Attributes:
        url: where it is, without a password, for messages.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.url = engine.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One durable transaction: it has reached the disk when the block has ended.

        Raises:
            PausedError: the disk is full or failing; nothing of the block was recorded.
            DataError: the ledger is damaged.
            ConfigurationError: the ledger cannot be used.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; never waits for a writer."""
        with self._translated(), self._engine.connect() as connection:
            yield connection.execution_options(mailrun_read=True)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translate_database_errors(self.url):
            yield


def open_ledger(url: str) -> Ledger:
    """Open the ledger at an SQLAlchemy URL; make or migrate its tables where needed.

    Args:
        url: `sqlite:///PATH`.

    Raises:
        ConfigurationError: not a usable URL, folder not writable, or written by a newer mailrun.
        DataError: the file is damaged or no ledger.
    """
    engine = _make_engine(url)
    ledger = Ledger(engine)
    try:
        with translate_database_errors(ledger.url):
            migrate.migrate(engine, ledger.url)
    except MailrunError:
        ledger.close()
        raise
    return ledger


def _make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise ConfigurationError(
            f"the ledger's URL cannot be read: {url}", remedy="write it as sqlite:////absolute/path/ledger.db"
        ) from None
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "this version keeps its ledger in an SQLite file",
            where=parsed.render_as_string(hide_password=True),
            remedy="write the URL as sqlite:////absolute/path/ledger.db",
        )
    _create_private_file(Path(parsed.database))
    engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _set_up_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private_file(path: Path) -> None:
    """The ledger names people: only its owner may read it. SQLite gives its side files the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"the ledger cannot be written: {error.strerror}",
            where=str(path),
            remedy="give this user write access to the folder, or choose another with --store or --ledger",
        ) from None


def _set_up_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a transaction that reads first can then not fail half-way.
    reads = connection.get_execution_options().get("mailrun_read")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def translate_database_errors(where: str) -> Iterator[None]:
    """Turn database errors into mailrun's own: the one border for them."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _translate(str(error.orig), where) from error


def _translate(text: str, where: str) -> MailrunError:
    lower = text.lower()
    if "disk is full" in lower or "no space" in lower:
        return PausedError(
            "the disk with the ledger is full", where=where, remedy="free some space and launch again to go on"
        )
    if "disk i/o error" in lower:
        return PausedError(
            "the disk with the ledger fails", where=where, remedy="look after the disk, then launch again to go on"
        )
    if "locked" in lower:
        return PausedError(
            f"another process has held the ledger for {BUSY_TIMEOUT_SECONDS} s",
            where=where,
            remedy="find it, then launch again to go on",
        )
    if "malformed" in lower or "not a database" in lower or "corrupt" in lower:
        return DataError(
            f"the ledger is damaged: {text}", where=where, remedy="set the file aside and restore a backup"
        )
    return ConfigurationError(
        f"the ledger cannot be used: {text}", where=where, remedy="check the path, its access rights and its version"
    )
