"""Finds the campaign that the command line names, and makes the request to plan it."""

import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.audience.spec import CheckAction
from engine.campaign.spec import Campaign, change_transport, check_key, format_key, load_campaign
from engine.cli.common import Common
from engine.ledger.suppressed.forgotten import make_find_forgotten
from engine.locations import REMOTE
from engine.on_demand import OnDemand
from engine.run.prepare.planning import PlanRequest
from engine.store.keys import read_forget_key
from engine.system.given_paths import look_at
from engine.workspace import Workspace
from engine.workspace_folder import find_workspace

if TYPE_CHECKING:
    from engine.account.client import Endpoint  # which `plan` does not import

_make_ask = OnDemand("engine.run.prepare.insight_lookups:make_ask")  # clients of AWS, which few plans need


def find_campaign_folder(given: str, common: Common) -> Path:
    """Find the folder of CAMPAIGN: a path, or a name under `campaigns/` of the workspace.

    Raises:
        UsageError: the path cannot be looked at, or there is no workspace.
    """
    path = Path(given)
    if _is_folder(path, "CAMPAIGN"):
        return path.absolute()
    workspace = common.workspace or find_workspace(None)
    named = workspace / "campaigns" / given
    return (named if _is_folder(named, "CAMPAIGN") or "/" not in given else path).absolute()


def ask_account(request: PlanRequest, workspace: Workspace, *, endpoint: "Endpoint | None") -> PlanRequest:
    """Let a plan look up new addresses, where the campaign checks them by SES's insights and mail goes to SES.

    Args:
        request: what to plan.
        workspace: whose clock it is.
        endpoint: the embedded sandbox; None for what botocore resolves.
    """
    spec = request.campaign.spec
    if spec.audience.checks.insights is CheckAction.OFF or spec.delivery.transport == "outbox":
        return request
    return msgspec.structs.replace(request, ask_insights=_make_ask(endpoint, workspace.clock.now))


def _is_folder(path: Path, option: str) -> bool:
    state = look_at(path, option)
    return state is not None and stat.S_ISDIR(state.st_mode)


def make_plan_request(  # noqa: PLR0913 - one for each option
    workspace: Workspace,
    folder: Path,
    *,
    audience: str | None,
    key: str | None,
    limit: int | None,
    transport: str | None,
    sandbox: bool,
    lenient: bool = False,
) -> PlanRequest:
    """Read a campaign, with the changes that the command line makes to it."""
    campaign = load_campaign(folder)
    spec = change_transport(campaign.spec, transport)
    campaign = Campaign(name=campaign.name, folder=campaign.folder, spec=spec)
    if audience is not None:
        given = Path(audience)
        exists = not audience.startswith(REMOTE) and look_at(given, "--audience") is not None
        source = str(given.absolute()) if exists else audience  # a path as the shell completes it
        spec = campaign.spec.model_copy(
            update={"audience": campaign.spec.audience.model_copy(update={"source": (source,)})}
        )
        campaign = Campaign(name=campaign.name, folder=campaign.folder, spec=spec)
    now = workspace.clock.now()
    return PlanRequest(
        campaign=campaign,
        key=check_key(key if key is not None else format_key(campaign.spec.key, now) + ("-sandbox" if sandbox else "")),
        workspace=workspace.settings.workspace,
        limit=limit,
        sandbox=sandbox,
        created_at=now,
        find_forgotten=make_find_forgotten(workspace.ledger, partial(read_forget_key, workspace.store)),
        is_key_given=key is not None,
        is_audience_given=audience is not None,
        lenient=lenient,
        ledger=workspace.ledger,
        store=workspace.store,
        transport=transport,
        limits=workspace.settings.limits,
        nameservers=workspace.settings.dns.nameservers,
    )
