"""`mailrun preview`: the dry run. Everything that a launch does, on the whole audience, up to the hand-over to SES."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import polars as pl
from msgspec import Struct

from engine.account.quota import AccountQuota
from engine.campaign.lint_findings import LintFindings, Severity
from engine.campaign.message_lint import find_unused_inline
from engine.campaign.mime import Composer
from engine.campaign.render_error import RenderError
from engine.errors import MailrunError, UsageError
from engine.masking import show_address
from engine.progress import step
from engine.report.gallery import Card, Summary, write_gallery
from engine.run.manifest import Manifest
from engine.run.prepare.audience_size import find_size_problems
from engine.run.prepare.content_check import check_templates
from engine.run.prepare.plan_rendering import choose_processes, render_plan
from engine.run.prepare.planning import PlanRequest
from engine.run.prepare.rendered import Pick, Rendered
from engine.run.prepare.rendering import KILOBYTE, LeaseRenderer, RenderJob
from engine.run.prepare.run_forecast import RunForecast, forecast_run
from engine.store.files import write_file

SAMPLES = 10
RANDOM_PICKS = 3
GALLERY = "gallery.html"
_MOST_CARDS = 60  # a page that a person looks through
_DOMAINS_TOLD = 20


class Preview(Struct, frozen=True):
    """What a dry run found.

    Attributes:
        manifest: the plan's counts.
        folder: where plan, samples, failed rows and the gallery are.
        found: what rendering found.
        findings: what lint found, in the templates and in the messages.
        forecast: what a run would take.
        samples: the .eml files written.
        gallery: the page to look at.
        processes: how many rendered.
    """

    manifest: Manifest
    folder: Path
    found: Rendered
    findings: LintFindings
    forecast: RunForecast
    samples: tuple[Path, ...]
    gallery: Path
    processes: int

    @property
    def failed(self) -> int:
        """Count the messages that can not be made."""
        return self.found.failures.total()

    @property
    def passes(self) -> bool:
        """Return whether every message can be made, and none has an error."""
        return not self.failed and not self.findings.of(Severity.ERROR)

    def to_json(self) -> dict[str, Any]:
        """Return the keys that `preview --json` adds to the accounts."""
        found = self.found
        return {
            "rendered": found.rendered,
            "render_failures": dict(found.failures.most_common()),
            "failed_rows": [{"row": row, "reason": reason} for row, reason in found.examples],
            "failed_files": str(self.folder / "failed") if self.failed else None,
            "samples": [str(path) for path in self.samples],
            "gallery": str(self.gallery),
            "html_bytes_largest": found.html_bytes_largest,
            "html_sizes": describe_sizes(found.html_kilobytes),
            "message_sizes": describe_sizes(found.message_kilobytes),
            "languages": dict(found.languages.most_common()),
            "defaults_used": dict(found.defaults),
            "domains": dict(found.domains.most_common(_DOMAINS_TOLD)),
            "forecast": self.forecast.to_json(),
            "findings": self.findings.to_json(),
            "notes": list(self.manifest.notes),
        }


def preview_run(  # noqa: PLR0913 - what a dry run is of, named one by one
    request: PlanRequest,
    manifest: Manifest,
    folder: Path,
    read_keys: Callable[[], tuple[bytes, ...]],
    *,
    account: AccountQuota | MailrunError,
    addresses: Sequence[str] = (),
    processes: int | None = None,
) -> Preview:
    """Render every recipient of a plan, check every message, and write samples and a gallery.

    Args:
        request: what was planned.
        manifest: of the plan.
        folder: with the plan, as `replan` leaves it.
        read_keys: reads the keys that sign the unsubscribe links, where the campaign has links of its own.
        account: its limits, or why they are not known.
        addresses: recipients to show in the gallery as well.
        processes: how many render; None chooses.

    Raises:
        DataError: the templates are wrong.
        UsageError: one of `addresses` is not a recipient of the plan.
    """
    job = make_job(request, manifest, folder, read_keys)
    requested = {f"requested: {address}": find_recipient(folder, manifest, address) for address in addresses}
    processes = processes or choose_processes(manifest.accepted)
    found = Rendered()
    with step("rendering", "messages", manifest.accepted) as rendering:
        for of_lease in render_plan(job, manifest.leases, processes=processes):
            found.merge(of_lease)
            rendering.done = found.rendered + found.failures.total()
    renderer = LeaseRenderer(job)
    findings = check_templates(request.campaign, folder, manifest, manifest.audience_columns)
    findings.merge(found.findings)
    findings.extend(find_size_problems(request, manifest))
    findings.merge(find_unused_inline(renderer.envelope, found.cids))
    with step("writing samples"):
        failed = frozenset(row for row, _ in found.examples)
        cards = _make_cards(renderer, manifest, {**_choose(found, manifest), **requested}, failed)
        samples = _write_samples(renderer, manifest, folder, list(requested.values()), failed)
        summary = _summarise(manifest, found, findings)
        gallery = write_gallery(folder / GALLERY, cards, renderer.envelope, summary, title=manifest.run)
    return Preview(
        manifest=manifest,
        folder=folder,
        found=found,
        findings=findings,
        forecast=forecast_run(manifest.accepted, request.campaign.spec.delivery, account),
        samples=samples,
        gallery=gallery,
        processes=processes,
    )


def _summarise(manifest: Manifest, found: Rendered, findings: LintFindings) -> Summary:
    return Summary(
        rows_read=manifest.rows_read,
        accepted=manifest.accepted,
        excluded=manifest.excluded,
        rendered=found.rendered,
        failures=dict(found.failures.most_common()),
        failed_rows=found.examples,
        findings=findings,
    )


def make_job(
    request: PlanRequest, manifest: Manifest, folder: Path, read_keys: Callable[[], tuple[bytes, ...]]
) -> RenderJob:
    """Make the job of rendering what was planned into a folder."""
    return RenderJob(
        folder=folder,
        source=request.campaign.folder,
        name=request.campaign.name,
        run_key=request.key,
        columns=manifest.columns,
        keys=read_keys() if request.campaign.spec.signs_links else (),
    )


def _choose(found: Rendered, manifest: Manifest) -> dict[str, Pick]:
    """Choose the messages to show: those that rendering picked, and some random ones (the plan's order is random)."""
    ordered = ["first", *sorted(name for name in found.picks if name != "first")]
    picks = {name: found.picks[name] for name in ordered if name in found.picks}
    for number in range(RANDOM_PICKS):
        if manifest.leases:
            lease = manifest.leases[(number + 1) * len(manifest.leases) // (RANDOM_PICKS + 1)]
            index = (number + 1) * lease.rows // (RANDOM_PICKS + 1)
            picks[f"random {number + 1}"] = Pick(lease.ordinal, index, 0)
    return dict(list(picks.items())[:_MOST_CARDS])


def _make_cards(
    renderer: LeaseRenderer, manifest: Manifest, picks: dict[str, Pick], failed: frozenset[int]
) -> list[Card]:
    """Render the chosen recipients again; one who was chosen twice is shown once, with both reasons."""
    reasons: dict[tuple[int, int], list[str]] = {}
    for reason, pick in picks.items():
        reasons.setdefault((pick.lease, pick.index), []).append(reason)
    recipients = [renderer.pick(manifest.leases[lease], index) for lease, index in reasons]
    shown = [pair for pair in zip(recipients, reasons.values(), strict=True) if pair[0].row not in failed]
    messages = renderer.make([recipient for recipient, _ in shown])
    pairs = zip(messages, shown, strict=True)
    return [Card(message, why) for message, (_, why) in pairs if not isinstance(message, RenderError)]


def _write_samples(
    renderer: LeaseRenderer, manifest: Manifest, folder: Path, requested: Sequence[Pick], failed: frozenset[int]
) -> tuple[Path, ...]:
    """Write the first messages of the plan, and those that were asked for, as mail programs open them."""
    composer = Composer(renderer.envelope)
    first = (islice(renderer.recipients(lease), SAMPLES) for lease in manifest.leases[:1])
    chosen = [("", one) for one in chain.from_iterable(first)]
    chosen += [("to-", renderer.pick(manifest.leases[pick.lease], pick.index)) for pick in dict.fromkeys(requested)]
    chosen = [pair for pair in chosen if pair[1].row not in failed]
    paths: list[Path] = []
    for (prefix, _), message in zip(chosen, renderer.make([one for _, one in chosen]), strict=True):
        if not isinstance(message, RenderError):
            path = folder / "samples" / f"{prefix}{len(paths) + 1:02d}-row-{message.row}.eml"
            write_file(path, composer.compose(message))
            paths.append(path)
    return tuple(paths)


def find_recipient(folder: Path, manifest: Manifest, address: str, *, key: str = "--to") -> Pick:
    """Find a recipient of a plan by its address.

    Args:
        folder: with plan/.
        manifest: of the plan.
        address: in any case.
        key: the option that names it, for the message.

    Raises:
        UsageError: it is not a recipient; the message has the reason if the address was excluded.
    """
    wanted = pl.col("address").str.to_lowercase() == address.strip().lower()
    for file in dict.fromkeys(lease.file for lease in manifest.leases):
        rows = pl.scan_parquet(folder / "plan" / file, glob=False).select("row", "address").with_row_index("place")
        found = rows.filter(wanted).head(1).collect()
        if found.height:
            place, row = found["place"][0], found["row"][0]
            of_file = [lease for lease in manifest.leases if lease.file == file]
            lease = next(one for one in of_file if one.first_row <= place < one.first_row + one.rows)
            return Pick(lease.ordinal, place - lease.first_row, row)
    excluded = pl.scan_parquet(folder / "plan" / "excluded-*.parquet").filter(wanted).head(1).collect()
    why = f": {excluded['reason'][0]}, {excluded['detail'][0]}" if excluded.height else ""
    show_address(address)  # as it was typed
    raise UsageError(
        f"{address} is not a recipient of this plan{why}",
        where=key,
        remedy="give an address of a recipient; to see why one was excluded: mailrun plan CAMPAIGN --explain ADDRESS",
    )


def describe_sizes(kilobytes: Counter[int]) -> dict[str, int]:
    """Describe a distribution of sizes: bytes at its quantiles, rounded up to 1,024.

    >>> describe_sizes(Counter({4: 98, 9: 2}))
    {'smallest': 4096, 'median': 4096, 'p95': 4096, 'p99': 9216, 'largest': 9216}
    """
    total = kilobytes.total()
    if not total:
        return {}
    quantiles = {"smallest": 0.0, "median": 0.5, "p95": 0.95, "p99": 0.99, "largest": 1.0}
    return {name: _quantile(kilobytes, share * (total - 1)) * KILOBYTE for name, share in quantiles.items()}


def _quantile(kilobytes: Counter[int], place: float) -> int:
    seen = 0
    for size in sorted(kilobytes):
        seen += kilobytes[size]
        if seen > place:
            return size
    return max(kilobytes)
