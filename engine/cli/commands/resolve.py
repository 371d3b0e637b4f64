"""`mailrun resolve`: recipients in doubt are listed, or settled."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import click
import polars as pl

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.cli.suggestions import write_restart
from engine.csv_formulas import defuse_formulas
from engine.masking import ADDRESS_COLUMN, mask_text
from engine.report.run_accounts import require_accounts, require_run
from engine.report.run_report.report_refresh import refresh_reports
from engine.run.frozen import FrozenRun, open_run
from engine.run.ownership import refuse_other_owner
from engine.run.restored import refuse_if_ledger_is_behind
from engine.run.send.registration import adopt_run
from engine.run.settle.event_proof import settle_proven, settle_silent
from engine.run.settle.receiver_lists import read_list
from engine.run.settle.resolve import (
    InDoubtList,
    OperatorVerdict,
    find_gone_owners,
    hold_what_was_lost,
    list_in_doubt,
    settle_in_doubt,
)
from engine.store.files import write_file
from engine.system.given_paths import look_at
from engine.workspace import Workspace

_SHOWN = 20
_WORDS = {"after-restore": "held in doubt after the restore", "from-events": "settled by events, or sent again"}


@with_common
def resolve(  # noqa: PLR0913 - one for each option
    run: str, common: Common, *, verdict: str | None, file: Path | None, export: Path | None, after: timedelta
) -> None:
    """List or settle what is in doubt; print what is left."""
    if file is not None and verdict not in ("sent", "resend", "skip"):
        raise click.UsageError("--file goes with --sent, --resend or --skip", click.get_current_context())
    if export is not None:
        look_at(export, "--export")  # before anything is settled
    with open_chosen(common) as workspace:
        if verdict == "after-restore":
            adopt_run(run, workspace.store, workspace.ledger, workspace.clock.now())
        known = require_run(workspace.ledger, run)
        refuse_other_owner(known, workspace.store, workspace.ledger)
        if verdict != "after-restore":
            refuse_if_ledger_is_behind(workspace.ledger, known, workspace.store)
        frozen = open_run(known, workspace.store)
        gone = find_gone_owners(workspace.ledger, run, workspace.clock)
        settled = None if verdict is None else _settle(workspace, frozen, verdict, file=file, after=after, gone=gone)
        in_doubt = list_in_doubt(workspace.ledger, frozen, gone, workspace.clock.now())
        if export is not None:
            write_file(export.absolute(), defuse_formulas(in_doubt.recipients).write_csv().encode())
        _print(workspace, run, in_doubt, settled=settled, verdict=verdict, as_json=common.json)
        if export is not None and not common.json:
            print_lines(f"written: {export}")
        if settled is not None:
            refresh_reports(workspace.ledger, workspace.store, workspace.clock, [run])


def _settle(  # noqa: PLR0913 - what was read, and one for each option
    workspace: Workspace, frozen: FrozenRun, verdict: str, *, file: Path | None, after: timedelta, gone: Collection[str]
) -> int:
    """Settle what is in doubt; return how many recipients were settled."""
    ledger, clock = workspace.ledger, workspace.clock
    if verdict == "after-restore":
        return hold_what_was_lost(ledger, frozen, gone=gone, clock=clock)
    if verdict == "from-events":
        settled = settle_proven(ledger, frozen, gone=gone, clock=clock)
        return settled + settle_silent(ledger, frozen, after=after, gone=gone, clock=clock)
    chosen = None if file is None else read_list(file, frozen.run.name)
    return settle_in_doubt(ledger, frozen, OperatorVerdict(verdict), chosen=chosen, gone=gone, clock=clock)


def _print(  # noqa: PLR0913 - what was done and what is left
    workspace: Workspace, name: str, in_doubt: InDoubtList, *, settled: int | None, verdict: str | None, as_json: bool
) -> None:
    accounts = require_accounts(workspace.ledger, name, workspace.store, workspace.clock.now())
    shown = mask(in_doubt.recipients)
    if as_json:
        listed = [{**row, "at": row["at"].isoformat()} for row in shown.iter_rows(named=True)]
        print_json(accounts.to_json() | {"settled": settled, "recipients_in_doubt": listed})
        return
    if settled is not None:
        print_lines(f"{settled:,} {_WORDS.get(verdict or '', f'settled as {verdict}')}")
    print_lines(f"{shown.height:,} in doubt in {name}" + (", all listed" if 0 < shown.height <= _SHOWN else ""))
    for row in shown.head(_SHOWN).iter_rows(named=True):
        print_lines(f"  row {row['row']}  {row['address']}  {row['at']:%Y-%m-%d %H:%M:%S}  {row['error']}")
    if in_doubt.in_flight:
        print_lines(f"{in_doubt.in_flight:,} more belong to live workers: settle them later")
    if verdict == "resend" and settled:
        print_lines(f"send to them: {write_restart(name, sandbox=accounts.sandbox)}")
    elif shown.height and verdict is None:
        print_lines(
            "to settle them, use --sent, --resend or --skip, for all or with --file; --export writes the addresses"
        )


def mask(recipients: pl.DataFrame) -> pl.DataFrame:
    """Show only the first letter and the domain of each address, also in the answers of servers."""
    masked = pl.col("address").str.replace(*ADDRESS_COLUMN).fill_null("(forgotten)")
    errors = [None if error is None else mask_text(error) for error in recipients["error"]]
    return recipients.with_columns(masked, pl.Series("error", errors, pl.String))
