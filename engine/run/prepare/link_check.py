"""Links and markup from data, judged over the whole audience before a launch.

Templates say which of their expressions stand in links, attributes and markup (`CampaignContent.data_uses`). Polars
picks the recipients whose values may have to be refused, which are few or none; their messages are rendered, and what
fails is counted. All other recipients are skipped.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl
from polars.datatypes import DataTypeClass

from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.plan_files import read_lease, stored_name
from engine.campaign.content.names import NameUse
from engine.campaign.content.printing.data_uses import DataUse, Suspects
from engine.campaign.content.printing.links import SCHEMES, RefusedValueError
from engine.campaign.content.templates import CampaignContent, place_of
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.render import Renderer
from engine.campaign.render_error import RenderError
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.run.prepare.rendering import run_rendering
from engine.run.recipients import Recipient, iterate_recipients
from engine.system.bounded_process import Steps

REFUSED_VALUE = "refused_value"  # the code of the finding
_PATTERNS = {
    Suspects.LINKS: r"[:%&]",
    Suspects.MARKUP: r"<",
    Suspects.SIGNS: r"[^A-Za-z0-9_-]|^$",
}
_USUAL_LINK = rf"(?i)^(?:{'|'.join(sorted(SCHEMES))}):"
PolarsType = pl.DataType | DataTypeClass
_NO_KEY = b"no link of this check is sent"  # signs links in messages that are never sent


def check_links(
    content: CampaignContent, folder: Path, leases: Sequence[LeaseRange], columns: Sequence[str]
) -> LintFindings:
    """Find the recipients who fail for what their data would do in the HTML.

    Args:
        content: the compiled templates.
        folder: with plan/.
        leases: of the plan.
        columns: of the audience, as the plan carries them.
    """
    findings, uses = LintFindings(), [use for use in content.data_uses() if use.suspects is not None]
    if not uses or not leases:
        return findings
    campaign = content.campaign
    signer = TokenSigner([_NO_KEY]) if campaign.spec.signs_links else None
    renderer = Renderer(content, campaign, run_key="check", signer=signer)
    for frame in _find_suspects(uses, folder / "plan", leases, columns):
        recipients = list(iterate_recipients(frame, columns))
        work = partial(_find_refused, renderer, recipients)
        for error, row in run_rendering(work, renderer, recipients, source=campaign.folder):
            findings.add(_describe(content, error), row)
    return findings


def _find_refused(renderer: Renderer, recipients: Sequence[Recipient], steps: Steps) -> list[tuple[RenderError, int]]:
    found = []
    for index, one in enumerate(recipients):
        steps.begin(index)
        try:
            renderer.render(one.content, one.row, one.address)
        except RenderError as error:
            if isinstance(error.__cause__, RefusedValueError):
                found.append((error, one.row))
    return found


def _describe(content: CampaignContent, error: RenderError) -> LintFinding:
    what, _, remedy = error.reason.rpartition("; ")
    where = place_of(content.campaign, NameUse("", error.template, error.line or 1))
    return LintFinding(Severity.ERROR, REFUSED_VALUE, what, f"{remedy}; these recipients fail", where)


def _find_suspects(
    uses: Sequence[DataUse], plan: Path, leases: Sequence[LeaseRange], columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Yield the recipients that have a value which may have to be refused, lease by lease."""
    tests: list[pl.Expr] | None = None
    known: dict[str, bool] = {}
    for lease in leases:
        if tests is None:
            schema = pl.scan_parquet(plan / lease.file, glob=False).collect_schema()
            tests = list(_make_tests(uses, schema, columns))
        is_suspect = pl.any_horizontal(pl.lit(value=False), *tests)
        if lease.file not in known:
            rows = pl.scan_parquet(plan / lease.file, glob=False)
            known[lease.file] = bool(rows.select(is_suspect.any()).collect(engine="streaming").item())
        if known[lease.file]:
            found = read_lease(plan, lease).filter(is_suspect)
            if found.height:
                yield found


def _make_tests(uses: Sequence[DataUse], schema: pl.Schema, columns: Sequence[str]) -> Iterator[pl.Expr]:
    wanted = {
        (name, use.suspects)
        for use in uses
        for name in (columns if use.columns is None else use.columns)
        if use.suspects is not None
    }
    if any(use.suspects is Suspects.ALL for use in uses):
        yield pl.lit(value=True)
        return
    for name, suspects in sorted(wanted):
        stored = ([stored_name(name)] if name in columns else []) + (["address"] if name == "address" else [])
        for one in stored:
            yield from _test_column(pl.col(one), schema[one], suspects)


def _test_column(value: pl.Expr, dtype: PolarsType, suspects: Suspects) -> Iterator[pl.Expr]:
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        text = value.cast(pl.String)
        found = text.str.contains(_PATTERNS[suspects])
        if suspects is Suspects.LINKS:
            found &= ~text.str.contains(_USUAL_LINK)
        yield found.fill_null(value=False)
    elif isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _test_column(value.struct.field(field.name), field.dtype, suspects)
    elif isinstance(dtype, pl.List | pl.Array):
        texts = value if isinstance(dtype, pl.List) else value.arr.to_list()
        for test in _test_column(pl.element(), dtype.inner, suspects):
            yield texts.list.eval(test).list.any().fill_null(value=False)
    elif suspects is Suspects.SIGNS and not dtype.is_integer():
        yield value.is_not_null()
