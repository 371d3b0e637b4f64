"""From a campaign's folder to a frozen run: audience work, a copy of the campaign, run.json."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import engine
from engine.audience import plan as audience_plan
from engine.audience.plan import Plan
from engine.audience.sources import Source, find_sources, read_columns
from engine.campaign.spec import Campaign
from engine.campaign.templates import check_names, compile_content
from engine.errors import DataError, nearest
from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.run.manifest import FILE, FrozenSource, Manifest, digest_tree, find_damage, read_manifest, write_manifest
from engine.store.folder import PRIVATE_FOLDER, Store, digest_file, translate_os_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What to plan.

    Attributes:
        campaign: as it is now.
        key: the run's.
        workspace: where its audience is looked for.
        limit: keep so many recipients; None keeps all.
        sandbox: the run goes to the embedded sandbox.
        transport: `--transport`; None for the campaign's own, which the campaign says already.
        created_at: now.
    """

    campaign: Campaign
    key: str
    workspace: Path
    limit: int | None
    sandbox: bool
    created_at: datetime
    transport: str | None = None

    @property
    def name(self) -> str:
        """The run's name, CAMPAIGN/KEY."""
        return f"{self.campaign.name}/{self.key}"


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """A run whose plan, campaign and settings are frozen in its folder."""

    run: Run
    manifest: Manifest
    folder: Path


@dataclass(frozen=True, slots=True)
class StagedRun:
    """A planned run that nobody knows yet."""

    folder: Path
    manifest: Manifest


def check_content(request: PlanRequest) -> tuple[frozenset[str] | None, tuple[Source, ...]]:
    """Compile the templates and hold their names against the audience's columns, before any audience work.

    Returns:
        The audience's columns that the content uses (None: all), and the audience's files.

    Raises:
        DataError: a template or audience file is missing or wrong, or a template reads a name that is not there.
    """
    content = compile_content(request.campaign)
    sources = find_sources(request.campaign.spec.audience.source, request.workspace)
    columns = read_columns(sources)
    check_names(content, columns)
    used, zones = content.columns_used(), _zone_column(request.campaign, columns)
    return None if used is None else used & set(columns) | zones, sources


def _zone_column(campaign: Campaign, columns: Sequence[str]) -> set[str]:
    """Name the column with recipients' time zones, which sending needs even where no template does."""
    column = campaign.spec.window.column
    if column is None:
        return set()
    if column not in columns:
        raise DataError(
            f"there is no column {column} for the time zones",
            where=f"{campaign.folder / 'campaign.toml'}, [window] timezone",
            remedy=nearest(column, list(columns)),
        )
    return {column}


def write_plan(request: PlanRequest, folder: Path) -> Manifest:
    """Plan into a folder: campaign/, plan/ and, last, run.json.

    Raises:
        DataError: audience or templates are wrong.
        PausedError: the disk is full.
    """
    columns, sources = check_content(request)
    spec = request.campaign.spec
    with translate_os_errors(folder):
        shutil.copytree(request.campaign.folder, folder / "campaign")
        plan_folder = folder / "plan"
        plan_folder.mkdir(mode=PRIVATE_FOLDER)
        plan = audience_plan.plan_audience(
            audience=spec.audience,
            suppression=spec.suppression,
            workspace=request.workspace,
            sources=sources,
            columns=columns,
            folder=plan_folder,
            order_key=request.campaign.name,
            limit=request.limit,
            ignore_topics=spec.kind == "transactional",
        )
    manifest = _make_manifest(request, plan, sources, folder)
    write_manifest(folder, manifest)
    return manifest


def _make_manifest(request: PlanRequest, plan: Plan, sources: tuple[Source, ...], folder: Path) -> Manifest:
    return Manifest(
        run=request.name,
        mailrun=engine.__version__,
        created_at=request.created_at,
        sandbox=request.sandbox,
        limit=request.limit,
        transport=request.transport,
        sources=tuple(FrozenSource(name=s.name, size_bytes=s.size_bytes, mtime_ns=s.mtime_ns) for s in sources),
        columns=plan.columns,
        rows_read=plan.rows_read,
        accepted=plan.accepted,
        excluded=plan.excluded,
        campaign_files=digest_tree(folder / "campaign"),
        plan_files=digest_tree(folder / "plan"),
        leases=plan.leases,
        notes=plan.notes,
    )


def stage_run(request: PlanRequest, staging: Path) -> StagedRun:
    """Plan into a staging folder of the store."""
    return StagedRun(staging, write_plan(request, staging))


def publish_run(staged: StagedRun, store: Store, ledger: Ledger) -> FrozenRun:
    """Make a staged run known: its folder appears whole, then the ledger learns of it.

    Two launches may do so at once: the folder that is there first is the run's, and both go on with it. A crash
    between both steps leaves a whole folder, which the next launch takes for the run's as well.
    """
    store.publish(staged.folder, staged.manifest.run)
    return _record_run(staged.manifest.run, store, ledger)


def _record_run(name: str, store: Store, ledger: Ledger) -> FrozenRun:
    folder = store.run_folder(name)
    manifest = read_manifest(folder)
    run = Run(
        name=name,
        state=RunState.PLANNED,
        reason=None,
        sandbox=manifest.sandbox,
        folder=str(folder.relative_to(store.root)),
        manifest_digest=digest_file(folder / FILE),
        rows_read=manifest.rows_read,
        accepted=manifest.accepted,
        excluded=manifest.excluded,
        created_at=manifest.created_at,
        started_at=None,
        finished_at=None,
    )
    with ledger.write() as tx:
        runs.insert_run(tx, run, lease_rows=[lease.rows for lease in manifest.leases])
        known = runs.find_run(tx, name)
    return FrozenRun(known or run, manifest, folder)


def open_run(run: Run, store: Store) -> FrozenRun:
    """Open a run that the ledger knows.

    Raises:
        DataError: its folder is missing or damaged.
    """
    folder = store.root / run.folder
    manifest = read_manifest(folder, run.manifest_digest)
    damage = find_damage(folder / "campaign", manifest.campaign_files)
    if damage:
        raise DataError(
            "the frozen campaign is damaged: " + "; ".join(damage),
            where=str(folder),
            remedy="restore the run's folder from a backup; nothing was begun again",
        )
    return FrozenRun(run, manifest, folder)
