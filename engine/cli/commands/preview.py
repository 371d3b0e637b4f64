"""`mailrun preview`."""

import asyncio
from typing import Any

from engine.campaign.message import prepare_envelope
from engine.cli import output, run_output
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines, show_page
from engine.cli.endpoints import open_endpoint
from engine.cli.opening import open_chosen
from engine.cli.requests import find_campaign_folder, make_plan_request
from engine.errors import ExitCode
from engine.run.prepare.preview import preview_run
from engine.run.prepare.replan import describe_plan, replan
from engine.run.prepare.run_forecast import read_account_limits


@with_common
def preview(
    campaign: str, common: Common, *, addresses: tuple[str, ...], open_page: bool, sandbox: bool, **changes: Any
) -> int:
    """Preview; print what was found; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_chosen(common, folder) as workspace:
        request = make_plan_request(workspace, folder, sandbox=sandbox, **changes)
        with open_endpoint(workspace.store, sandbox=sandbox) as endpoint:
            account = asyncio.run(read_account_limits(request, workspace.settings, endpoint))
        prepare_envelope(request.campaign)  # its errors come before the audience is planned
        planned = replan(request, workspace.store, "previews")
        found = preview_run(request, *planned, workspace.read_signing_keys, account=account, addresses=addresses)
    accounts = describe_plan(found.manifest, found.folder)
    if common.json:
        print_json(accounts.to_json() | found.to_json())
    else:
        run_output.print_accounts(accounts)
        print_lines(*(f"note: {note}" for note in found.manifest.notes))
        output.print_preview(found)
    if open_page:
        show_page(found.gallery)
    return ExitCode.FINISHED if found.passes else ExitCode.DATA
