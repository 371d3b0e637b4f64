"""Counts the figures of a run: from the ledger, its plan and outcomes, and the events in the store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from engine.addresses.mailbox import domain_of
from engine.clock import Clock
from engine.errors import DataError
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, list_decisions
from engine.ledger.figures.pace import PaceSample, list_samples
from engine.ledger.figures.state_changes import list_state_changes
from engine.logs import get_logger
from engine.masking import mask_text
from engine.report.accounts import Accounts
from engine.report.dmarc_figures import summarize_dmarc
from engine.report.figures.advice.advice_rules import advise
from engine.report.figures.breakdowns import make_breakdowns
from engine.report.figures.canary_and_guard import describe_canary, list_guard_sentences
from engine.report.figures.document import DmarcFigure, Figures, Moment
from engine.report.figures.earlier_runs import list_earlier_runs, to_counts
from engine.report.figures.exclusion_causes import list_exclusions
from engine.report.figures.from_events.bounce_diagnoses import list_diagnoses
from engine.report.figures.from_events.clicked_links import list_links
from engine.report.figures.from_events.link_patterns import LinkPattern, find_patterns
from engine.report.figures.from_events.openers import count_openers
from engine.report.figures.from_events.run_events import EVENTS_AT_ONCE, StoredEvents, read_run_events
from engine.report.figures.moments import list_moments
from engine.report.figures.opt_outs import read_unsubscribes
from engine.report.figures.outcome_causes import list_outcomes
from engine.report.figures.run_data import RunData, read_run_data
from engine.report.figures.time_line import make_time_line
from engine.report.run_accounts import require_accounts
from engine.store.dmarc_reports import read_dmarc_reports
from engine.store.port import Store

log = get_logger()
LONGEST_TEXT = 1000  # of what a person wrote, in characters


def count_figures(
    ledger: Ledger, store: Store, clock: Clock, run_name: str, *, at_once: int = EVENTS_AT_ONCE
) -> Figures:
    """Count the figures of a run.

    Args:
        ledger: has the run.
        store: has its files and events.
        clock: now.
        run_name: CAMPAIGN/KEY.
        at_once: events in memory, about.

    Raises:
        UsageError: there is no such run, or its files were pruned.
        DataError: its files are missing or damaged.
        MailrunError: ledger or store cannot be reached.
    """
    made_at, began = clock.now(), clock.monotonic()
    data = read_run_data(ledger, store, run_name)
    accounts = require_accounts(ledger, run_name, store, made_at)
    with ledger.read() as tx:
        decisions, samples = list_decisions(tx, run_name), list_samples(tx, run_name)
        moments = list_moments(data.run, decisions, list_state_changes(tx, run_name))
    found = _Found(data, accounts, decisions, moments, samples)
    with _reporting_damage(store.describe(data.run.folder)):
        events = read_run_events(store, run_name, data.run.created_at, at_once=at_once)
        counted = _count(found, events, ledger, store, made_at)
    return replace(counted, advice=advise(counted), took_seconds=clock.monotonic() - began)


@contextmanager
def _reporting_damage(folder: str) -> Iterator[None]:
    """Raise a DataError where Polars cannot read a file of the run, or an event."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        what = f"a file of the run, or of its events, is missing or damaged: {str(error).partition(chr(10))[0][:200]}"
        remedy = "find it with mailrun audit, and restore it from a backup"
        raise DataError(mask_text(what), where=folder, remedy=remedy) from error


class _Found(Struct, frozen=True):
    """What was read of a run."""

    data: RunData
    accounts: Accounts
    decisions: Sequence[Decision]
    moments: Sequence[Moment]
    samples: Sequence[PaceSample]


def _count(found: _Found, events: StoredEvents, ledger: Ledger, store: Store, made_at: datetime) -> Figures:
    data, accounts, decisions = found.data, found.accounts, found.decisions
    run, spec = data.run, data.spec
    return Figures(
        run=run.name,
        subject="" if spec is None else spec.subject[:LONGEST_TEXT],
        sender="" if spec is None else spec.sender,
        state=accounts.state,
        reason=None if accounts.reason is None else mask_text(accounts.reason[:LONGEST_TEXT]),
        paused_by=accounts.paused_by,
        created_at=run.created_at,
        started_at=accounts.started_at,
        finished_at=accounts.finished_at,
        made_at=made_at,
        took_seconds=0.0,
        is_sandbox=run.sandbox,
        transport=_find_transport(data),
        accounts=to_counts(accounts),
        exclusions=list_exclusions(data),
        outcomes=list_outcomes(data, accounts),
        feedback=accounts.feedback,
        time_line=make_time_line(data.scan_outcomes(), found.samples),
        moments=found.moments,
        bounces=list_diagnoses(events),
        opens=count_openers(events),
        links=list_links(events, _find_patterns(data)),
        unsubscribes=read_unsubscribes(ledger, run.name),
        tables=make_breakdowns(data, ledger),
        earlier=list_earlier_runs(ledger, store, run, made_at),
        canary=describe_canary(run, decisions),
        guard=list_guard_sentences(found.moments),
        dmarc=_count_dmarc(data, store),
        advice=(),
    )


def _find_transport(data: RunData) -> str:
    if data.run.facts is not None:
        return data.run.facts.transport
    return "ses" if data.spec is None else data.spec.delivery.transport


def _find_patterns(data: RunData) -> list[LinkPattern]:
    unsubscribe = None if data.spec is None or data.spec.unsubscribe is None else data.spec.unsubscribe.url
    return find_patterns(data.templates, [] if unsubscribe is None else [unsubscribe])


def _count_dmarc(data: RunData, store: Store) -> DmarcFigure | None:
    """Count what receivers reported of mail through SES since the run began; None where there is no report."""
    if data.spec is None or data.run.started_at is None:
        return None
    name = domain_of(data.spec.sender_address)
    try:
        picture = summarize_dmarc(read_dmarc_reports(store, data.run.started_at.date()))
    except DataError as error:
        log.warning("figures.dmarc_damaged", what=error.what, where=error.where)
        return None
    found = next((domain for domain in picture.domains if domain.domain == name), None)
    if found is None:
        return None
    ours = [source for source in found.sources if source.through_ses]
    return DmarcFigure(name, sum(one.messages for one in ours), sum(one.failed for one in ours))
