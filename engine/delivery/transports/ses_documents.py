"""The documents of SendEmail and SendBulkEmail, as orjson writes them. Pure: messages in, bytes out.

The JSON values equal those that botocore's serializer writes for the same parameters; tests compare both. orjson
writes them shorter: without blanks, and UTF-8 instead of escapes.
"""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import orjson

from engine.campaign.message import Attachment, Envelope, Message

_CHARSET = "UTF-8"  # SES's default is 7-bit ASCII

# https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html: "the whole input JSON" of a bulk call with
# an inline template has 1 MB at most. SESv2 EmailTemplateData: 262,144 characters. 50 destinations a call.
LARGEST_BULK_BYTES = 1_000_000
LONGEST_DATA = 262_144
MOST_ENTRIES = 50

# Flat names of letters only: inline templates support nothing else (aws-sdk-js-v3#6657).
_VARIABLES = {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"}


class Documents:
    """Writes the documents of one campaign's sends.

    Args:
        envelope: what is the same for every message; written once.
    """

    def __init__(self, envelope: Envelope) -> None:
        same: dict[str, Any] = {"FromEmailAddress": envelope.sender}
        if envelope.reply_to:
            same["ReplyToAddresses"] = list(envelope.reply_to)
        if envelope.configuration_set:
            same["ConfigurationSetName"] = envelope.configuration_set
        self._same = same
        self._single: dict[str, Any] = dict(same)
        managed = envelope.list_management
        if managed is not None:
            topic = {"TopicName": managed.topic} if managed.topic else {}
            self._single["ListManagementOptions"] = {"ContactListName": managed.contact_list, **topic}
        self._attachments = orjson.Fragment(
            orjson.dumps([_write_attachment(attachment) for attachment in envelope.attachments])
        )
        self.bulk_obstacle = "" if managed is None else "a bulk call does not carry SES's subscription management"
        self._has_attachments = bool(envelope.attachments)
        self._bulk_heads: dict[tuple[str, ...], bytes] = {}
        self.bulk_overhead = len(self.write_bulk_head(tuple(_VARIABLES))) + 2

    def write_single(self, message: Message) -> bytes:
        """Write SendEmail's body, with Simple content."""
        body: dict[str, Any] = {}
        if message.text is not None:
            body["Text"] = {"Data": message.text, "Charset": _CHARSET}
        if message.html is not None:
            body["Html"] = {"Data": message.html, "Charset": _CHARSET}
        simple: dict[str, Any] = {"Subject": {"Data": message.subject, "Charset": _CHARSET}, "Body": body}
        if message.headers:
            simple["Headers"] = _write_pairs(message.headers)
        if self._has_attachments:
            simple["Attachments"] = self._attachments
        return orjson.dumps(
            {
                **self._single,
                "Destination": {"ToAddresses": [message.address]},
                "EmailTags": _write_pairs(message.tags),
                "Content": {"Simple": simple},
            }
        )

    def write_entry(self, message: Message, data: bytes) -> bytes:
        """Write one of BulkEmailEntries: the rendered parts as values of the inline template.

        Args:
            message: whose entry.
            data: from write_data.
        """
        escaped = data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')  # a JSON text has no other characters to escape
        return b"".join(
            (
                b'{"Destination":{"ToAddresses":[',
                orjson.dumps(message.address),
                b']},"ReplacementTags":',
                orjson.dumps(_write_pairs(message.tags)),
                b',"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":"',
                escaped,
                b'"}},"ReplacementHeaders":',
                orjson.dumps(_write_pairs(message.headers)),
                b"}",
            )
        )

    def write_bulk(self, entries: Iterable[bytes], message: Message) -> bytes:
        """Write SendBulkEmail's body.

        Args:
            entries: from write_entry.
            message: any of the messages; all have the same parts.
        """
        return self.write_bulk_head(parts_of(message)) + b",".join(entries) + b"]}"

    def write_bulk_head(self, parts: tuple[str, ...]) -> bytes:
        """Write the beginning of SendBulkEmail's body, up to the first entry."""
        head = self._bulk_heads.get(parts)
        if head is None:
            template: dict[str, Any] = {
                "TemplateContent": {part: _VARIABLES[part] for part in parts},
                "TemplateData": orjson.dumps({part.lower(): "" for part in parts}).decode(),
            }
            if self._has_attachments:
                template["Attachments"] = self._attachments
            begun = orjson.dumps({**self._same, "DefaultContent": {"Template": template}, "BulkEmailEntries": []})
            head = self._bulk_heads[parts] = begun.removesuffix(b"]}")
        return head


def parts_of(message: Message) -> tuple[str, ...]:
    """Name the parts that a message has, as TemplateContent's members."""
    html = () if message.html is None else ("Html",)
    text = () if message.text is None else ("Text",)
    return ("Subject", *html, *text)


def write_data(message: Message) -> bytes:
    """Write the values of a bulk entry: a JSON document that is embedded as text in another one."""
    values = {"subject": message.subject, "html": message.html, "text": message.text}
    return orjson.dumps({name: value for name, value in values.items() if value is not None})


def fits_bulk(data: bytes) -> bool:
    """Return whether SES surely inserts a message's parts as they are.

    Values are data, and no Handlebars reads them again; for inline templates SES does not say so. A message with `{{`
    in it therefore goes by SendEmail.

    Args:
        data: from write_data, which adds no `{{`.
    """
    at = data.find(b"{", 1)
    while at >= 0:  # a search for one byte is several times faster than one for two
        if data[at + 1 : at + 2] == b"{":
            return False
        at = data.find(b"{", at + 1)
    return True


def _write_pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs]


def _write_attachment(attachment: Attachment) -> dict[str, str]:
    written = {
        "FileName": attachment.name,
        "ContentType": attachment.content_type,
        "ContentTransferEncoding": "BASE64",
        "RawContent": b64encode(attachment.content).decode(),
    }
    if attachment.content_id is not None:
        written |= {"ContentDisposition": "INLINE", "ContentId": attachment.content_id}
    return written
