"""Where a run's messages go, in words: the sandbox, SES, an SMTP server or files."""

import json

from engine.ledger.runs import Run
from engine.run.guard.evidence import read_frozen
from engine.run.manifest import FILE
from engine.store.port import Store

_NAMES = {"ses": "SES", "smtp": "an SMTP server", "outbox": "outbox files"}


def name_destination(transport: str, *, sandbox: bool) -> str:
    """Name where messages go.

    Args:
        transport: as in `[delivery] transport`.
        sandbox: the launch runs the embedded sandbox.

    >>> name_destination("ses", sandbox=True), name_destination("outbox", sandbox=False)
    ('the sandbox', 'outbox files')
    """
    return "the sandbox" if sandbox else _NAMES[transport]


def find_destination(run: Run, store: Store) -> str:
    """Name where a run was launched to; what its folder no longer says counts as the default, SES."""
    try:
        asked = json.loads(store.read(f"{run.folder}/{FILE}") or b"{}").get("transport")
    except ValueError:
        asked = None
    transport = asked or read_frozen(run, store).get("delivery", {}).get("transport")
    return name_destination(transport if transport in _NAMES else "ses", sandbox=run.sandbox)
