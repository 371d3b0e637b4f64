"""What `mailrun launch` puts together: place, sandbox, progress, accounts."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import click

from engine.account.client import Endpoint
from engine.cli import output
from engine.cli.compose import (
    Place,
    calm_garbage_collector,
    find_campaign_folder,
    make_plan_request,
    make_signer,
    open_place,
)
from engine.cli.hands import Order, ProcessHand
from engine.cli.options import Common
from engine.cli.progress import make_progress
from engine.errors import ExitCode
from engine.ledger.schema import RunState
from engine.report.accounts import Accounts
from engine.run.launch import Confirm, Forecast, Launched, LaunchRequest
from engine.run.launch import launch as launch_run


def launch_campaign(
    campaign: str, common: Common, *, yes: bool, sandbox: bool, workers: int | None, **changes: Any
) -> int:
    """Launch; print the accounts; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_place(common, folder) as place, _open_endpoint(place, sandbox=sandbox) as endpoint:
        calm_garbage_collector()
        request = make_plan_request(place, folder, sandbox=sandbox, **changes)
        progress = make_progress(request.name)

        def start_hand() -> ProcessHand:
            order = Order(
                common=replace(common, workspace=place.settings.workspace),
                campaign=place.store.run_folder(request.name) / "campaign",
                name=request.campaign.name,
                key=request.key,
                endpoint=endpoint,
            )
            return ProcessHand(order, progress.add)

        with progress:
            launched = asyncio.run(
                launch_run(
                    LaunchRequest(
                        plan=request,
                        store=place.store,
                        ledger=place.ledger,
                        endpoint=endpoint,
                        make_signer=partial(make_signer, place),
                        clock=place.clock,
                        confirm=_make_confirm(yes=yes or sandbox),
                        begin=progress.begin,
                        count=progress.count,
                        settings=place.settings,
                        # The embedded sandbox runs in this process: more processes would not make it faster.
                        hands=1 if sandbox and workers is None else workers,
                        start_hand=start_hand,
                    )
                )
            )
    if common.json:
        output.print_json(launched.accounts.to_json())
    else:
        output.print_accounts(launched.accounts)
        output.print_lines(*_suggest(launched, campaign, sandbox=sandbox))
    return _choose_exit_code(launched)


@contextmanager
def _open_endpoint(place: Place, *, sandbox: bool) -> Iterator[Endpoint | None]:
    if not sandbox:
        yield None
        return
    from engine.cli.sandboxing import open_embedded  # noqa: PLC0415 - sending for real does not need it

    with open_embedded(place.store) as endpoint:
        yield endpoint


def _make_confirm(*, yes: bool) -> Confirm:
    def confirm(forecast: Forecast) -> bool:
        if yes or not sys.stdin.isatty() or not sys.stderr.isatty():
            return True
        seconds = forecast.recipients / forecast.rate
        return click.confirm(
            f"Send {forecast.run} to {forecast.recipients:,} recipients through {forecast.endpoint}"
            f" at {forecast.rate:,.4g} a second (about {output.format_seconds(seconds)})?\n{forecast.text}\nGo on?",
            err=True,
        )

    return confirm


def _suggest(launched: Launched, campaign: str, *, sandbox: bool) -> Iterator[str]:
    accounts = launched.accounts
    if not launched.sent_now:
        yield f"{accounts.run} was {accounts.state} before: nothing was sent now. To send again, give another --key."
    if accounts.state == RunState.PAUSED:
        again = " --sandbox" if sandbox else ""
        key = accounts.run.rpartition("/")[2]
        yield f"paused: {accounts.reason}"
        yield f"to go on: mailrun launch {campaign} --key {key}{again}"
    if accounts.state == RunState.FINISHED and not accounts.accepted:
        yield "nobody was left to send to: the audience is empty, or every row was excluded"
    yield f"who got it: {accounts.store / 'outcomes'}/lease-*.parquet"
    if sandbox:
        yield "see the messages: mailrun sandbox, then open http://127.0.0.1:8025/"


def _choose_exit_code(launched: Launched) -> ExitCode:
    accounts: Accounts = launched.accounts
    if accounts.state != RunState.FINISHED:
        return ExitCode.PAUSED
    return ExitCode.FINISHED if accounts.lossless or not launched.sent_now else ExitCode.FINISHED_WITH_LOSSES
