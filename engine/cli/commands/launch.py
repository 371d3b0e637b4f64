"""`mailrun launch` and `mailrun work`: workspace, sandbox, progress, accounts."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from engine.account.client import Endpoint
from engine.cli import run_output
from engine.cli.advice import advise_on_in_doubt, describe_pause, warn_of_another_key
from engine.cli.commands.report.launch_end import write_at_end
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.endpoints import open_endpoint
from engine.cli.interruption import INTERRUPTION, STARTED_BY
from engine.cli.opening import open_chosen
from engine.cli.progress import Progress, make_progress
from engine.cli.question import ask
from engine.cli.requests import ask_account, find_campaign_folder, make_plan_request
from engine.cli.suggestions import repeat_command, write_command
from engine.errors import ExitCode
from engine.ledger.journal import Outcome
from engine.ledger.runs import GUARD
from engine.ledger.schema import RunState
from engine.metrics.meter import Meter
from engine.metrics.monitoring import Monitored, monitor
from engine.on_demand import OnDemand
from engine.report.accounts import Accounts
from engine.run.send.launch import Forecast, LaunchRequest
from engine.run.send.launch import launch as launch_run
from engine.run.send.spawned_worker import SpawnedWorker, WorkerOrder
from engine.run.send.work import Launched, SendRequest
from engine.run.send.work import work as work_run
from engine.spans import is_listened_to
from engine.stopping.parent import watch_parent
from engine.stopping.stop import Stop
from engine.system.event_loop import run_loop
from engine.system.interpreter import tune_interpreter
from engine.system.streams import is_terminal
from engine.workspace import Workspace

_describe_launch = OnDemand("engine.cli.output:describe_launch")  # only people are asked


@with_common
def launch(  # noqa: PLR0913 - one for each option
    campaign: str,
    common: Common,
    *,
    yes: bool,
    sandbox: bool,
    workers: int | None,
    approve: bool,
    exit_with_parent: bool,
    metrics_listen: str | None,
    **changes: Any,
) -> int:
    """Launch; print the accounts; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    asks_person = not (yes or sandbox) and is_terminal(sys.stdin) and is_terminal(sys.stderr)
    with open_chosen(common, folder) as workspace, open_endpoint(workspace.store, sandbox=sandbox) as endpoint:
        tune_interpreter()
        request = ask_account(
            make_plan_request(workspace, folder, sandbox=sandbox, **changes), workspace, endpoint=endpoint
        )
        progress, meter = make_progress(request.name), Meter()

        def start_worker() -> SpawnedWorker:
            return _start_worker(workspace, common, request.name, endpoint, progress, meter)

        monitored = Monitored(
            workspace=workspace,
            command="launch",
            meter=meter,
            campaign=request.name.partition("/")[0],
            sandbox=sandbox,
            listen=metrics_listen,
        )
        with monitor(monitored), progress:
            launched = run_loop(
                launch_run(
                    LaunchRequest(
                        workspace=workspace,
                        plan=request,
                        endpoint=endpoint,
                        confirm=_ask_person if asks_person else _agree,
                        asks_person=asks_person,
                        approve=approve,
                        begin=progress.begin,
                        count=partial(_count, progress, meter),
                        # The embedded sandbox runs in this process: more processes would not make it faster.
                        processes=1 if sandbox and workers is None else workers,
                        start_worker=start_worker,
                        watch=partial(_begin, exit_with_parent=exit_with_parent),
                        meter=meter,
                    )
                )
            )
        INTERRUPTION.code = _choose_exit_code(launched)
        report = write_at_end(workspace, launched)
    _print(launched, common, "launch", sandbox=sandbox, report=report)
    return INTERRUPTION.code


@with_common
def work(run: str, common: Common, *, workers: int | None, exit_with_parent: bool, metrics_listen: str | None) -> int:
    """Send for a run as another worker, or as several; print the accounts; return the exit code."""
    with open_chosen(common) as workspace:
        tune_interpreter()
        progress, meter = make_progress(run), Meter()

        def start_worker() -> SpawnedWorker:
            return _start_worker(workspace, common, run, None, progress, meter)

        campaign = run.partition("/")[0]
        monitored = Monitored(
            workspace=workspace, command="work", meter=meter, campaign=campaign, listen=metrics_listen
        )
        with monitor(monitored), progress:
            request = SendRequest(
                workspace=workspace,
                endpoint=None,
                begin=progress.begin,
                count=partial(_count, progress, meter),
                processes=workers,
                start_worker=start_worker,
                watch=partial(_begin, exit_with_parent=exit_with_parent),
                meter=meter,
            )
            launched = run_loop(work_run(run, request))
        INTERRUPTION.code = _choose_exit_code(launched)
        report = write_at_end(workspace, launched)
    _print(launched, common, "work", sandbox=False, report=report)
    return INTERRUPTION.code


def _count(progress: Progress, meter: Meter, outcome: Outcome, recipients: int) -> None:
    progress.count(outcome, recipients)
    meter.outcomes[outcome] += recipients


def _start_worker(  # noqa: PLR0913, PLR0917 - what a worker works with, and who follows it
    workspace: Workspace, common: Common, run: str, endpoint: Endpoint | None, progress: Progress, meter: Meter
) -> SpawnedWorker:
    order = WorkerOrder(
        workspace.settings.workspace, common.store, common.ledger, run, endpoint, is_traced=is_listened_to()
    )
    return SpawnedWorker(order, partial(_count, progress, meter), meter)


def _begin(stop: Stop, *, exit_with_parent: bool) -> None:
    """Handle signals from now on, and watch the process that started this one if `exit_with_parent`."""
    INTERRUPTION.code = ExitCode.PAUSED  # for a signal that arrives after the run has stopped handling signals
    if exit_with_parent:
        watch_parent(stop, started_by=STARTED_BY)


def _print(launched: Launched, common: Common, command: str, *, sandbox: bool, report: str | None) -> None:
    if common.json:
        print_json(launched.accounts.to_json())
    else:
        run_output.print_accounts(launched.accounts)
        print_lines(*_suggest(launched, command, sandbox=sandbox))
        if report is not None:
            print_lines(f"report: {report}")


async def _ask_person(forecast: Forecast) -> bool:
    return await ask("\n".join([*_describe_launch(forecast, await forecast.find_account()), "Continue?"]))


async def _agree(_: Forecast) -> bool:
    return True


def _suggest(launched: Launched, command: str, *, sandbox: bool) -> Iterator[str]:
    accounts = launched.accounts
    if not launched.sent_now and accounts.state != RunState.PAUSED:
        yield f"{accounts.run} was already {accounts.state}: nothing was sent now."
        if not (in_doubt := [*advise_on_in_doubt(accounts)]):
            yield warn_of_another_key(accounts)
        yield from in_doubt
    else:
        yield from advise_on_in_doubt(accounts)
    if accounts.state == RunState.PAUSED:
        key = accounts.run.rpartition("/")[2] if command == "launch" else None
        yield describe_pause(accounts)
        if accounts.paused_by == GUARD:
            yield f"show the figures: {write_command('status', accounts.run)}"
            yield f"to send anyway, first: {write_command('resume', accounts.run)}"
        yield f"to resume: {repeat_command(command, key=key)}"
    if accounts.state == RunState.FINISHED and not accounts.accepted:
        yield "there are no recipients: the audience is empty, or every row was excluded"
    yield f"recipients and outcomes: {accounts.store}/outcomes/lease-*.parquet"
    if (outbox := Path(accounts.store) / "outbox").exists():
        yield f"the messages: {outbox}"
    elif sandbox:
        yield f"see the messages: {write_command('sandbox')}, then open the address it prints"


def _choose_exit_code(launched: Launched) -> ExitCode:
    accounts: Accounts = launched.accounts
    if accounts.state == RunState.CANCELLED:
        return ExitCode.FINISHED_WITH_LOSSES  # a scheduler must not start the run again
    if accounts.state != RunState.FINISHED:
        return ExitCode.PAUSED
    return ExitCode.FINISHED if accounts.lossless else ExitCode.FINISHED_WITH_LOSSES
