"""`mailrun check`."""

import asyncio
from typing import Any

from engine.campaign.message import prepare_envelope
from engine.cli import output
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.endpoints import open_endpoint
from engine.cli.opening import open_chosen
from engine.cli.requests import find_campaign_folder, make_plan_request
from engine.run.prepare.check import check_campaign
from engine.run.prepare.replan import describe_plan, replan


@with_common
def check(campaign: str, common: Common, *, sandbox: bool, **changes: Any) -> int:
    """Check; print every point; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_chosen(common, folder) as workspace, open_endpoint(workspace.store, sandbox=sandbox) as endpoint:
        request = make_plan_request(workspace, folder, sandbox=sandbox, **changes)
        prepare_envelope(request.campaign)  # its errors come before the audience is planned
        planned = replan(request, workspace.store, "checks")
        checked = asyncio.run(
            check_campaign(
                request, *planned, workspace.read_signing_keys, endpoint=endpoint, settings=workspace.settings
            )
        )
        keys = workspace.find_unsubscribe_keys()
    if common.json:
        found = describe_plan(checked.manifest, checked.folder).to_json() | checked.to_json()
        print_json(found | {"unsubscribe_keys": keys.to_json()})
    else:
        print_lines(*(f"note: {note}" for note in checked.manifest.notes))
        if request.campaign.spec.signs_links:
            print_lines(f"unsubscribe keys: {keys.describe()}")
        output.print_check(checked)
    return checked.exit_code
