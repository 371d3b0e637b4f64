"""What happened to one address, in order of time, and what to do. Pure."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from engine.ledger.journal import Outcome
from engine.ledger.suppressed.opt_outs import OptOutMethod
from engine.ledger.suppressed.reasons import Reason, classify_reason
from engine.ledger.suppressed.suppression_scope import Scope
from engine.ledger.suppressed.suppressions import Suppression
from engine.run.lookup.event_search import AddressEvent, EventSearch
from engine.run.lookup.look_up import AddressMessage, AddressRecord


class StoryItem(Struct, frozen=True, kw_only=True):
    """One thing that happened.

    Attributes:
        at: when.
        what: in a few words.
        tone: colour: good, bad, warn or empty.
        run: CAMPAIGN/KEY; empty where it concerns no run.
        details: name -> text, written by others: by receivers, by SES or in the audience.
        link: that was clicked; empty for none.
    """

    at: datetime
    what: str
    tone: str = ""
    run: str = ""
    details: Sequence[tuple[str, str]] = ()
    link: str = ""


class AddressAdvice(Struct, frozen=True):
    """What to do: a sentence, and a command that does it; empty where there is none."""

    text: str
    command: str = ""


_EVENTS = {
    "Send": ("Accepted by SES", ""),
    "Delivery": ("Delivered", "good"),
    "Complaint": ("Marked as spam", "bad"),
    "DeliveryDelay": ("Delayed: SES still tries", "warn"),
    "Subscription": ("Unsubscribed through SES", "warn"),
    "Reject": ("Rejected by SES after it was accepted", "bad"),
    "RenderingFailure": ("Not rendered by SES", "bad"),
}
_OUTCOMES = {
    Outcome.SENT: ("Sent", ""),
    Outcome.REFUSED: ("Refused by SES", "bad"),
    Outcome.FAILED: ("Failed", "bad"),
    Outcome.IN_DOUBT: ("In doubt: handed over, and no answer is known", "warn"),
}
_OPT_OUTS = {
    OptOutMethod.ONE_CLICK: "with one click in the mail program",
    OptOutMethod.PAGE: "on the page of the unsubscribe link",
    OptOutMethod.MAILTO: "with a mail",
}
_BY_THE_PERSON = (Reason.COMPLAINT, Reason.UNSUBSCRIBE)


def make_story(record: AddressRecord, events: EventSearch | None) -> list[StoryItem]:
    """Put everything that is known in order of time, the newest first."""
    items = [item for message in record.messages for item in _tell_message(message)]
    items += [
        StoryItem(at=one.at, what="Sent, or in doubt; the files of the run were pruned", run=one.run)
        for one in record.pruned
    ]
    items += [_tell_entry(entry) for entry in record.entries]
    items += [
        StoryItem(at=one.at, what="Transient bounce that a rule still counts", tone="warn", run=one.run)
        for one in record.soft_bounces
    ]
    items += [_tell_event(event) for event in (events.events if events else ())]
    return [item for _, item in sorted(enumerate(items), key=lambda pair: (pair[1].at, pair[0]), reverse=True)]


def _tell_message(message: AddressMessage) -> Iterator[StoryItem]:
    run, row, outcome = message.run, message.row, message.outcome
    place = (("Row", f"{row.file}, line {row.line}" if row.file else f"row {row.row}"),)
    if row.reason is not None:
        why = [("Why", row.detail)] if row.detail else []
        what = f"Excluded: {row.reason.replace('_', ' ')}"
        yield StoryItem(at=run.created_at, what=what, tone="warn", run=run.name, details=[*why, *place])
        return
    yield StoryItem(at=run.created_at, what="Planned as a recipient", run=run.name, details=place)
    if outcome is not None and outcome.opt_out is not None:
        how = _OPT_OUTS[outcome.opt_out.method]
        yield StoryItem(at=outcome.opt_out.at, what=f"Unsubscribed {how}", tone="warn", run=run.name)
    if outcome is None or outcome.outcome not in _OUTCOMES:
        return
    what, tone = _OUTCOMES[outcome.outcome]
    details = tuple(
        (name, text)
        for name, text in (
            ("Message ID", outcome.message_id),
            ("Error", outcome.error),
            ("Attempts", str(outcome.attempts) if outcome.attempts > 1 else None),
        )
        if text
    )
    at = outcome.at or run.started_at or run.created_at + timedelta(microseconds=1)
    yield StoryItem(at=at, what=what, tone=tone, run=run.name, details=details)


def _tell_entry(entry: Suppression) -> StoryItem:
    blocked = f"the topic {entry.topic}" if entry.scope is Scope.TOPIC else "all mail"
    of = f", by {entry.key}" if entry.is_of_a_domain else ""
    what = f"Suppressed for {blocked}{of}: {entry.reason.replace('_', ' ')}"
    return StoryItem(at=entry.at, what=what, tone="bad", details=(("Source", entry.source),))


def _tell_event(event: AddressEvent) -> StoryItem:
    what, tone = describe_event(event)
    pairs = (
        ("Diagnosis", " ".join(text for text in (event.status, event.detail) if text)),
        ("Kind", event.subtype),
        ("Topics", event.topics),
        ("Mail was sent to", event.sent_to),
        ("Message ID", event.message_id),
    )
    details = tuple((name, text) for name, text in pairs if text)
    return StoryItem(at=event.at, what=what, tone=tone, run=event.run or "", details=details, link=event.link or "")


def describe_event(event: AddressEvent) -> tuple[str, str]:
    """Describe an event in a few words, and give its tone."""
    by = f"by a machine: {event.agent}" if event.agent else "by the person, or by what is not known as a machine"
    if event.kind == "Open":
        return f"Opened {by}", ""
    if event.kind == "Click":
        return f"Clicked {by}", ""
    if event.kind == "Bounce":
        is_hard = (event.subtype or "").startswith("Permanent")
        return ("Bounced permanently", "bad") if is_hard else ("Bounced", "warn")
    return _EVENTS.get(event.kind, (f"Event {event.kind}", ""))


def list_advice(record: AddressRecord) -> list[AddressAdvice]:
    """List what to do about an address."""
    advice = list(_advise_on_entries(record))
    doubtful = {one.run.name for one in record.messages if one.outcome and one.outcome.outcome is Outcome.IN_DOUBT}
    for run in sorted(doubtful):
        text = f"Nobody knows whether {run} reached this address. Read the events, or settle the recipients in doubt."
        advice.append(AddressAdvice(text, f"mailrun resolve {shlex.quote(run)}"))
    if record.is_forgotten:
        advice.append(AddressAdvice("The address was erased. It stays suppressed, and that cannot be undone."))
    advice += [
        AddressAdvice(f"The files of {run} could not be read.", f"mailrun audit {shlex.quote(run)}")
        for run in record.unread
    ]
    if not advice and not record.is_domain and not record.messages and not record.pruned:
        advice.append(AddressAdvice("No run has this address. Check its spelling, and the audience of the campaign."))
    return advice


def _advise_on_entries(record: AddressRecord) -> Iterator[AddressAdvice]:
    for entry in record.entries:
        written = entry.key if entry.is_of_a_domain else entry.address or entry.key
        command = f"mailrun suppress remove {shlex.quote(written)}"
        if entry.scope is Scope.TOPIC:
            command += f" --topic {shlex.quote(entry.topic)}"
        reason = classify_reason(entry.reason)
        if reason in _BY_THE_PERSON:
            text = "The person asked for this. Allow mail again only with new consent."
            yield AddressAdvice(text, f"{command} --yes")
        elif entry.is_of_a_domain:
            yield AddressAdvice(
                f"Mail to every address at {entry.key.removeprefix('@')} is blocked. To allow it:", command
            )
        elif reason in (Reason.BOUNCE, Reason.SOFT_BOUNCES, Reason.PROVIDER):
            text = "The mailbox did not take mail. If it works again, allow mail, on the list of the SES account, too."
            yield AddressAdvice(text, f"{command} --account")
        else:
            yield AddressAdvice("To allow mail again:", command)
