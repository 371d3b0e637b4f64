"""Samples: the values of the metrics now, from what a command measures and from the ledger's figures. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from engine.feedback.events.records import EventKind
from engine.ledger.figures.campaigns import CampaignFigures, LedgerFigures
from engine.ledger.journal import Outcome
from engine.ledger.schema import RunState
from engine.metrics import catalogue as of
from engine.metrics.catalogue import OTHER, RECEIVERS, Metric
from engine.metrics.meter import Durations, Meter

_KINDS = frozenset(map(str, EventKind))
_OUTCOMES = tuple(outcome for outcome in Outcome if outcome is not Outcome.UNSENT)


class Distribution(Struct, frozen=True):
    """The value of a histogram.

    Attributes:
        counts: one for each bound of the catalogue, and one for greater values; not cumulative.
        total: sum of all values.
    """

    counts: tuple[int, ...]
    total: float


class Sample(Struct, frozen=True):
    """One value; the labels are in the order of the metric's."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Distribution


class MonitoredCommand(Struct, frozen=True):
    """The command that measures.

    Attributes:
        name: such as `launch`.
        campaign: that it sends; empty for none.
        sandbox: whether it sends to the embedded sandbox.
        version: of mailrun.
        started_at: Unix time.
    """

    name: str
    campaign: str
    sandbox: bool
    version: str
    started_at: float


Samples: TypeAlias = Iterator[Sample]


def sample_command(command: MonitoredCommand, meter: Meter, *, ended_at: float | None) -> Samples:
    """Sample what a command measures."""
    yield Sample(of.BUILD_INFO, (command.version,), 1)
    yield Sample(of.COMMAND_START, (command.name,), command.started_at)
    if ended_at is not None:
        yield Sample(of.COMMAND_END, (command.name,), ended_at)
    if command.campaign:
        yield from _sample_sending((command.campaign, _word(is_true=command.sandbox)), meter)
    if meter.queue == "events":
        yield from (Sample(of.EVENTS, (kind,), count) for kind, count in _name_kinds(meter.events))
        if meter.newest_event is not None:
            yield Sample(of.NEWEST_EVENT, (), meter.newest_event)
        if meter.event_lag is not None:
            yield Sample(of.EVENT_LAG, (), meter.event_lag)
    if meter.queue == "inbound":
        yield Sample(of.MAILS, (), meter.mails)
    if meter.queue_messages is not None:
        yield Sample(of.QUEUE, (meter.queue,), meter.queue_messages)


def _name_kinds(events: Mapping[str, int]) -> list[tuple[str, int]]:
    """Add up events by kind; kinds that mailrun does not know, which others can name as they like, are `other`."""
    sums: dict[str, int] = {}
    for kind, count in sorted(events.items()):
        name = kind if kind in _KINDS else OTHER
        sums[name] = sums.get(name, 0) + count
    return sorted(sums.items())


def _sample_sending(run: tuple[str, str], meter: Meter) -> Samples:
    pulses = list(meter.pulses.values())
    for outcome in _OUTCOMES:
        yield Sample(of.SENT, (*run, str(outcome)), meter.outcomes[outcome])
    yield Sample(of.THROTTLES, run, sum(pulse.throttles for pulse in pulses))
    yield Sample(of.CALLS, run, _add([pulse.calls for pulse in pulses]))
    yield Sample(of.COMMITS, run, _add([pulse.commits for pulse in pulses]))
    yield Sample(of.RATE_LIMIT, run, sum(pulse.rate_limit for pulse in pulses))
    yield Sample(of.CALLS_IN_FLIGHT, run, sum(pulse.in_flight for pulse in pulses))
    for region in sorted({pulse.region for pulse in pulses}):
        known = [pulse for pulse in pulses if pulse.region == region and pulse.quota_limit is not None]
        if known:
            yield Sample(of.QUOTA_LEFT, (region,), min(pulse.quota_left or 0.0 for pulse in known))
            yield Sample(of.QUOTA_LIMIT, (region,), max(pulse.quota_limit or 0.0 for pulse in known))


def _add(measured: Sequence[Durations]) -> Distribution:
    counts = tuple(sum(column) for column in zip(*(one.counts for one in [*measured, Durations()]), strict=True))
    return Distribution(counts, sum(one.total for one in measured))


def sample_ledger(figures: LedgerFigures | None, command: MonitoredCommand, meter: Meter) -> Samples:
    """Sample the ledger's figures; None where it could not be read."""
    yield Sample(of.LEDGER_UP, (), 0 if figures is None else 1)
    if figures is None:
        return
    warned = any(pulse.is_warned for pulse in meter.pulses.values())
    for campaign in figures.campaigns:
        own = (campaign.campaign, campaign.sandbox) == (command.campaign, command.sandbox)
        yield from _sample_campaign(campaign, is_warned=own and warned)
    yield from _sample_receivers(figures)


def _sample_campaign(figures: CampaignFigures, *, is_warned: bool) -> Samples:
    run = figures.campaign, _word(is_true=figures.sandbox)
    for state in RunState:
        yield Sample(of.RUN_STATE, (*run, str(state)), int(figures.state is state))
    for outcome in _OUTCOMES:
        yield Sample(of.RUN_RECIPIENTS, (*run, str(outcome)), figures.outcomes.get(outcome, 0))
    yield Sample(of.RUN_RECIPIENTS, (*run, str(Outcome.UNSENT)), figures.unsent)
    yield Sample(of.IN_FLIGHT, run, figures.in_flight)
    for kind, leases in figures.leases.items():
        yield Sample(of.LEASES, (*run, kind), leases)
    yield Sample(of.WORKERS, run, figures.workers)
    yield Sample(of.GUARD, run, 2 if figures.is_paused_by_guard else int(is_warned))
    for event, recipients in figures.events.items():
        yield Sample(of.RUN_EVENTS, (*run, event), recipients)
    times: Mapping[Metric, datetime | None] = {
        of.RUN_STARTED: figures.started_at,
        of.LAST_COMMIT: figures.last_commit_at,
        of.LAST_WAIT: figures.last_wait_at,
        of.OLDEST_OPEN: figures.oldest_open_at,
        of.LAST_SUCCESS: figures.last_success_at,
    }
    for metric, at in times.items():
        if at is not None:
            yield Sample(metric, run, at.timestamp())


def _sample_receivers(figures: LedgerFigures) -> Samples:
    """Sample the largest receivers by what was delivered or bounced, and all others together."""
    for sandbox in sorted({to for to, _ in figures.receivers}):
        known = {domain: counts for (to, domain), counts in figures.receivers.items() if to is sandbox}
        largest = sorted(filter(None, known), key=lambda domain: (-sum(known[domain].values()), domain))[:RECEIVERS]
        others: dict[str, int] = {}
        for domain, counts in known.items():
            for event, recipients in counts.items():
                if domain in largest:
                    yield Sample(of.RECEIVER, (_word(is_true=sandbox), domain, event), recipients)
                else:
                    others[event] = others.get(event, 0) + recipients
        for event, recipients in others.items():
            yield Sample(of.RECEIVER, (_word(is_true=sandbox), OTHER, event), recipients)


def _word(*, is_true: bool) -> str:
    return "true" if is_true else "false"
