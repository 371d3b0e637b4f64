"""Makes a ledger's tables, or migrates them to this version.

A new ledger is made from the schema at once; Alembic, which is slow to import, migrates those of earlier versions. A
test compares what both make.
"""

from importlib import import_module

from sqlalchemy import Connection, Engine, inspect, text

from engine.errors import ConfigurationError
from engine.ledger.schema import metadata

HEAD = "0014"  # the newest file of migrations/versions; a test keeps both equal
_LOCK = 0x6D61696C72756E  # "mailrun": the advisory lock of migrations


def migrate(engine: Engine, where: str) -> None:
    """Make or migrate the tables, in one transaction.

    Two processes may start at once: the transaction holds the write lock, so the second one has nothing left to do.

    Raises:
        ConfigurationError: the ledger was written by a newer mailrun.
    """
    with engine.connect().execution_options(mailrun_read=True) as connection:
        version = _read_version(connection)
    if version == HEAD:
        return
    if version is not None:
        import_module("alembic.command")  # not while the transaction waits
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # SQLite's write transactions exclude each other anyway
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        version = _read_version(connection)
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise ConfigurationError(
                f"the ledger was written by a newer mailrun (schema {version}, this version supports up to {HEAD})",
                where=where,
                remedy="install the newer version of mailrun, then run the same command again",
            )
        if version is None:
            _make_tables(connection)
        else:
            _upgrade(connection)


def _read_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _make_tables(connection: Connection) -> None:
    """Make the tables of this version, and the one where Alembic keeps it."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS alembic_version"
            " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": HEAD})


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see migrate
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "engine.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
