"""`mailrun pause`, `resume`, `cancel`."""

import click

from engine.cli.options import Common, common_options, run_argument
from engine.cli.printing import print_json, print_lines
from engine.cli.suggestions import write_restart

_REASON = click.option("--reason", default="", metavar="TEXT", help="Why; status shows it.")


@click.command()
@run_argument()
@_REASON
@common_options
def pause(run: str, reason: str, common: Common) -> None:
    """Pause RUN, wherever its workers are: they wait until `mailrun resume`."""
    _say(common, run, "pause", reason)


@click.command()
@run_argument()
@common_options
def resume(run: str, common: Common) -> None:
    """Let RUN go on after a pause."""
    _say(common, run, "resume", "")


@click.command()
@run_argument()
@_REASON
@common_options
def cancel(run: str, reason: str, common: Common) -> None:
    """End RUN for good: calls in flight end, everybody else stays unsent."""
    _say(common, run, "cancel", reason)


def _say(common: Common, name: str, what: str, reason: str) -> None:
    from engine.cli.advice import describe_pause  # noqa: PLC0415 - keeps --help fast
    from engine.cli.requests import open_chosen  # noqa: PLC0415
    from engine.ledger.schema import RunState  # noqa: PLC0415
    from engine.report.run_accounts import require_accounts, require_run  # noqa: PLC0415
    from engine.run import control  # noqa: PLC0415

    with open_chosen(common) as place:
        match what:
            case "pause":
                control.pause(place.ledger, name, reason=reason, clock=place.clock)
            case "resume":
                control.resume(place.ledger, name, clock=place.clock)
            case _:
                control.cancel(place.ledger, name, reason=reason, clock=place.clock)
        with place.ledger.read() as tx:
            accounts = require_accounts(tx, name, place.store, place.clock.now())
            restart = write_restart(name, sandbox=require_run(tx, name).sandbox)
    if common.json:
        print_json(accounts.to_json())
        return
    print_lines(f"{name} is {describe_pause(accounts) if accounts.reason else accounts.state}")
    if accounts.state == RunState.SENDING and not accounts.workers:
        print_lines("no worker is sending this run now", f"next: {restart}")
