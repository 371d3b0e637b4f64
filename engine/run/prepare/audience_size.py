"""Whether a plan has as many recipients as its campaign expects: `[audience] min_recipients` and `max_change`."""

from engine.audience.spec import parse_percentage
from engine.campaign.lint_findings import LintFinding, Severity
from engine.errors import DataError
from engine.ledger import runs
from engine.ledger.runs import Run
from engine.run.manifest import Manifest
from engine.run.prepare.planning import PlanRequest


def find_size_problems(request: PlanRequest, manifest: Manifest) -> list[LintFinding]:
    """Compare a plan's recipients with the minimum, and with the campaign's last run.

    Args:
        request: what was planned; a `--limit` lowers the minimum, and is not compared with other runs.
        manifest: the plan's counts.

    Returns:
        Errors; a launch is refused for each.
    """
    audience, where = request.campaign.spec.audience, str(request.campaign.folder / "campaign.toml")
    found = []
    least = audience.min_recipients if request.limit is None else min(audience.min_recipients, request.limit)
    if manifest.accepted < least:
        found.append(_describe_too_few(manifest, least, f"{where}, [audience] min_recipients"))
    last = _find_last_run(request)
    if audience.max_change is not None and last is not None and last.accepted:
        change = (manifest.accepted - last.accepted) / last.accepted
        if abs(change) > parse_percentage(audience.max_change):
            what = (
                f"the audience has {manifest.accepted:,} recipients and {last.name} had {last.accepted:,}:"
                f" {change:+.0%}, where at most {audience.max_change} is allowed"
            )
            remedy = "check the audience with mailrun plan; if it is right, raise or remove max_change and launch again"
            place = f"{where}, [audience] max_change"
            found.append(LintFinding(Severity.ERROR, "audience_changed", what, remedy, place))
    return found


def _describe_too_few(manifest: Manifest, least: int, where: str) -> LintFinding:
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in manifest.excluded.items() if rows)
    read = f"{manifest.rows_read:,} rows were read" + (f", excluded: {reasons}" if reasons else "")
    if manifest.accepted:
        what = f"the audience has {manifest.accepted:,} recipients, fewer than {least:,} ({read})"
        remedy = "check the audience with mailrun plan; if it is right, lower min_recipients and launch again"
    else:
        what = f"the audience has no recipients ({read})"
        remedy = "check the audience with mailrun plan; set min_recipients = 0 if an empty audience is right"
    return LintFinding(Severity.ERROR, "audience_too_small", what, remedy, where)


def _find_last_run(request: PlanRequest) -> Run | None:
    if request.ledger is None or request.limit is not None:
        return None
    with request.ledger.read() as tx:
        return runs.find_last_run(tx, request.campaign.name, sandbox=request.sandbox, but=request.name)


def refuse_wrong_size(request: PlanRequest, manifest: Manifest) -> None:
    """Check the number of recipients before a launch.

    Raises:
        DataError: there are too few, or too many more or fewer than last time.
    """
    for problem in find_size_problems(request, manifest):
        raise DataError(f"{problem.what}; nothing was sent", where=problem.where, remedy=problem.remedy)
