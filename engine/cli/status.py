"""`mailrun status`."""

import click

from engine.cli.options import Common, common_options


@click.command()
@click.argument("run", required=False)
@common_options
def status(run: str | None, common: Common) -> None:
    """Show where RUN (CAMPAIGN/KEY) is; without RUN, all runs."""
    from engine.cli import output  # noqa: PLC0415 - keeps --help fast
    from engine.cli.compose import open_place  # noqa: PLC0415
    from engine.ledger.workers import read_vitals  # noqa: PLC0415
    from engine.run.accounting import list_accounts, require_accounts  # noqa: PLC0415

    with open_place(common) as place, place.ledger.read() as tx:
        now = place.clock.now()
        if run is not None:
            accounts = require_accounts(tx, run, place.store, now)
            vitals = read_vitals(tx, run, now)
            if common.json:
                output.print_json(accounts.to_json() | {"workers": vitals})
                return
            output.print_accounts(accounts)
            output.print_lines(*map(output.format_vitals, vitals))
            return
        all_accounts = list_accounts(tx, place.store, now)
    if common.json:
        output.print_json({"runs": [accounts.to_json() for accounts in all_accounts]})
    elif all_accounts:
        output.print_runs(all_accounts)
    else:
        output.print_lines("no runs yet", "next: mailrun launch campaigns/welcome --sandbox")
