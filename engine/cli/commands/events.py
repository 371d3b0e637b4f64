"""`mailrun events`: events are read from a queue or from files, stored, and settle recipients in doubt."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from msgspec import Struct, field
from pydantic import ValidationError

from engine.account.client import Endpoint
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.cli.suggestions import write_command
from engine.errors import ExitCode, UsageError
from engine.feedback.events.certificates import fetch_certificate
from engine.feedback.events.effects import SoftRule
from engine.feedback.events.envelopes import Passed, Verify, open_body
from engine.feedback.events.event_files import DAMAGED, EVENTS, QUARANTINE
from engine.feedback.events.files import read_place
from engine.feedback.events.intake import EventTally, Intake
from engine.feedback.events.matching import MATCHED, Matcher
from engine.feedback.events.queue import choose_poll, open_sqs, pull
from engine.feedback.events.signatures import SnsVerifier, own_account_topics
from engine.ledger.suppressed.forgotten import make_find_forgotten
from engine.metrics.meter import Meter
from engine.metrics.monitoring import Monitored, monitor
from engine.metrics.queue_depth import watched
from engine.notify.background import sending_notifications
from engine.on_demand import OnDemand
from engine.progress import Step, step
from engine.quantities import format_count
from engine.report.run_report.report_refresh import refresh_reports
from engine.run.settle.event_proof import make_open_plan, settle_all_proven
from engine.setting_sections import EventsSettings
from engine.spans import span
from engine.stopping.signals import stop_on_signals
from engine.stopping.stop import Stop
from engine.store.keys import read_forget_key
from engine.workspace import Workspace

_WHY = {
    "unknown_run": "from runs that are not in this ledger",
    "unknown_message": "from messages that no run sent",
    "never_mailed": "from addresses that were never mailed; no address is suppressed",
    "pruned": "from runs whose files were pruned",
    DAMAGED: "from runs whose files are damaged or missing",
}

_SKIPPED: dict[str, tuple[str, str]] = {
    Passed.NOTICE: ("notice", "notices"),
    Passed.INBOUND: ("notification of inbound mail", "notifications of inbound mail"),
}

_run_embedded = OnDemand(
    "engine.cli.embedded_sandbox:run_embedded"
)  # a real queue does not need the sandbox's server, which takes time to import
_SETTLE_SECONDS = 10.0  # at most this often during a pull


class _Desk(Struct):
    """Processes events, and settles recipients in doubt from time to time."""

    workspace: Workspace
    intake: Intake
    verify: Verify
    meter: Meter = field(default_factory=lambda: Meter(queue="events"))
    settled_at: float = 0.0
    pulling: Step | None = None
    follows: bool = False

    def take_bodies(self, bodies: Sequence[str], source: str) -> None:
        with span("events", documents=len(bodies)):
            self.intake.take([open_body(body, self.verify) for body in bodies], source)
        tally, now = self.intake.tally, self.workspace.clock.now().timestamp()
        self.meter.note_events(tally.kinds, tally.newest_at, tally.last_at, now)
        if self.pulling is not None:
            self.pulling.advance(len(bodies))
        if self.workspace.clock.monotonic() - self.settled_at > _SETTLE_SECONDS:
            self.settle()
            if self.follows:
                self.count_figures()

    def count_figures(self) -> None:
        workspace = self.workspace
        refresh_reports(workspace.ledger, workspace.store, workspace.clock, self.intake.take_touched())

    def settle(self) -> None:
        tally, workspace = self.intake.tally, self.workspace
        self.settled_at = workspace.clock.monotonic()
        tally.settled += settle_all_proven(workspace.ledger, workspace.store, tally.runs, clock=workspace.clock)


@with_common
def pull_events(  # noqa: PLR0913 - one for each option
    queue: str | None,
    common: Common,
    *,
    topics: tuple[str, ...],
    follow: bool,
    metrics_listen: str | None,
    sandbox: bool = False,
) -> int:
    """Pull; print what was processed; return the exit code."""
    if sandbox:
        return _pull_sandbox(common, metrics_listen)
    with open_chosen(common) as workspace:
        given = _check(workspace.settings.events, queue=queue, topics=topics)
        url = given.queue
        if not url:
            raise UsageError(
                "no queue is named",
                where="--queue",
                remedy="give its URL, or set [events] queue in mailrun.toml; for runs on the sandbox add --sandbox",
            )
        topics = given.topics or own_account_topics(url)
        with _notifying(workspace), _open_desk(workspace, topics) as desk, _monitor(desk, metrics_listen):
            with step("pulling events", "events", is_shown=not follow) as pulling:
                desk.pulling, desk.follows = pulling, follow
                undeleted = asyncio.run(_pull(url, desk, follow=follow))
            return _finish(desk, common, {"undeleted": undeleted})


def _pull_sandbox(common: Common, listen: str | None) -> int:
    """Pull the events of runs that were sent to the embedded sandbox."""
    with (
        open_chosen(common) as workspace,
        _open_desk(workspace, ()) as desk,
        _run_embedded(workspace.store) as server,
        _monitor(desk, listen),
    ):
        endpoint = Endpoint(server.url, server.region, server.access_key_id, server.secret_access_key)
        undeleted = asyncio.run(_pull(server.queue_url, desk, follow=False, endpoint=endpoint))
        return _finish(desk, common, {"undeleted": undeleted})


async def _pull(url: str, desk: _Desk, *, follow: bool, endpoint: Endpoint | None = None) -> int:
    async def take(bodies: Sequence[str]) -> None:
        await asyncio.to_thread(desk.take_bodies, bodies, url)

    stop = Stop()
    with stop_on_signals(stop):
        poll_seconds = (
            choose_poll(follow=follow) if endpoint is None else 0
        )  # no more events arrive in the embedded sandbox
        async with open_sqs(url, endpoint) as client, watched(client, url, desk.meter, stop):
            pulled = await pull(client, url, take, follow=follow, stop=stop, poll_seconds=poll_seconds)
    return pulled.undeleted


def _monitor(desk: _Desk, listen: str | None) -> AbstractContextManager[None]:
    return monitor(Monitored(workspace=desk.workspace, command="events pull", meter=desk.meter, listen=listen))


@with_common
def import_events(place: str, common: Common, *, topics: tuple[str, ...]) -> int:
    """Import; print what was processed; return the exit code."""
    with (
        open_chosen(common) as workspace,
        _open_desk(workspace, _check(workspace.settings.events, topics=topics).topics) as desk,
    ):
        with step("importing events", "documents") as importing:
            for source, opened in read_place(place, desk.verify, workspace.settings.limits):
                desk.intake.take(opened, source)
                importing.advance(len(opened))
        return _finish(desk, common, {})


def _check(settings: EventsSettings, **flags: Any) -> EventsSettings:
    """Replace settings by flags.

    Raises:
        UsageError: one is not a queue or a topic.
    """
    given = {name: value for name, value in flags.items() if value}
    try:
        return EventsSettings.model_validate(settings.model_dump() | given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = "--queue" if problem["loc"][0] == "queue" else "--topic"
        detail = problem["msg"].removeprefix("Value error, ")
        raise UsageError(detail, where=name, remedy="copy it from the AWS console") from None


def _notifying(workspace: Workspace) -> AbstractContextManager[object]:
    return sending_notifications(workspace.settings, workspace.ledger, workspace.store, workspace.clock)


@contextmanager
def _open_desk(workspace: Workspace, topics: tuple[str, ...]) -> Iterator[_Desk]:
    find_forgotten = make_find_forgotten(workspace.ledger, partial(read_forget_key, workspace.store))
    matcher = Matcher(workspace.ledger, workspace.store, make_open_plan(workspace.store), find_forgotten)
    rule = SoftRule(workspace.settings.suppression.soft_bounces, workspace.settings.suppression.soft_days)
    intake = Intake(workspace.ledger, workspace.store, matcher, soft_rule=rule, clock=workspace.clock)
    try:
        yield _Desk(workspace, intake, SnsVerifier(topics, fetch_certificate))
    finally:
        matcher.close()


def _finish(desk: _Desk, common: Common, more: dict[str, int]) -> int:
    """Settle what events prove, print what was processed, and count the figures of the runs; return the exit code."""
    with step("settling recipients in doubt"):
        desk.settle()
    desk.intake.tidy()
    code = _print(desk, common, more)
    desk.count_figures()
    return code


def _print(desk: _Desk, common: Common, more: dict[str, int]) -> int:
    tally, store = desk.intake.tally, desk.workspace.store
    aside, damaged = tally.malformed + tally.forged, tally.matches[DAMAGED]
    if common.json:
        print_json(tally.to_json() | more | {"store": store.describe(EVENTS)})
    else:
        print_lines(*_describe(tally))
        if aside:
            folder = f"{store.describe(QUARANTINE)}/"
            again = write_command("events", "import", folder)
            print_lines(f"quarantined in: {folder}", f"after you have fixed the cause: {again}")
        if damaged:
            again = write_command("events", "import", f"{store.describe(EVENTS)}/")
            print_lines(f"after you have restored the runs: {again}")
    return ExitCode.DATA if aside or damaged else ExitCode.FINISHED


def _describe(tally: EventTally) -> Iterator[str]:
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in tally.kinds.most_common())
    yield f"{tally.documents:,} read, {format_count(tally.events, 'event')}" + (f": {kinds}" if kinds else "")
    matched = sum(tally.matches[how] for how in MATCHED)
    news = format_count(tally.changed, "recipient")
    yield f"{format_count(matched, 'event')} matched recipients, with news of {news}"
    for why, words in _WHY.items():
        if count := tally.matches[why]:
            yield f"{count:,} {words}"
    if tally.suppressed:
        yield f"{format_count(tally.suppressed, 'address', 'addresses')} suppressed"
    if tally.settled:
        yield f"{tally.settled:,} recipients in doubt settled"
    for name, count in tally.passed.items():
        yield f"{format_count(count, *_SKIPPED[name])} skipped"
    for reason, count in tally.reasons.most_common(10):
        yield f"QUARANTINED: {count:,}: {reason}"
