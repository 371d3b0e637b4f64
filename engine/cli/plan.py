"""`mailrun plan`."""

from typing import Any

import click

from engine.cli.options import Common, campaign_options, common_options


@click.command()
@campaign_options
@common_options
def plan(campaign: str, common: Common, **changes: Any) -> None:
    """Do the audience work of CAMPAIGN alone: who would get it, who would not, and why.

    Nothing is sent and no run is made. The plan is left as Parquet, to be looked at.
    """
    from engine.cli import output  # noqa: PLC0415 - keeps --help fast
    from engine.cli.compose import find_campaign_folder, make_plan_request, open_place  # noqa: PLC0415
    from engine.run.preview import describe_plan, replan  # noqa: PLC0415

    folder = find_campaign_folder(campaign, common)
    with open_place(common, folder) as place:
        request = make_plan_request(place, folder, **changes)
        manifest, where = replan(request, place.store, "plans")
    accounts = describe_plan(manifest, where)
    if common.json:
        output.print_json(accounts.to_json() | {"notes": list(manifest.notes)})
        return
    output.print_accounts(accounts)
    output.print_lines(
        *(f"note: {note}" for note in manifest.notes),
        f"who and why: {where / 'plan'}/recipients-*.parquet, excluded-*.parquet",
        f"next: mailrun preview {campaign}",
    )
