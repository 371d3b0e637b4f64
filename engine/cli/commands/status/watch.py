"""`mailrun status --watch`: shows a run, or all runs, again and again until none is sending.

On a terminal the old picture is replaced. Anywhere else a picture is printed when it has changed.
"""

import sys
import time
from collections.abc import Callable, Sequence

import click

from engine.cli import run_output
from engine.cli.commands.status.one_run import list_run
from engine.cli.console import print_lines
from engine.cli.interruption import Interrupted
from engine.ledger.journal import Outcome
from engine.ledger.schema import RunState
from engine.quantities import format_number
from engine.report.accounts import Accounts
from engine.report.run_accounts import list_accounts
from engine.system.streams import is_terminal
from engine.workspace import Workspace

_SECONDS = 2.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"  # ECMA-48: the cursor to the first line, and erase what follows


class Pace:
    """How fast each run gets on, from the pictures of it."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, int]] = {}

    def describe(self, accounts: Accounts, at: float) -> str:
        """Write how far a run is, how fast, and how long it will take; the first picture has no speed yet.

        Args:
            accounts: of the run.
            at: the time in seconds, of any clock that only goes forward.
        """
        done = accounts.accepted - accounts.count(Outcome.UNSENT)
        share = f"{done:,} of {accounts.accepted:,} recipients, {done / max(1, accounts.accepted):.1%}"
        earlier = self._before.get(accounts.run)
        self._before[accounts.run] = at, done
        if earlier is None or done <= earlier[1] or at <= earlier[0]:
            return share
        rate = (done - earlier[1]) / (at - earlier[0])
        left = run_output.format_seconds((accounts.accepted - done) / rate)
        return f"{share}, {format_number(round(rate, 1))} a second, about {left} left"


def watch_runs(workspace: Workspace, name: str | None, *, wait: Callable[[float], object] = time.sleep) -> None:
    """Show one run, or all, until none is sending.

    Args:
        workspace: has the runs.
        name: of the run; None for all.
        wait: waits some seconds.

    Raises:
        UsageError: there is no such run.
    """
    pace, last = Pace(), ""
    try:
        while True:
            is_sending, lines = _picture(workspace, name, pace)
            text = "\n".join(lines)
            if is_terminal(sys.stdout):
                click.echo(_HOME_AND_CLEAR + text)
            elif text != last:
                print_lines(text, "")
            last = text
            if not is_sending:
                return
            wait(_SECONDS)
    except Interrupted:  # who watches has seen enough: nothing was changed, so nothing failed
        print_lines("")


def _picture(workspace: Workspace, name: str | None, pace: Pace) -> tuple[bool, Sequence[str]]:
    """Return whether a run is sending, and the lines."""
    now = workspace.clock.monotonic()
    if name is not None:
        accounts, lines = list_run(workspace, name)
        is_sending = _is_sending(accounts)
        return is_sending, [*lines, *([pace.describe(accounts, now)] if is_sending else [])]
    everything = list_accounts(workspace.ledger, workspace.store, workspace.clock.now())
    sending = list(filter(_is_sending, everything))
    lines = list(run_output.list_runs(everything)) if everything else ["no runs yet"]
    return bool(sending), [*lines, *(f"{one.run}: {pace.describe(one, now)}" for one in sending)]


def _is_sending(accounts: Accounts) -> bool:
    """Return whether a run is sending, or has a worker that is about to."""
    return accounts.state == RunState.SENDING or (accounts.state == RunState.PLANNED and accounts.workers > 0)
