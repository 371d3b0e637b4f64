"""The content part of `check` and `launch`: templates against the plan, and a fair sample of messages."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from engine.audience.planning.plan_files import count_nulls
from engine.audience.reading.text_files.encoding_guess import IF_WRONG
from engine.campaign.content.compiled import compile_or_reuse
from engine.campaign.lint import lint_templates
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.render_error import RenderError
from engine.campaign.spec import Campaign
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import DataError
from engine.quantities import format_count
from engine.run.guard.judge import FEWEST_LOSSES
from engine.run.manifest import Manifest
from engine.run.prepare.column_check import UNKNOWN_TIME_ZONE, check_columns
from engine.run.prepare.link_check import REFUSED_VALUE, check_links
from engine.run.prepare.preflight import LONG_LINK, check_link_lengths, check_unsubscribe_links
from engine.run.prepare.rendered import Rendered
from engine.run.prepare.rendering import LeaseRenderer, RenderJob

SAMPLE_ROWS = 500  # the plan's order is a fair sample
_FATAL = frozenset({UNKNOWN_TIME_ZONE, LONG_LINK, REFUSED_VALUE})  # findings whose recipients fail
_MOST_REASONS = 5  # that an error lists


def check_templates(campaign: Campaign, folder: Path, manifest: Manifest, available: tuple[str, ...]) -> LintFindings:
    """Compare the templates' names with the plan's columns, and check the values that templates and sending need.

    Args:
        campaign: as it is checked.
        folder: with plan/.
        manifest: of the plan.
        available: the audience's columns.
    """
    content = compile_or_reuse(campaign)
    findings = lint_templates(content, available, count_nulls(folder / "plan", manifest.columns))
    findings.merge(check_columns(content, folder, manifest.columns))
    findings.merge(check_links(content, folder, manifest.leases, manifest.columns))
    findings.extend(_find_guesses(manifest))
    return findings


def _find_guesses(manifest: Manifest) -> Iterator[LintFinding]:
    """Find the files whose encoding is a guess: wrong letters would be sent."""
    for note in manifest.notes:
        what, _, remedy = note.rpartition("; ")
        if remedy == IF_WRONG:
            yield LintFinding(Severity.WARNING, "guessed_encoding", what, remedy)


def check_sample(job: RenderJob, manifest: Manifest) -> Rendered:
    """Render the first recipients of the plan, look at what comes out, and unsubscribe the first as a trial.

    Raises:
        ConfigurationError: the campaign's unsubscribe links do not work.
    """
    found, renderer = Rendered(), LeaseRenderer(job)
    found.findings.merge(_check_unsubscribe_links(job, renderer, manifest))
    found.merge(renderer.render_first(manifest.leases, SAMPLE_ROWS))
    return found


def _check_unsubscribe_links(job: RenderJob, renderer: LeaseRenderer, manifest: Manifest) -> LintFindings:
    """Check that unsubscribe links fit into their header, and that the unsubscribe server accepts the first one.

    Nothing is sent and nothing is written.
    """
    if not job.keys or not manifest.leases:
        return LintFindings()
    offer, spec = renderer.renderer.list_unsubscribe, renderer.campaign.spec
    findings = check_link_lengths(offer, job.folder / "plan", str(renderer.campaign.folder / "campaign.toml"))
    address = renderer.pick(manifest.leases[0], 0).address
    try:
        offered = offer(address)
    except RenderError:
        return findings  # which count this recipient
    if offered is not None:
        check_unsubscribe_links(
            offered, TokenSigner(job.keys), address, spec.suppression.topic or renderer.campaign.name
        )
    return findings


class ExpectedFailures(Struct, frozen=True):
    """Recipients who will fail, found in the whole plan before anything is sent.

    Attributes:
        recipients: how many.
        reasons: what is wrong, and what to do about it.
    """

    recipients: int
    reasons: tuple[str, ...]


def find_expected_failures(findings: LintFindings) -> ExpectedFailures:
    """Sum up the findings whose recipients all fail."""
    fatal = [finding for finding in findings.of(Severity.ERROR) if finding.code in _FATAL]
    reasons = tuple(f"{finding.what} ({format_count(findings.counts[finding], 'recipient')})" for finding in fatal)
    return ExpectedFailures(sum(findings.counts[finding] for finding in fatal), reasons)


def refuse_expected_failures(known: ExpectedFailures, accepted: int, *, max_failure_rate: float, where: str) -> None:
    """Stop an unattended launch that would fail for more recipients than the guard allows.

    Args:
        known: of the plan.
        accepted: the plan's recipients.
        max_failure_rate: `[guard] max_failure_rate`, 0 to 1.
        where: the campaign's folder.

    Raises:
        DataError: naming the reasons.
    """
    if known.recipients <= accepted * max_failure_rate:
        return
    bullets = "".join(f"\n  - {reason}" for reason in known.reasons[:_MOST_REASONS])
    raise DataError(
        f"{known.recipients:,} of {format_count(accepted, 'recipient')} would fail, and [guard] max_failure_rate allows"
        f" {max_failure_rate:.4g}:{bullets}\n",
        where=where,
        remedy="correct these rows or the setting; mailrun preview shows every row",
    )


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
