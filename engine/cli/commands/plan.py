"""`mailrun plan`."""

from pathlib import Path
from typing import Any

from engine.audience.explain import explain_address
from engine.audience.export import export_excluded_rows
from engine.campaign.lint_findings import LintFindings
from engine.cli import run_output
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.cli.requests import ask_account, find_campaign_folder, make_plan_request
from engine.cli.suggestions import repeat_command
from engine.errors import ExitCode
from engine.quantities import format_count
from engine.run.prepare.audience_size import find_size_problems
from engine.run.prepare.replan import describe_plan, replan


@with_common
def plan(campaign: str, common: Common, *, explain: str | None, export_excluded: Path | None, **changes: Any) -> int:
    """Plan; print the accounts and the requested details; return the exit code."""
    folder = find_campaign_folder(campaign, common)
    with open_chosen(common, folder) as workspace:
        request = ask_account(make_plan_request(workspace, folder, **changes), workspace, endpoint=None)
        manifest, where = replan(request, workspace.store, "plans")
        findings = LintFindings()
        findings.extend(find_size_problems(request, manifest))
    audience = request.campaign.spec.audience
    explained = explain_address(explain, where / "plan", manifest.leases, audience.dedupe) if explain else None
    exported = export_excluded_rows(where / "plan", export_excluded) if export_excluded else None
    accounts = describe_plan(manifest, where)
    code = ExitCode.DATA if findings.counts else ExitCode.FINISHED
    if common.json:
        more: dict[str, Any] = {"notes": list(manifest.notes), "findings": findings.to_json()}
        more |= {"explained": explained.to_json()} if explained else {}
        more |= {"exported_rows": exported} if exported is not None else {}
        print_json(accounts.to_json() | more)
        return code
    run_output.print_accounts(accounts)
    print_lines(
        *(f"note: {note}" for note in manifest.notes),
        *(explained.to_lines() if explained else ()),
        *(
            (f"exported: {format_count(exported, 'excluded row')} to {export_excluded}",)
            if exported is not None
            else ()
        ),
        f"the plan: {where / 'plan'}/recipients-*.parquet, excluded-*.parquet",
        *findings.to_lines(),
    )
    next_step = "fix the errors, then plan again" if findings.counts else repeat_command("preview")
    print_lines(f"next: {next_step}")
    return code
