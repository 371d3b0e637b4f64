"""Reads names for the shell from a ledger in PostgreSQL, with its own driver."""

from typing import LiteralString

import psycopg


def read_names(url: str, query: LiteralString, wait_seconds: int) -> list[str]:
    """Run a query that returns one column of names.

    Raises:
        psycopg.Error: the server does not answer within some seconds, or refuses.
    """
    with psycopg.connect(url, connect_timeout=wait_seconds) as server:
        return [name for (name,) in server.execute(query)]
