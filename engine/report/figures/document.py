"""The document of a run's figures: made once when events are processed, and read by the report and the dashboard.

It is JSON in the store, `runs/CAMPAIGN/KEY/report/figures.json`. It contains no whole address: examples are masked. Its
numbers are those of `mailrun status`, `mailrun audit` and the Parquet files at `made_at`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct


class Figures(Struct, frozen=True, kw_only=True):
    """All figures of one run.

    Attributes:
        version: of this document; a document of another version is made again.
        run: CAMPAIGN/KEY.
        subject: template of the subject, as frozen.
        sender: From, as frozen.
        state: of the run.
        reason: why it is paused or cancelled.
        made_at: when these figures were counted.
        took_seconds: how long counting took, which decides how often it is repeated.
        is_sandbox: whether the run goes to the embedded sandbox.
        accounts: the document of `mailrun status --json` without lists: counts by name.
        exclusions: excluded rows, by reason in order of precedence.
        outcomes: recipients by outcome, in the order of `Outcome`, each with its reasons.
        feedback: recipients by kind of event, under the names of `event_flags.SHOWN`.
        time_line: what happened when.
        moments: pauses, decisions and other moments, in order of time.
        bounces: bounces by diagnosis, the largest first.
        opens: who opened: people and machines.
        links: clicked links, by position.
        unsubscribes: recipients by the way they opted out; a recipient counts once in `total`.
        tables: breakdowns by receiver domain, locale, variant and hour.
        earlier: the campaign's earlier runs, the newest first; at most ten.
        canary: what the canary decided; None where there was none.
        guard: what the guard found and decided, each as one sentence.
        advice: what to do, the most important first.
        transport: `ses`, `smtp` or `outbox`.
        paused_by: who paused it, a person or `guard`; None where the next launch resumes it.
        dmarc: what receivers reported of mail in the sender's name since the run began; None where there is no report.
    """

    version: int = 1
    run: str
    subject: str
    sender: str
    state: str
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    made_at: datetime
    took_seconds: float
    is_sandbox: bool
    accounts: Mapping[str, int]
    exclusions: Sequence["Cause"]
    outcomes: Sequence["OutcomeFigure"]
    feedback: Mapping[str, int]
    time_line: "TimeLine"
    moments: Sequence["Moment"]
    bounces: Sequence["Diagnosis"]
    opens: "Opens"
    links: Sequence["Link"]
    unsubscribes: "Unsubscribes"
    tables: Sequence["Breakdown"]
    earlier: Sequence["EarlierRun"]
    canary: str | None
    guard: Sequence[str]
    advice: Sequence["Advice"]
    transport: str = "ses"
    paused_by: str | None = None
    dmarc: "DmarcFigure | None" = None


class Cause(Struct, frozen=True):
    """Why rows are where they are.

    Attributes:
        name: an exclusion reason, or the text of an error without what differs by recipient.
        rows: how many.
        examples: up to three: masked address, file and line, and detail, as one text each.
    """

    name: str
    rows: int
    examples: Sequence[str]


class OutcomeFigure(Struct, frozen=True):
    """Recipients with one outcome."""

    outcome: str
    recipients: int
    reasons: Sequence["Cause"]


class TimeLine(Struct, frozen=True):
    """Counts by step of time, from the first to the last: lists of the same length.

    Attributes:
        step_seconds: of one step: 1, 10, 60, 600, 3600 or whole days, so that there are at most 500 steps.
        at: beginning of each step, in seconds since the epoch.
        sent: recipients sent.
        failed: recipients refused or failed.
        throttled: throttle replies.
        limit: permitted rate in recipients a second; None where it is not known.
    """

    step_seconds: int
    at: Sequence[int]
    sent: Sequence[int]
    failed: Sequence[int]
    throttled: Sequence[int]
    limit: Sequence[float | None]


class Moment(Struct, frozen=True):
    """What happened to a run, and when."""

    at: datetime
    kind: Literal["started", "paused", "resumed", "guard", "canary", "decision", "finished", "cancelled"]
    text: str


class Diagnosis(Struct, frozen=True):
    """Bounces with one diagnosis.

    Attributes:
        kind: `hard` or `soft`.
        code: enhanced status code or reply code, such as `5.1.1`; empty where unknown.
        text: what the receiver said, without what differs by recipient.
        recipients: how many.
        receivers: receiver domain -> recipients, the five largest.
    """

    kind: Literal["hard", "soft"]
    code: str
    text: str
    recipients: int
    receivers: Mapping[str, int]


class Opens(Struct, frozen=True):
    """Recipients whose message was opened, each counted once.

    Attributes:
        people: at least one open that no rule takes for a machine's; `opened_by_people` of `Figures.feedback`.
        machines: only opens by machines: name of the first machine, such as `Apple Mail Privacy Protection` ->
            recipients. With `people` they add up to `opened` of `Figures.feedback`.
    """

    people: int
    machines: Mapping[str, int]


class Link(Struct, frozen=True):
    """A link of the message.

    Attributes:
        position: 1 for the first link of the HTML part; None where it is unknown.
        url: the link as the template has it; of a link that no template has, the host alone.
        recipients: people who clicked it, each counted once.
        clicks: all clicks by people.
        machine_clicks: all clicks by machines, such as security scanners.
    """

    position: int | None
    url: str
    recipients: int
    clicks: int
    machine_clicks: int


class Unsubscribes(Struct, frozen=True):
    """Recipients who opted out because of this run, each counted once, under the way that it used first.

    Attributes:
        total: all of them: `unsubscribed` of `Figures.feedback`.
        ses: SES reported it, and no link of mailrun's was used.
        one_click: the mail program used the link (RFC 8058).
        page: the button of the link's page.
        mailto: a mail to the unsubscribe address.
    """

    total: int
    ses: int
    one_click: int
    page: int
    mailto: int


class Breakdown(Struct, frozen=True):
    """The run by one property of recipients.

    Attributes:
        by: `receiver`, `locale`, `variant` or `hour`; `hour` is the hour of sending, ISO 8601 in UTC.
        rows: the largest first (hours in order); at most 50, the last for all others with an empty `value`. Recipients
            that were not handed over have no hour, and are in no row of `hour`.
    """

    by: Literal["receiver", "locale", "variant", "hour"]
    rows: Sequence["BreakdownRow"]


class BreakdownRow(Struct, frozen=True):
    """Recipients with one value of a property, and the events of them, as in `Figures.feedback`."""

    value: str
    recipients: int
    sent: int
    feedback: Mapping[str, int]


class EarlierRun(Struct, frozen=True):
    """An earlier run of the campaign, to compare with."""

    run: str
    started_at: datetime | None
    accounts: Mapping[str, int]
    feedback: Mapping[str, int]


class Advice(Struct, frozen=True):
    """A recommendation.

    Attributes:
        level: `act` where something is wrong, `improve` where something could be better.
        do: what to do.
        because: the reason, with the figure.
        command: a command that does or shows it; empty where there is none.
    """

    level: Literal["act", "improve"]
    do: str
    because: str
    command: str


class DmarcFigure(Struct, frozen=True):
    """What DMARC reports say of mail that SES sent in the name of the sender's domain.

    Attributes:
        domain: of From.
        messages: how many.
        failed: how many of them failed DMARC.
    """

    domain: str
    messages: int
    failed: int
