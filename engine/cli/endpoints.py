"""Where a command sends: the real SES, or an embedded sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.account.client import Endpoint
from engine.store.port import Store


@contextmanager
def open_endpoint(store: Store, *, sandbox: bool) -> Iterator[Endpoint | None]:
    """Run a sandbox beside a command that asks for one; None otherwise: what botocore resolves."""
    if not sandbox:
        yield None
        return
    from engine.cli.commands.sandbox import open_embedded  # noqa: PLC0415 - the real SES does not need it

    with open_embedded(store) as endpoint:
        yield endpoint
