"""Migrates a ledger's tables to this version."""

from importlib import import_module

from sqlalchemy import Connection, Engine, inspect, text

from engine.errors import ConfigurationError

HEAD = "0010"  # the newest file of migrations/versions; a test keeps both equal
_LOCK = 0x6D61696C72756E  # "mailrun": the advisory lock of migrations


def migrate(engine: Engine, where: str) -> None:
    """Make or migrate the tables, in one transaction.

    Two processes may start at once: the transaction holds the write lock, so the second one has nothing left to do.

    Raises:
        ConfigurationError: the ledger was written by a newer mailrun.
    """
    with engine.connect().execution_options(mailrun_read=True) as connection:
        if _read_version(connection) == HEAD:
            return
    import_module("alembic.command")  # slow, and needed once in a ledger's life: not while the transaction waits
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
        _upgrade(connection)


def _read_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see migrate
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "engine.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
