"""`mailrun preview`."""

from functools import partial
from typing import Any

import click

from engine.cli.options import Common, campaign_options, common_options
from engine.errors import ExitCode


@click.command()
@campaign_options
@common_options
def preview(campaign: str, common: Common, **changes: Any) -> int:
    """Do everything that a launch of CAMPAIGN does, for everybody, up to the hand-over to SES.

    Every message is rendered; the first few are left as .eml files for a mail program. Exits with 65 where a message
    cannot be made.
    """
    from engine.cli import output  # noqa: PLC0415 - keeps --help fast
    from engine.cli.compose import find_campaign_folder, make_plan_request, make_signer, open_place  # noqa: PLC0415
    from engine.run.preview import describe_plan, preview_run  # noqa: PLC0415

    folder = find_campaign_folder(campaign, common)
    with open_place(common, folder) as place:
        request = make_plan_request(place, folder, **changes)
        found = preview_run(request, place.store, partial(make_signer, place))
    accounts = describe_plan(found.manifest, found.folder)
    if common.json:
        output.print_json(accounts.to_json() | found.to_json())
    else:
        output.print_accounts(accounts)
        output.print_preview(found, campaign)
    return ExitCode.DATA if found.failed else ExitCode.FINISHED
