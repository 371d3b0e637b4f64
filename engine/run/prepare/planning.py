"""From a campaign's folder to a staged run: audience work, a copy of the campaign, run.json."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from msgspec import Struct

import engine
from engine.audience.checks import LookUp
from engine.audience.planning.insights import Insights
from engine.audience.planning.opened_audience import Audience, open_audience
from engine.audience.planning.plan import Lists, Plan, plan_audience
from engine.audience.reading.sources import AudienceSource, find_sources, translate_read_errors
from engine.audience.spec import CheckAction
from engine.campaign.content.compiled import compile_or_reuse
from engine.campaign.content.templates import check_names
from engine.campaign.files import copy_files
from engine.campaign.spec import Campaign
from engine.errors import DataError, nearest
from engine.ledger.database import Ledger
from engine.ledger.decisions import find_user
from engine.ledger.identity import read_identity
from engine.ledger.suppressed.forgotten import FindForgotten
from engine.ledger.suppressed.suppressions import iterate_suppressions
from engine.locations import REMOTE
from engine.progress import step
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.run.manifest import FrozenSource, Manifest, Registrar, digest_tree, write_manifest
from engine.run.prepare.insights import AskInsights, read_answers
from engine.store.files import PRIVATE_FOLDER, digest_file, translate_os_errors
from engine.store.history import HISTORY
from engine.store.port import Store


class PlanRequest(Struct, frozen=True, kw_only=True):
    """What to plan.

    Attributes:
        campaign: as it is now.
        key: the run's.
        workspace: where its audience is looked for.
        limit: keep so many recipients; None keeps all.
        sandbox: the run goes to the embedded sandbox.
        transport: `--transport`; None for the campaign's own.
        created_at: now.
        is_key_given: the key was named by a person, and not made from the campaign's template.
        is_audience_given: so was the audience.
        lenient: leave out damaged rows where the file would be refused.
        ledger: whose suppression list applies; None for none.
        store: for history and caches; None for none.
        find_forgotten: finds the addresses of people who were forgotten.
        limits: how large a file may be.
        ask_insights: looks new addresses up, which costs money; None where only known answers are applied.
        nameservers: of `[dns]`, asked by the MX check; empty for those of the machine.
    """

    campaign: Campaign
    key: str
    workspace: Path
    limit: int | None
    sandbox: bool
    created_at: datetime
    is_key_given: bool = True
    is_audience_given: bool = False
    transport: str | None = None
    lenient: bool = False
    ledger: Ledger | None = None
    store: Store | None = None
    find_forgotten: FindForgotten | None = None
    limits: ReadLimits = DEFAULT_LIMITS
    ask_insights: AskInsights | None = None
    nameservers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The run's name, CAMPAIGN/KEY."""
        return f"{self.campaign.name}/{self.key}"


class StagedRun(Struct, frozen=True):
    """A planned run that is not registered yet."""

    folder: Path
    manifest: Manifest


def check_content(request: PlanRequest, downloads: Path) -> tuple[frozenset[str] | None, Audience]:
    """Compile the templates and compare their names with the audience's columns, before any audience work.

    Args:
        request: what to plan.
        downloads: an existing folder for copies of objects.

    Returns:
        The audience's columns that the content uses (None: all), and the audience's files.

    Raises:
        DataError: a template or audience file is missing or wrong, or a template reads a name that is not there.
    """
    content = compile_or_reuse(request.campaign)
    audience = request.campaign.spec.audience
    sources = find_sources(audience.source, request.workspace, downloads=downloads, limits=request.limits)
    opened = open_audience(sources, audience, lenient=request.lenient)
    columns = tuple(opened.columns)
    check_names(content, columns)
    used, zones = content.columns_used(), _zone_column(request.campaign, columns)
    return None if used is None else (used & set(columns)) | zones, opened


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
    with step("planning"):
        return _write_plan(request, folder)


def _write_plan(request: PlanRequest, folder: Path) -> Manifest:
    spec = request.campaign.spec
    downloads, plan_folder = folder / ".downloads", folder / "plan"
    with translate_os_errors(folder):
        downloads.mkdir(mode=PRIVATE_FOLDER)
        columns, opened = check_content(request, downloads)
        copy_files(request.campaign.folder, folder / "campaign")

        def plan_once() -> tuple[Plan, Insights | None]:
            shutil.rmtree(plan_folder, ignore_errors=True)
            plan_folder.mkdir(mode=PRIVATE_FOLDER)
            topic = spec.suppression.topic or request.campaign.name  # which links without a topic name
            with _open_lists(request) as lists:
                plan = plan_audience(
                    audience=spec.audience,
                    suppression=spec.suppression.model_copy(update={"topic": topic}),
                    workspace=request.workspace,
                    opened=opened,
                    columns=columns,
                    folder=plan_folder,
                    order_key=request.campaign.name,
                    limit=request.limit,
                    kind=spec.kind,
                    lists=lists,
                    downloads=downloads,
                )
            return plan, lists.insights

        plan, insights = plan_once()
        if insights is not None and _ask_about(request, insights):
            plan, _ = plan_once()
        with step("hashing the audience"):
            sources = _freeze_sources((*opened.sources, *_find_suppressions(request)))
        shutil.rmtree(downloads)
    with step("hashing the plan"):
        manifest = _make_manifest(request, plan, opened, sources, folder)
    write_manifest(folder, manifest)
    return manifest


def _ask_about(request: PlanRequest, insights: Insights) -> bool:
    """Look up the addresses that a plan found to be new; return whether there were any."""
    wanted = insights.wanted if request.limit is None else insights.wanted.head(request.limit)
    if request.ask_insights is None or request.store is None or wanted.is_empty():
        return False
    request.ask_insights(wanted, request.store)
    return True


@contextmanager
def _open_lists(request: PlanRequest) -> Iterator[Lists]:
    """Open what rows are compared with, in addition to the campaign's own files."""
    spec = request.campaign.spec
    with ExitStack() as stack:
        look_up: LookUp | None = None
        if spec.audience.checks.mx is not CheckAction.OFF:
            look_up = _open_mail_hosts(request, stack)
        yield Lists(
            suppressions=iter(()) if request.ledger is None else iterate_suppressions(request.ledger),
            find_forgotten=request.find_forgotten,
            cap=spec.cap,
            insights=_read_insights(request),
            store=_fetch_history(request),
            now=request.created_at,
            look_up=look_up,
            limits=request.limits,
        )


def _fetch_history(request: PlanRequest) -> Path | None:
    """Return the folder around the store's history, where the campaign has a cap or a check that looks at it."""
    spec = request.campaign.spec
    is_needed = spec.cap is not None or spec.audience.checks.insights is not CheckAction.OFF
    return request.store.fetch(HISTORY).parent if request.store is not None and is_needed else None


def _read_insights(request: PlanRequest) -> Insights | None:
    checks = request.campaign.spec.audience.checks
    if checks.insights is CheckAction.OFF:
        return None
    return read_answers(checks, request.store, request.created_at)


def _open_mail_hosts(request: PlanRequest, stack: ExitStack) -> LookUp:
    from engine.audience.mail_hosts import MailHosts  # noqa: PLC0415 - DNS is slow to import, and used only on request
    from engine.authentication.resolver import open_nameservers  # noqa: PLC0415

    resolver = open_nameservers(request.nameservers) if request.nameservers else None
    cache = None if request.store is None else request.store.local_folder / "cache" / "mx.parquet"
    hosts = MailHosts(cache, request.created_at, resolver)
    stack.callback(hosts.save_cache)
    return hosts.look_up


def _make_manifest(
    request: PlanRequest, plan: Plan, opened: Audience, sources: tuple[FrozenSource, ...], folder: Path
) -> Manifest:
    return Manifest(
        run=request.name,
        mailrun=engine.__version__,
        created_at=request.created_at,
        registrar=_find_registrar(request.ledger),
        sandbox=request.sandbox,
        limit=request.limit,
        transport=request.transport,
        campaign_from=_name_folder(request.campaign.folder, request.workspace),
        lenient=request.lenient,
        sources=sources,
        columns=plan.columns,
        audience_columns=tuple(opened.columns),
        rows_read=plan.rows_read,
        accepted=plan.accepted,
        excluded=plan.excluded,
        campaign_files=digest_tree(folder / "campaign"),
        plan_files=digest_tree(folder / "plan"),
        leases=plan.leases,
        notes=plan.notes,
    )


def _find_registrar(ledger: Ledger | None) -> Registrar | None:
    return None if ledger is None else Registrar(ledger=read_identity(ledger), place=ledger.url, who=find_user())


def _name_folder(folder: Path, workspace: Path) -> str:
    return folder.relative_to(workspace).as_posix() if folder.is_relative_to(workspace) else str(folder)


def _find_suppressions(request: PlanRequest) -> Iterator[AudienceSource]:
    """The files on this machine; a later check of an object for changes would need a request to S3."""
    local = [place for place in request.campaign.spec.suppression.files if not place.startswith(REMOTE)]
    yield from find_sources(local, request.workspace)


def _freeze_sources(sources: tuple[AudienceSource, ...]) -> tuple[FrozenSource, ...]:
    return tuple(
        FrozenSource(name=s.name, size_bytes=s.size_bytes, mtime_ns=s.mtime_ns, digest=_digest(s), version=s.version)
        for s in sources
    )


def _digest(source: AudienceSource) -> str:
    with translate_read_errors(source):
        return digest_file(source.path)


def stage_run(request: PlanRequest, staging: Path) -> StagedRun:
    """Plan into a staging folder of the store."""
    return StagedRun(staging, write_plan(request, staging))
