"""Where a command sends: the real SES, or an embedded sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.account.client import Endpoint
from engine.on_demand import OnDemand
from engine.store.port import Store

_open_embedded = OnDemand("engine.cli.embedded_sandbox:open_embedded")  # the real SES needs no server here


@contextmanager
def open_endpoint(store: Store, *, sandbox: bool) -> Iterator[Endpoint | None]:
    """Run an embedded sandbox if a command asks for one; otherwise yield None, for botocore's own endpoint."""
    if not sandbox:
        yield None
        return
    with _open_embedded(store) as endpoint:
        yield endpoint
