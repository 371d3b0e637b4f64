"""`mailrun test`."""

import asyncio
from typing import Any

from engine.campaign.message import prepare_envelope
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.endpoints import open_endpoint
from engine.cli.opening import open_chosen
from engine.cli.requests import find_campaign_folder, make_plan_request
from engine.errors import ExitCode
from engine.run.prepare.proofs import Proof, check_readers, send_proofs
from engine.run.prepare.replan import replan


@with_common
def test(
    campaign: str, common: Common, *, to: tuple[str, ...], as_address: str | None, sandbox: bool, **changes: Any
) -> int:
    """Send proofs; print the outcome of each; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_chosen(common, folder) as workspace, open_endpoint(workspace.store, sandbox=sandbox) as endpoint:
        request = make_plan_request(workspace, folder, sandbox=sandbox, **changes)
        check_readers(to)
        prepare_envelope(request.campaign)  # its errors come before the audience is planned
        planned = replan(request, workspace.store, "proofs")
        proofs = asyncio.run(
            send_proofs(
                request,
                *planned,
                workspace.read_signing_keys,
                endpoint=endpoint,
                settings=workspace.settings,
                to=to,
                as_address=as_address,
            )
        )
    if common.json:
        print_json({"campaign": request.campaign.name, "proofs": [proof.to_json() for proof in proofs]})
    else:
        print_lines(*map(_describe, proofs))
    return ExitCode.FINISHED if all(proof.sent for proof in proofs) else ExitCode.FINISHED_WITH_LOSSES


def _describe(proof: Proof) -> str:
    outcome = f"sent as {proof.message_id}" if proof.sent else f"{proof.outcome}: {proof.detail}"
    return f"{proof.to}: {proof.subject}: {outcome}"
