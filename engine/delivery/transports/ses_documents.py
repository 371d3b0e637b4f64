"""The documents of SendEmail and SendBulkEmail, as orjson writes them. Pure: messages in, bytes out.

The JSON values equal those that botocore's serializer writes for the same parameters; tests compare both. orjson
writes them shorter: without blanks, and UTF-8 instead of escapes.
"""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import orjson

from engine.campaign.message import Attachment, Envelope, Message
from engine.campaign.part_writers import make_json_writer, make_nested_json_writer

_CHARSET = b'","Charset":"UTF-8"}'  # SES's default is 7-bit ASCII

# https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html: "the whole input JSON" of a bulk call with
# an inline template has 1 MB at most. SESv2 EmailTemplateData: 262,144 characters. 50 destinations a call.
LARGEST_BULK_BYTES = 1_000_000
LONGEST_DATA = 262_144
MOST_ENTRIES = 50
_MOST_PAIRS = 1000  # headers and tags that are kept

# Flat names of letters only: inline templates support nothing else (aws-sdk-js-v3#6657).
_VARIABLES = {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"}
_PARTS = {
    (True, True): ("Subject", "Html", "Text"),
    (True, False): ("Subject", "Html"),
    (False, True): ("Subject", "Text"),
    (False, False): ("Subject",),
}


class Documents:
    """Writes the documents of one campaign's sends.

    A document is a join of bytes: what is the same for every message is written once, and a message's parts are written
    by a PartWriter.

    Args:
        envelope: what is the same for every message.

    Attributes:
        single: writes the parts of messages in calls of their own.
        bulk: writes the parts of messages in bulk calls.
    """

    def __init__(self, envelope: Envelope) -> None:
        self.single, self.bulk = make_json_writer(), make_nested_json_writer()
        same: dict[str, Any] = {"FromEmailAddress": envelope.sender}
        if envelope.reply_to:
            same["ReplyToAddresses"] = list(envelope.reply_to)
        if envelope.configuration_set:
            same["ConfigurationSetName"] = envelope.configuration_set
        self._same = same
        of_single, managed = dict(same), envelope.list_management
        if managed is not None:
            topic = {"TopicName": managed.topic} if managed.topic else {}
            of_single["ListManagementOptions"] = {"ContactListName": managed.contact_list, **topic}
        self._single_head = orjson.dumps(of_single)[:-1] + b',"Destination":{"ToAddresses":['
        self._attachments = orjson.Fragment(
            orjson.dumps([_write_attachment(attachment) for attachment in envelope.attachments])
        )
        self.bulk_obstacle = "" if managed is None else "a bulk call does not carry SES's subscription management"
        self._has_attachments = bool(envelope.attachments)
        attached = orjson.dumps({"Attachments": self._attachments})[1:-1]
        self._single_end = b"," + attached + b"}}}" if self._has_attachments else b"}}}"
        self._pairs = _PairWriter()
        self._bulk_heads: dict[tuple[str, ...], bytes] = {}
        self.bulk_overhead = len(self.write_bulk_head(tuple(_VARIABLES))) + 2

    def write_single(self, message: Message) -> bytes:
        """Write SendEmail's body, with Simple content."""
        text, html = message.text_part, message.html_part
        body = []
        if text is not None:
            body.append(b'"Text":{"Data":"' + text.write(self.single) + _CHARSET)
        if html is not None:
            body.append(b'"Html":{"Data":"' + html.write(self.single) + _CHARSET)
        headers = b',"Headers":[' + self._pairs.write(message.headers) + b"]" if message.headers else b""
        return b"".join(
            (
                self._single_head,
                orjson.dumps(message.address),
                b']},"EmailTags":[',
                self._pairs.write(message.tags),
                b'],"Content":{"Simple":{"Subject":{"Data":"',
                self.single.write_text(message.subject),
                _CHARSET,
                b',"Body":{',
                b",".join(body),
                b"}",
                headers,
                self._single_end,
            )
        )

    def write_entry(self, message: Message) -> bytes:
        """Write one of BulkEmailEntries: the rendered parts as values of the inline template.

        They are a JSON document that is a string in another one: its own quotes are escaped, too.
        """
        html, text = message.html_part, message.text_part
        return b"".join(
            (
                b'{"Destination":{"ToAddresses":[',
                orjson.dumps(message.address),
                b']},"ReplacementTags":[',
                self._pairs.write(message.tags),
                b'],"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":"{\\"subject\\":\\"',
                self.bulk.write_text(message.subject),
                b"" if html is None else b'\\",\\"html\\":\\"' + html.write(self.bulk),
                b"" if text is None else b'\\",\\"text\\":\\"' + text.write(self.bulk),
                b'\\"}"}},"ReplacementHeaders":[',
                self._pairs.write(message.headers),
                b"]}",
            )
        )

    def fits_bulk(self, message: Message) -> bool:
        """Return whether SES surely inserts a message's parts into the inline template as they are.

        Values are data, and no Handlebars reads them again; for inline templates SES does not say so. A message with
        `{{` in it therefore goes by SendEmail.
        """
        if "{{" in message.subject or any("{{" in value for _, value in message.headers):
            return False
        parts = (message.html_part, message.text_part)
        written = [part.write(self.bulk) for part in parts if part is not None]
        return not self.bulk.may_have_braces or not any(b"{{" in part for part in written)

    def write_bulk(self, entries: Iterable[bytes], message: Message) -> bytes:
        """Write SendBulkEmail's body.

        Args:
            entries: from write_entry, one or more.
            message: any of the messages; all have the same parts.
        """
        written = list(entries)
        # Then one join copies the entries once; `head + entries + end` would copy them three times.
        written[0] = self.write_bulk_head(parts_of(message)) + written[0]
        written[-1] += b"]}"
        return b",".join(written)

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
    return _PARTS[message.html_part is not None, message.text_part is not None]


def measure_data(message: Message) -> int:
    """Return how long SES finds the values of a message's entry: the length in bytes of their JSON document."""
    values = {"subject": message.subject, "html": message.html, "text": message.text}
    return len(orjson.dumps({name: value for name, value in values.items() if value is not None}))


class _PairWriter(dict[tuple[str, str], bytes]):
    """Writes headers and tags as names and values; it has those that it has written, up to a limit."""

    def __missing__(self, pair: tuple[str, str]) -> bytes:
        if len(self) >= _MOST_PAIRS:
            self.clear()
        name, value = pair
        written = self[pair] = orjson.dumps({"Name": name, "Value": value})
        return written

    def write(self, pairs: Iterable[tuple[str, str]]) -> bytes:
        return b",".join(map(self.__getitem__, pairs))


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
