"""SendEmail and SendBulkEmail: validate, decide, record, answer."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import orjson
from msgspec.structs import replace

from engine.clock import Clock
from engine.sandbox.http.faults import AFTER, BEFORE, SandboxFault, SandboxFaults
from engine.sandbox.http.record import Record, new_message_id
from engine.sandbox.http.replies import ApiError, SandboxReply, message_rejected, result
from engine.sandbox.ses.account import SandboxAccount
from engine.sandbox.ses.contents import Template, read_template, read_template_data, render_template
from engine.sandbox.ses.draft import Draft
from engine.sandbox.ses.headers import read_headers
from engine.sandbox.ses.members import items, optional, required
from engine.sandbox.ses.validation import read_bulk_envelope, read_destination, read_send_email, read_tags

# The status of a bulk entry for the error that the same message would have met alone.
_ENTRY_STATUSES = {
    "TooManyRequestsException": "ACCOUNT_THROTTLED",
    "LimitExceededException": "ACCOUNT_DAILY_QUOTA_EXCEEDED",
    "MessageRejected": "MESSAGE_REJECTED",
    "BadRequestException": "INVALID_PARAMETER",
}
# Errors of a load balancer carry no SES error body.
_BALANCER_PAGE = b"<html>\r\n<head><title>%(text)s</title></head>\r\n<body><h1>%(text)s</h1></body>\r\n</html>\r\n"
_STATUSES = {"internal_error": 500, "bad_gateway": 502, "unavailable": 503, "gateway_timeout": 504}
_STATUS_TEXTS = {502: b"502 Bad Gateway", 503: b"503 Service Unavailable", 504: b"504 Gateway Time-out"}


class SandboxSending:
    """The send operations of an account.

    Args:
        account: decides what is accepted.
        record: keeps what was accepted.
        faults: change the replies.
        clock: the wall clock of the record.
        accepted: called with the recipients of every accepted message.
        checks: further ones of a call, with what its messages have in common, and the region that it is signed for.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, one per part of an account
        self,
        *,
        account: SandboxAccount,
        record: Record,
        faults: SandboxFaults,
        clock: Clock,
        accepted: Callable[[Sequence[str]], None] | None = None,
        checks: Sequence[Callable[[Draft, str], None]] = (),
    ) -> None:
        self._account = account
        self._record = record
        self._faults = faults
        self._clock = clock
        self._accepted = accepted
        self._checks = checks

    def send_email(self, body: bytes, region: str) -> SandboxReply:
        """Answer SendEmail."""
        draft = read_send_email(parse_request(body), request_bytes=len(body))
        fault = self._faults.take(BEFORE, draft.recipients)
        if fault is not None:
            return self._fail_before(fault)
        self._check_may_send(draft, region)
        self._account.check_recipients(draft.recipients, region=region)
        message_id = self._accept(draft, region)
        return self._spoil(result({"MessageId": message_id}), draft.recipients)

    def send_bulk_email(self, body: bytes, region: str) -> SandboxReply:
        """Answer SendBulkEmail: what is wrong with the call is an error, what is wrong with an entry its status."""
        request = parse_request(body)
        envelope = read_bulk_envelope(request, request_bytes=len(body))
        content = required(request, "DefaultContent", dict)
        template = read_template(
            required(content, "Template", dict, path="DefaultContent."), path="DefaultContent.Template."
        )
        entries = items(request, "BulkEmailEntries", dict)
        addresses = [address for entry in entries for address in _addresses_of(entry)]
        fault = self._faults.take(BEFORE, addresses)
        rejected_text = fault.match if fault is not None and fault.kind == "reject" else ""
        if fault is not None and not rejected_text:
            return self._fail_before(fault)
        self._check_may_send(envelope, region)
        self._check_limits()
        read = partial(_read_entry, envelope=envelope, template=template, rejected_text=rejected_text)
        results = [self._send_entry(partial(read, entry), region) for entry in entries]
        return self._spoil(result({"BulkEmailEntryResults": results}), addresses)

    def _send_entry(self, read: Callable[[], Draft], region: str) -> dict[str, str]:
        """Return the result of one bulk entry."""
        try:
            draft = read()
            self._account.check_recipients(draft.recipients, region=region)
            return {"Status": "SUCCESS", "MessageId": self._accept(draft, region)}
        except ApiError as error:
            return {"Status": _ENTRY_STATUSES[error.code], "Error": error.message}

    def _check_may_send(self, draft: Draft, region: str) -> None:
        self._account.check_may_send(draft.sender_address, configuration_set=draft.configuration_set, region=region)
        for check in self._checks:
            check(draft, region)

    def _check_limits(self) -> None:
        """Refuse a whole bulk call when not even its first recipient could be accepted."""
        if not self._account.bucket.has_tokens():
            raise self._account.throttle()

    def _accept(self, draft: Draft, region: str) -> str:
        """Count and record a message; return its id."""
        fate = self._account.take(draft.recipients)
        on_list = self._account.suppression.reasons_of(draft.recipients)
        at = self._clock.now()
        message_id = new_message_id(at)
        draft.outgoing_ip = self._account.choose_outgoing(draft.configuration_set, draft.recipients)
        if draft.content.failure:
            fate = "rendering_failure"
        self._record.append(draft, message_id=message_id, at=at, fate=fate, region=region, on_list=on_list)
        self._account.count_accepted(len(draft.recipients))
        if self._accepted is not None:
            self._accepted(draft.recipients)
        return message_id

    def _fail_before(self, fault: SandboxFault) -> SandboxReply:
        """Return the reply of a fault that applies before anything is accepted."""
        if fault.kind == "throttle":
            raise self._account.throttle()
        if fault.kind == "pause_account":
            self._account.sending_enabled = False
            raise ApiError("SendingPausedException", "Email sending is disabled for this account.")
        if fault.kind == "suspend_account":
            self._account.enforcement_status = "SHUTDOWN"
            raise ApiError("AccountSuspendedException", "Sending is permanently restricted for this account.")
        if fault.kind == "reject":
            raise message_rejected("The message contains invalid content.")
        if fault.kind == "drop_before":
            return SandboxReply(200, b"", fault=fault.kind)
        if fault.kind == "unavailable":
            raise ApiError("ServiceUnavailable", "The service is temporarily unavailable.", status=503)
        return _server_error(fault.kind)

    def _spoil(self, reply: SandboxReply, recipients: Iterable[str]) -> SandboxReply:
        """Return the reply of an accepted call, or what a fault makes of it."""
        fault = self._faults.take(AFTER, recipients)
        if fault is None:
            return reply
        if fault.kind.endswith("_after") and fault.kind.removesuffix("_after") in _STATUSES:
            return _server_error(fault.kind.removesuffix("_after"))
        return replace(reply, fault=fault.kind)


def parse_request(body: bytes) -> dict[str, Any]:
    """Return the JSON structure of a request.

    Raises:
        ApiError: MalformedHttpRequestException.
    """
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise ApiError("MalformedHttpRequestException", "The body of the request is not a JSON object.")
    return document


def _read_entry(entry: dict[str, Any], *, envelope: Draft, template: Template, rejected_text: str) -> Draft:
    """Return the message of a bulk entry.

    Raises:
        ApiError: BadRequestException, or MessageRejected where a recipient contains the text of the fault.
    """
    recipients = read_destination(entry)
    if rejected_text and any(rejected_text in address for address in recipients):
        raise message_rejected("The message contains invalid content.")
    replacement = optional(entry, "ReplacementEmailContent", dict) or {}
    values = optional(replacement, "ReplacementTemplate", dict) or {}
    data = read_template_data(values, "ReplacementTemplateData", path="ReplacementTemplate.")
    headers = read_headers(entry, "ReplacementHeaders", path="")
    return replace(
        envelope,
        recipients=recipients,
        tags={**envelope.tags, **read_tags(entry, "ReplacementTags")},
        content=render_template(template, data=data, headers=headers),
    )


def _addresses_of(entry: dict[str, Any]) -> list[str]:
    """Return the mailboxes of an entry that may yet turn out invalid, for faults to match."""
    destination = entry.get("Destination")
    lists = destination.values() if isinstance(destination, dict) else ()
    return [
        mailbox
        for mailboxes in lists
        if isinstance(mailboxes, list)
        for mailbox in mailboxes
        if isinstance(mailbox, str)
    ]


def _server_error(kind: str) -> SandboxReply:
    """Return a 5xx reply: SES's own 500, or the page of a load balancer."""
    status = _STATUSES[kind]
    if status == 500:
        return ApiError("InternalFailure", "An internal error occurred.", status=500).reply()
    return SandboxReply(status, _BALANCER_PAGE % {b"text": _STATUS_TEXTS[status]})
