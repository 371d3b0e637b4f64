"""What an operator may have to do about a run: settle recipients in doubt, resume a run without workers."""

from collections.abc import Iterator

from engine.cli.suggestions import write_command, write_launch
from engine.ledger.journal import Outcome
from engine.ledger.runs import OVER
from engine.ledger.schema import RunState
from engine.quantities import format_count
from engine.report.accounts import Accounts


def advise_on_in_doubt(accounts: Accounts) -> Iterator[str]:
    """Write how to settle recipients in doubt, except those that a live worker still expects an answer for."""
    held = accounts.count(Outcome.IN_DOUBT) - accounts.in_flight
    if held <= 0:
        return
    are, them = ("is", "it") if held == 1 else ("are", "them")
    command = write_command("resolve", accounts.run)
    yield f"{format_count(held, 'recipient')} {are} in doubt. List and settle {them}: {command}"
    if accounts.state in OVER:
        yield warn_of_another_key(accounts)


def warn_of_another_key(accounts: Accounts) -> str:
    """Write what happens if a run that has ended is launched again under another key."""
    sent = accounts.count(Outcome.SENT)
    if not sent:
        return "To send to all recipients, use another --key."
    return f"Another --key sends to all recipients again, including the {sent:,} already sent."


def describe_pause(accounts: Accounts) -> str:
    """Write that a run is paused or cancelled, and why; a reason that begins with the state is enough."""
    reason = accounts.reason or "no reason is recorded"
    return reason if reason.startswith(f"{accounts.state} by ") else f"{accounts.state}: {reason}"


def advise_on_workers(accounts: Accounts) -> Iterator[str]:
    """Write how to resume a run that has recipients left and no live worker."""
    if accounts.state == RunState.SENDING and not accounts.workers:
        yield f"no live worker; resume: {write_launch(accounts.run, sandbox=accounts.sandbox)}"
