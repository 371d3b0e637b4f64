"""The metrics: names, types, labels and meaning. What is served, pushed and documented is made from this list.

Names follow Prometheus: base units, `_total` for counters, `_timestamp_seconds` for times. Labels are few and have few
values: no run keys, which grow with time, and no addresses.
"""

from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]

RECEIVERS = 20  # with values of their own; all others together are `other`
OTHER = "other"
# Seconds of a call to SES, from a local server to a timeout; and of a commit.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metric(Struct, frozen=True):
    """One metric.

    Attributes:
        name: as it is served.
        kind: of its values.
        unit: of the values, for people.
        labels: their names.
        meaning: one sentence.
        source: which processes have it: `ledger` for all of them, or the command.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str
    source: str = "ledger"


_RUN = ("campaign", "sandbox")
_SEND = "launch, work"

BUILD_INFO = Metric("mailrun_build_info", "gauge", "", ("version",), "Always 1; the version of mailrun.", "all")
LEDGER_UP = Metric("mailrun_ledger_up", "gauge", "", (), "1 if the ledger could be read, else 0.", "all")
LAST_SUCCESS = Metric(
    "mailrun_campaign_last_success_timestamp_seconds",
    "gauge",
    "Unix time",
    _RUN,
    "When a run of the campaign finished last.",
)
RUN_STATE = Metric("mailrun_run_state", "gauge", "", (*_RUN, "state"), "1 for the state of the newest run, else 0.")
RUN_RECIPIENTS = Metric(
    "mailrun_run_recipients",
    "gauge",
    "recipients",
    (*_RUN, "outcome"),
    "Recipients of the newest run by outcome; `unsent` have none yet.",
)
IN_FLIGHT = Metric(
    "mailrun_run_in_flight_recipients",
    "gauge",
    "recipients",
    _RUN,
    "Recipients of the newest run whose call a live worker expects an answer for.",
)
RUN_STARTED = Metric(
    "mailrun_run_start_timestamp_seconds",
    "gauge",
    "Unix time",
    _RUN,
    "When the newest run began to be sent, or to wait for its window.",
)
LAST_COMMIT = Metric(
    "mailrun_run_last_commit_timestamp_seconds",
    "gauge",
    "Unix time",
    _RUN,
    "When a worker of the newest run recorded something last: its age is the lag of the journal.",
)
LAST_WAIT = Metric(
    "mailrun_run_last_wait_timestamp_seconds",
    "gauge",
    "Unix time",
    _RUN,
    "Last heartbeat of the workers of the newest run while all of them wait: for the window, a quota, the canary.",
)
OLDEST_OPEN = Metric(
    "mailrun_run_oldest_open_lease_timestamp_seconds",
    "gauge",
    "Unix time",
    _RUN,
    "First record of the oldest open lease of the newest run: its age is the lag of the leases.",
)
LEASES = Metric(
    "mailrun_run_leases", "gauge", "leases", (*_RUN, "state"), "Leases of the newest run: `settled`, `open` or `free`."
)
WORKERS = Metric("mailrun_run_workers", "gauge", "workers", _RUN, "Live workers of the newest run, on all machines.")
GUARD = Metric(
    "mailrun_run_guard_level",
    "gauge",
    "",
    _RUN,
    "Guard of the newest run: 0 nothing found, 1 warned (only in the process that warned), 2 paused the run.",
)
RUN_EVENTS = Metric(
    "mailrun_run_event_recipients",
    "gauge",
    "recipients",
    (*_RUN, "event"),
    "Recipients of the newest run by kind of event; `proven` is all that SES certainly accepted.",
)
RECEIVER = Metric(
    "mailrun_receiver_recipients",
    "gauge",
    "recipients",
    ("sandbox", "receiver", "event"),
    "Recipients by receiver domain and kind of event, of runs sent in the last 7 days; at most 20 domains and `other`.",
)
SENT = Metric(
    "mailrun_recipients_total",
    "counter",
    "recipients",
    (*_RUN, "outcome"),
    "Recipients that got an outcome from this command, all its processes together.",
    _SEND,
)
THROTTLES = Metric("mailrun_throttles_total", "counter", "replies", _RUN, "Throttle replies to this command.", _SEND)
CALLS = Metric(
    "mailrun_call_duration_seconds",
    "histogram",
    "seconds",
    _RUN,
    "Duration of the calls of this command to SES or the SMTP server, each with its record in the journal.",
    _SEND,
)
COMMITS = Metric(
    "mailrun_commit_duration_seconds",
    "histogram",
    "seconds",
    _RUN,
    "Duration of the commits of this command to the journal: no message is handed over before its own.",
    _SEND,
)
RATE_LIMIT = Metric(
    "mailrun_rate_limit_recipients_per_second",
    "gauge",
    "recipients a second",
    _RUN,
    "Rate that this command may send at now, all its processes together.",
    _SEND,
)
CALLS_IN_FLIGHT = Metric("mailrun_calls_in_flight", "gauge", "calls", _RUN, "Calls of this command in flight.", _SEND)
QUOTA_LEFT = Metric(
    "mailrun_quota_left_recipients",
    "gauge",
    "recipients",
    ("region",),
    "Recipients left in the account's 24-hour quota; missing where it is unlimited.",
    _SEND,
)
QUOTA_LIMIT = Metric(
    "mailrun_quota_limit_recipients",
    "gauge",
    "recipients",
    ("region",),
    "The account's 24-hour quota; missing where it is unlimited.",
    _SEND,
)
EVENTS = Metric(
    "mailrun_events_processed_total", "counter", "events", ("event",), "Events processed by kind.", "events pull"
)
NEWEST_EVENT = Metric(
    "mailrun_events_newest_timestamp_seconds",
    "gauge",
    "Unix time",
    (),
    "When the newest processed event happened.",
    "events pull",
)
EVENT_LAG = Metric(
    "mailrun_events_lag_seconds",
    "gauge",
    "seconds",
    (),
    "How long after it happened the newest event of the last batch was processed: the lag of the events.",
    "events pull",
)
MAILS = Metric(
    "mailrun_mails_processed_total", "counter", "mails", (), "Messages read from the queue of mail.", "inbound pull"
)
QUEUE = Metric(
    "mailrun_queue_messages",
    "gauge",
    "messages",
    ("queue",),
    "Messages in the queue, as SQS estimates them; `queue` is `events` or `inbound`. Missing where SQS does not say.",
    "events pull, inbound pull",
)
COMMAND_START = Metric(
    "mailrun_command_start_timestamp_seconds", "gauge", "Unix time", ("command",), "When this command began.", "all"
)
COMMAND_END = Metric(
    "mailrun_command_end_timestamp_seconds",
    "gauge",
    "Unix time",
    ("command",),
    "When this command ended; missing while it runs, and after a crash.",
    "all",
)

METRICS: tuple[Metric, ...] = (
    *(BUILD_INFO, LEDGER_UP, COMMAND_START, COMMAND_END),
    *(LAST_SUCCESS, RUN_STATE, RUN_RECIPIENTS, IN_FLIGHT, RUN_STARTED, LAST_COMMIT, LAST_WAIT),
    *(OLDEST_OPEN, LEASES, WORKERS),
    *(GUARD, RUN_EVENTS, RECEIVER),
    *(SENT, THROTTLES, CALLS, COMMITS, RATE_LIMIT, CALLS_IN_FLIGHT, QUOTA_LEFT, QUOTA_LIMIT),
    *(EVENTS, NEWEST_EVENT, EVENT_LAG, MAILS, QUEUE),
)
