"""Names for the destination of a run's messages: the sandbox, SES, an SMTP server or files."""

from engine.ledger.runs import Run
from engine.run.facts import read_facts
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
    """Name the destination that a run was launched with."""
    return name_destination(read_facts(run, store).transport, sandbox=run.sandbox)
