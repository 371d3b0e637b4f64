"""`mailrun status`."""

from contextlib import ExitStack

import click

from engine.cli.options import Common, common_options, run_argument
from engine.cli.printing import mark_output_as_all, print_json, print_lines
from engine.cli.suggestions import write_command
from engine.workspace_folder import list_campaigns


@click.command()
@run_argument(required=False)
@common_options
def status(run: str | None, common: Common) -> None:
    """Show where RUN (CAMPAIGN/KEY) is; without RUN, all runs."""
    from engine.cli import output  # noqa: PLC0415 - keeps --help fast
    from engine.cli.advice import advise_on_doubt, advise_on_workers  # noqa: PLC0415
    from engine.cli.requests import open_chosen  # noqa: PLC0415
    from engine.ledger.decisions import list_decisions  # noqa: PLC0415
    from engine.ledger.runs import OVER  # noqa: PLC0415
    from engine.ledger.workers import read_vitals  # noqa: PLC0415
    from engine.report.run_accounts import list_accounts, require_accounts, require_run  # noqa: PLC0415
    from engine.run.facts import find_facts, read_canary_spec, read_guard_spec  # noqa: PLC0415
    from engine.run.guard.canary import describe_canary  # noqa: PLC0415
    from engine.run.guard.evidence import judge_now  # noqa: PLC0415
    from engine.run.prepare.changes import list_changes  # noqa: PLC0415

    mark_output_as_all()
    with open_chosen(common) as place, ExitStack() as stack:
        facts = None if run is None else find_facts(run, place.ledger, place.store)  # before the transaction
        now, tx = place.clock.now(), stack.enter_context(place.ledger.read())
        if run is not None and facts is not None:
            accounts = require_accounts(tx, run, place.store, now)
            changes = list_changes(require_run(tx, run), place.store, place.settings.workspace)
            decisions, vitals = list_decisions(tx, run), read_vitals(tx, run, now)
            known = require_run(tx, run)
            findings = [] if known.state in OVER else judge_now(tx, known, read_guard_spec(facts), now, vitals)
            canary = describe_canary(tx, known, read_canary_spec(facts))
            if common.json:
                told = [{"at": d.at.isoformat(), "who": d.who, "what": d.what, **d.detail} for d in decisions]
                guard = [finding.to_json() for finding in findings]
                more = {"vitals": vitals, "guard": guard, "canary": canary, "changes": changes, "decisions": told}
                print_json(accounts.to_json() | more)
            else:
                output.print_accounts(accounts)
                print_lines(
                    *([f"{accounts.reason}"] if accounts.reason else []),
                    *advise_on_workers(accounts),
                    *advise_on_doubt(accounts),
                    *([output.format_canary(canary)] if canary else []),
                    *(f"guard, {finding.level}: {finding.describe()}" for finding in findings),
                    *map(output.format_vitals, vitals),
                    *(f"changed since the launch, and not sent: {change}" for change in changes),
                    *(f"{d.at:%Y-%m-%d %H:%M:%S} {d.what} by {d.who}" for d in decisions),
                )
            return
        all_accounts = list_accounts(tx, place.store, now)
    if common.json:
        print_json({"runs": [accounts.to_json() for accounts in all_accounts]})
    elif all_accounts:
        output.print_runs(all_accounts)
    else:
        campaigns = list_campaigns(place.settings.workspace)
        launch = [f"next: {write_command('launch', name, '--sandbox')}" for name in campaigns[:1]]
        print_lines("no runs yet", *launch)
