"""The content part of `check` and `launch`: templates against the plan, and a fair sample of messages."""

from collections.abc import Iterator
from pathlib import Path

from engine.audience.encoding_guess import IF_WRONG
from engine.audience.plan_files import count_nulls
from engine.campaign.lint import Finding, Findings, Severity, lint_templates
from engine.campaign.render import RenderError
from engine.campaign.spec import Campaign
from engine.campaign.templates import compile_content
from engine.campaign.unsubscribe import TokenSigner
from engine.delivery.guard import FEWEST_LOSSES
from engine.errors import DataError
from engine.quantities import format_count
from engine.run.column_check import check_columns
from engine.run.manifest import Manifest
from engine.run.preflight import check_ways_out
from engine.run.rendering import LeaseRenderer, Rendered, RenderJob

SAMPLE_ROWS = 500  # the plan's order is a fair sample


def check_templates(campaign: Campaign, folder: Path, manifest: Manifest, available: tuple[str, ...]) -> Findings:
    """Hold the templates' names against the plan, and look at the values that they and sending need.

    Args:
        campaign: as it is checked.
        folder: with plan/.
        manifest: of the plan.
        available: the audience's columns.
    """
    content = compile_content(campaign)
    findings = lint_templates(content, available, count_nulls(folder / "plan", manifest.columns))
    findings.merge(check_columns(content, folder, manifest.columns))
    findings.extend(_find_guesses(manifest))
    return findings


def _find_guesses(manifest: Manifest) -> Iterator[Finding]:
    """Find the files whose encoding is a guess: wrong letters would be sent."""
    for note in manifest.notes:
        what, _, remedy = note.rpartition("; ")
        if remedy == IF_WRONG:
            yield Finding(Severity.WARNING, "guessed_encoding", what, remedy)


def check_sample(job: RenderJob, manifest: Manifest) -> Rendered:
    """Render the first recipients of the plan, look at what comes out, and unsubscribe the first as a trial.

    Raises:
        ConfigurationError: nobody could unsubscribe.
    """
    found, renderer, left = Rendered(), LeaseRenderer(job), SAMPLE_ROWS
    _check_ways_out(job, renderer, manifest)
    for lease in manifest.leases:
        if left <= 0:
            break
        found.merge(renderer.render(lease, at_most=left))
        left -= lease.rows
    return found


def _check_ways_out(job: RenderJob, renderer: LeaseRenderer, manifest: Manifest) -> None:
    """Hold the first recipient's link against what answers it; nothing is sent and nothing is written."""
    if not job.keys or not manifest.leases:
        return
    address = renderer.pick(manifest.leases[0], 0).address
    try:
        offered = renderer.renderer.list_unsubscribe(address)
    except RenderError:
        return  # told as the recipient's own failure
    if offered is not None:
        spec = renderer.campaign.spec
        check_ways_out(offered, TokenSigner(job.keys), address, spec.suppression.topic or renderer.campaign.name)


def refuse_errors(found: Rendered, *, max_failure_rate: float, where: str) -> None:
    """Stop a launch whose content must not be sent.

    A few faulty messages are outcomes of the run: it is their recipients' data that makes them so. Beyond
    `[guard] max_failure_rate` it is the content.

    Raises:
        DataError: naming the errors.
    """
    looked_at = found.rendered + found.failures.total()
    lost, allowed = found.failures.total(), looked_at * max_failure_rate
    if found.flawed <= allowed and (lost < FEWEST_LOSSES or lost <= allowed):
        return
    errors = [f"{finding.what} ({finding.remedy})" for finding in found.findings.of(Severity.ERROR)]
    errors += [
        f"{reason} ({rows:,} of {format_count(looked_at, 'row')})" for reason, rows in found.failures.most_common(5)
    ]
    bullets = "".join(f"\n  - {error}" for error in errors)
    raise DataError(
        f"{found.flawed + lost:,} of the first {format_count(looked_at, 'message')} must not be sent:{bullets}\n",
        where=where,
        remedy="correct the content; mailrun preview shows every row",
    )
