"""What `preview`, `check` and `test` put together."""

import asyncio
import webbrowser
from typing import Any

from engine.cli import output
from engine.cli.endpoints import open_endpoint
from engine.cli.options import Common
from engine.cli.printing import print_json, print_lines
from engine.cli.requests import find_campaign_folder, make_plan_request, open_chosen
from engine.errors import ExitCode
from engine.run.prepare.ask_account import ask_account
from engine.run.prepare.check import check_campaign
from engine.run.prepare.preview import describe_plan, preview_run
from engine.run.prepare.proofs import Proof, send_proofs


def preview_campaign(
    campaign: str, common: Common, *, addresses: tuple[str, ...], open_page: bool, sandbox: bool, **changes: Any
) -> int:
    """Preview; print what was found; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_chosen(common, folder) as place:
        request = make_plan_request(place, folder, sandbox=sandbox, **changes)
        with open_endpoint(place.store, sandbox=sandbox) as endpoint:
            account = asyncio.run(ask_account(request, place.settings, endpoint))
        found = preview_run(request, place.store, place.read_signing_keys, account=account, addresses=addresses)
    accounts = describe_plan(found.manifest, found.folder)
    if common.json:
        print_json(accounts.to_json() | found.to_json())
    else:
        output.print_accounts(accounts)
        print_lines(*(f"note: {note}" for note in found.manifest.notes))
        output.print_preview(found)
    if open_page:
        webbrowser.open(found.gallery.as_uri())
    return ExitCode.FINISHED if found.passes else ExitCode.DATA


def check_and_print(campaign: str, common: Common, *, sandbox: bool, **changes: Any) -> int:
    """Check; print every point; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_chosen(common, folder) as place, open_endpoint(place.store, sandbox=sandbox) as endpoint:
        request = make_plan_request(place, folder, sandbox=sandbox, **changes)
        read_keys = place.read_signing_keys
        checked = asyncio.run(check_campaign(request, place.store, read_keys, endpoint, place.settings))
        keys = place.find_unsubscribe_keys()
    if common.json:
        told = describe_plan(checked.manifest, checked.folder).to_json() | checked.to_json()
        print_json(told | {"unsubscribe_keys": keys.to_json()})
    else:
        print_lines(*(f"note: {note}" for note in checked.manifest.notes))
        if request.campaign.spec.signs_links:
            print_lines(f"unsubscribe keys: {keys.describe()}")
        output.print_check(checked)
    return checked.exit_code


def send_and_print(
    campaign: str, common: Common, *, to: tuple[str, ...], as_address: str | None, sandbox: bool, **changes: Any
) -> int:
    """Send proofs; print what became of each; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_chosen(common, folder) as place, open_endpoint(place.store, sandbox=sandbox) as endpoint:
        request = make_plan_request(place, folder, sandbox=sandbox, **changes)
        read_keys = place.read_signing_keys
        proofs = asyncio.run(
            send_proofs(request, place.store, read_keys, endpoint, place.settings, to=to, as_address=as_address)
        )
    if common.json:
        print_json({"campaign": request.campaign.name, "proofs": [proof.to_json() for proof in proofs]})
    else:
        print_lines(*map(_describe, proofs))
    return ExitCode.FINISHED if all(proof.sent for proof in proofs) else ExitCode.FINISHED_WITH_LOSSES


def _describe(proof: Proof) -> str:
    outcome = f"sent as {proof.message_id}" if proof.sent else f"{proof.outcome}: {proof.detail}"
    return f"{proof.to}: {proof.subject}: {outcome}"
