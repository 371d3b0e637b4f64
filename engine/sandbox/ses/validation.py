"""Requests to send, checked as SES checks them beyond what botocore does, and turned into drafts.

Source: SES API v2 reference (shapes, lengths, patterns) and developer guide ("Service quotas", "Amazon SES header
fields", "Working with email attachments").
"""

import re
from typing import Any

from engine.sandbox.http.replies import bad_request, not_found
from engine.sandbox.reach.reach import read_reach
from engine.sandbox.ses.addresses import read_address
from engine.sandbox.ses.contents import MAX_INLINE_REQUEST_BYTES, read_simple, read_template, render_template
from engine.sandbox.ses.draft import Draft, DraftContent
from engine.sandbox.ses.members import items, optional, required
from engine.sandbox.ses.raw import read_raw

MAX_RECIPIENTS = 50
MAX_BULK_ENTRIES = 50
MAX_TAG_CHARACTERS = 256

_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_FEEDBACK_TAGS = frozenset({"ses:feedback-id-a", "ses:feedback-id-b"})
_KINDS = ("Simple", "Raw", "Template")


def read_send_email(request: dict[str, Any], *, request_bytes: int) -> Draft:
    """Return the message of a SendEmail request.

    Args:
        request: the JSON document.
        request_bytes: the length of the body that it came in.

    Raises:
        ApiError: BadRequestException or NotFoundException.
    """
    content = required(request, "Content", dict)
    kinds = [kind for kind in _KINDS if content.get(kind) is not None]
    if len(kinds) != 1:
        raise bad_request("Content must contain exactly one of Simple, Raw and Template.")
    _check_lists(request)
    tags = read_tags(request, "EmailTags")
    if kinds == ["Raw"]:
        return _read_raw_email(request, content, tags)
    sender, sender_address = _read_sender(request)
    return Draft(
        operation="SendEmail",
        sender=sender,
        sender_address=sender_address,
        recipients=read_destination(request),
        reply_to=_read_addresses(request, "ReplyToAddresses"),
        tags=tags,
        configuration_set=optional(request, "ConfigurationSetName", str),
        content=_read_content(content, kinds[0], request_bytes),
        reach=read_reach(request),
    )


def read_bulk_envelope(request: dict[str, Any], *, request_bytes: int) -> Draft:
    """Return what all messages of a SendBulkEmail request have in common: a draft without recipients and content.

    Raises:
        ApiError: BadRequestException, for an error of the whole call.
    """
    entries = items(request, "BulkEmailEntries", dict)
    if not 1 <= len(entries) <= MAX_BULK_ENTRIES:
        raise bad_request(f"BulkEmailEntries must have 1 to {MAX_BULK_ENTRIES} entries.")
    if request_bytes > MAX_INLINE_REQUEST_BYTES:
        raise bad_request(f"The request is longer than {MAX_INLINE_REQUEST_BYTES} bytes, with a template in it.")
    sender, sender_address = _read_sender(request)
    return Draft(
        operation="SendBulkEmail",
        sender=sender,
        sender_address=sender_address,
        recipients=[],
        reply_to=_read_addresses(request, "ReplyToAddresses"),
        tags=read_tags(request, "DefaultEmailTags"),
        configuration_set=optional(request, "ConfigurationSetName", str),
        content=DraftContent(),
        reach=read_reach(request),
    )


def read_destination(source: dict[str, Any]) -> list[str]:
    """Return the addresses of To, Cc and Bcc.

    Raises:
        ApiError: BadRequestException for none, for too many, or for a bad one.
    """
    destination = optional(source, "Destination", dict) or {}
    recipients = [
        read_address(mailbox)
        for member in ("ToAddresses", "CcAddresses", "BccAddresses")
        if destination.get(member)
        for mailbox in items(destination, member, str, path="Destination.")
    ]
    if not recipients:
        raise bad_request("Destination must have at least one address.")
    _check_recipient_count(recipients)
    return recipients


def read_tags(source: dict[str, Any], member: str) -> dict[str, str]:
    """Return message tags by name.

    Raises:
        ApiError: BadRequestException for a name or value of other characters or length than SES accepts.
    """
    tags = {}
    for tag in items(source, member, dict):
        name = required(tag, "Name", str, path=f"{member}.")
        value = required(tag, "Value", str, path=f"{member}.")
        for part, text in (("Name", name), ("Value", value)):
            if _TAG.fullmatch(text) is None and not (part == "Name" and text in _FEEDBACK_TAGS):
                raise bad_request(
                    f"{member}.{part} <{text[:MAX_TAG_CHARACTERS]}> must be 1 to {MAX_TAG_CHARACTERS} characters of "
                    "A-Z, a-z, 0-9, _ and -."
                )
        tags[name] = value
    return tags


def _read_content(content: dict[str, Any], kind: str, request_bytes: int) -> DraftContent:
    if kind == "Simple":
        return read_simple(required(content, "Simple", dict, path="Content."))
    template = read_template(required(content, "Template", dict, path="Content."), path="Content.Template.")
    if request_bytes > MAX_INLINE_REQUEST_BYTES:
        raise bad_request(f"The request is longer than {MAX_INLINE_REQUEST_BYTES} bytes, with a template in it.")
    return render_template(template)


def _read_raw_email(request: dict[str, Any], content: dict[str, Any], tags: dict[str, str]) -> Draft:
    """Return a Raw message; sender, recipients, tags and configuration set come from its headers where not given."""
    raw = read_raw(required(content, "Raw", dict, path="Content."))
    sender = optional(request, "FromEmailAddress", str) or raw.sender
    if not sender:
        raise bad_request("Missing required header 'From'.")
    recipients = (
        read_destination(request) if request.get("Destination") else [read_address(to) for to in raw.recipients]
    )
    if not recipients:
        raise bad_request("Missing required header 'To'.")
    _check_recipient_count(recipients)
    return Draft(
        operation="SendEmail",
        sender=sender,
        sender_address=read_address(sender),
        recipients=recipients,
        reply_to=_read_addresses(request, "ReplyToAddresses"),
        tags=tags or raw.tags,
        configuration_set=optional(request, "ConfigurationSetName", str) or raw.configuration_set,
        content=raw.content,
        reach=read_reach(request, tenant=raw.tenant),
    )


def _read_sender(request: dict[str, Any]) -> tuple[str, str]:
    """Return the From as given, and the address in it."""
    sender = optional(request, "FromEmailAddress", str)
    if not sender:
        raise bad_request("FromEmailAddress must not be empty.")
    forward = optional(request, "FeedbackForwardingEmailAddress", str)
    if forward is not None:
        read_address(forward)
    return sender, read_address(sender)


def _read_addresses(request: dict[str, Any], member: str) -> list[str]:
    """Return a list of mailboxes, each checked, as given."""
    mailboxes = items(request, member, str)
    for mailbox in mailboxes:
        read_address(mailbox)
    return mailboxes


def _check_recipient_count(recipients: list[str]) -> None:
    if len(recipients) > MAX_RECIPIENTS:
        raise bad_request(f"Recipient count exceeds {MAX_RECIPIENTS}.")


def _check_lists(request: dict[str, Any]) -> None:
    """Refuse list management: this account has no contact list."""
    options = optional(request, "ListManagementOptions", dict)
    if options is not None:
        name = required(options, "ContactListName", str, path="ListManagementOptions.")
        raise not_found(f"List with name: {name} doesn't exist.")
