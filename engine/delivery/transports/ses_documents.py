"""The documents of SendEmail and SendBulkEmail, as orjson writes them. Pure: messages in, bytes out.

The JSON values equal those that botocore's serializer writes for the same parameters; tests compare both. orjson
writes them shorter: without blanks, and UTF-8 instead of escapes.
"""

import re
from base64 import b64encode
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import orjson

from engine.campaign.message import Attachment, Envelope, Message, Part
from engine.campaign.part_writers import (
    ValueWriter,
    begin_value,
    make_json_writer,
    make_letters,
    make_nested_json_writer,
)
from engine.delivery.transport import CallGroup

_CHARSET = b'","Charset":"UTF-8"}'  # SES's default is 7-bit ASCII

# https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html: "the whole input JSON" of a bulk call with
# an inline template has 1 MB at most. SESv2 EmailTemplateData: 262,144 characters. 50 destinations a call.
LARGEST_BULK_BYTES = 1_000_000
LONGEST_DATA = 262_144
MOST_ENTRIES = 50
# Headers and tags that differ in each message.
_UNIQUE = {name: b'{"Name":"%s","Value":' % name.encode() for name in ("mailrun-row", "List-Unsubscribe")}
_MOST_PAIRS = 1000  # headers and tags that are kept

_MOST_TEMPLATES = 8  # that a worker's calls use at the same time, such as one for each language
_PARTS = {"Html": "html", "Text": "text"}
# Braces and backslashes beside a variable, and two braces anywhere, would change what the template means.
_UNSAFE = re.compile(r"[{}\\]+")


class BulkTemplate(CallGroup, frozen=True, eq=False):
    """The inline template of bulk calls: the text that is the same in all their messages, and variables.

    Attributes:
        head: the beginning of SendBulkEmail's body, up to the first entry.
        constants: the beginning of each entry's data: variables for text that a template cannot have.
        begins: what each entry has before its HTML and its text, where these are whole values.
        is_whole: the parts are whole values.
    """

    head: bytes
    constants: bytes
    begins: tuple[bytes, bytes]
    is_whole: bool


class Documents:
    """Writes the documents of one campaign's sends.

    A document is a join of bytes: what is the same for every message is written once, and a message's parts are written
    by a PartWriter.

    Args:
        envelope: what is the same for every message.

    Attributes:
        single: writes the parts of messages in calls of their own.
        bulk: writes the values of the parts of messages in bulk calls.
    """

    def __init__(self, envelope: Envelope) -> None:
        self.single, self.bulk, self._whole = make_json_writer(), ValueWriter(), make_nested_json_writer()
        same: dict[str, Any] = {"FromEmailAddress": envelope.sender}
        if envelope.reply_to:
            same["ReplyToAddresses"] = list(envelope.reply_to)
        if envelope.configuration_set:
            same["ConfigurationSetName"] = envelope.configuration_set
        if envelope.endpoint_id:
            same["EndpointId"] = envelope.endpoint_id
        if envelope.tenant:
            same["TenantName"] = envelope.tenant
        if tracking := _write_tracking(envelope):
            same["ConfigurationOverrides"] = {"Tracking": tracking}
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
        self._templates: dict[tuple[Hashable, ...], BulkTemplate] = {}
        self._whole_templates: dict[tuple[bool, bool], BulkTemplate] = {}

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

    def choose_template(self, message: Message) -> BulkTemplate:
        """Return the template of the bulk calls that may carry a message.

        Messages whose parts have the same static text share one. There are only some of them: messages beyond that
        share one that has their parts as whole values.
        """
        html, text = message.html_part, message.text_part
        statics = (html and html.statics, text and text.statics, html is None, text is None)
        template = self._templates.get(statics)
        if template is not None:
            return template
        if len(self._templates) < _MOST_TEMPLATES:
            template = self._templates[statics] = self._make_template(html, text, is_whole=False)
            return template
        parts = (html is None, text is None)
        if parts not in self._whole_templates:
            self._whole_templates[parts] = self._make_template(html, text, is_whole=True)
        return self._whole_templates[parts]

    def _make_template(self, html: Part | None, text: Part | None, *, is_whole: bool) -> BulkTemplate:
        content, names, begins = {"Subject": "{{subject}}"}, {"subject": ""}, []
        constants: dict[str, str] = {}  # text -> name of the variable that has it
        for member, part in (("Html", html), ("Text", text)):
            if part is None:
                begins.append(b"")
            elif is_whole or part.statics is None:
                content[member] = f"{{{{{_PARTS[member]}}}}}"
                names[_PARTS[member]] = ""
                begins.append(begin_value(_PARTS[member]))
            else:
                content[member] = "".join(self._write_static(part, names, constants))
                begins.append(b"")
        data = [orjson.dumps({name: text}).decode()[1:-1] for text, name in constants.items()]
        template: dict[str, Any] = {
            "TemplateContent": content,
            "TemplateData": orjson.dumps(names | dict.fromkeys(constants.values(), "")).decode(),
        }
        if self._has_attachments:
            template["Attachments"] = self._attachments
        begun = orjson.dumps({**self._same, "DefaultContent": {"Template": template}, "BulkEmailEntries": []})
        head = begun.removesuffix(b"]}")
        written = orjson.dumps("".join(f"{one}," for one in data))[1:-1]
        return BulkTemplate(len(head), head, written, (begins[0], begins[1]), is_whole)

    def _write_static(self, part: Part, names: dict[str, str], constants: dict[str, str]) -> Iterator[str]:
        """Write the static text of a part as a template, with a variable after each piece."""
        for piece in part.pieces:
            name = self.bulk.find_name(piece)
            if name is None:
                continue
            end = 0
            for found in _UNSAFE.finditer(piece):
                run = found[0]
                is_beside = found.start() == 0 or found.end() == len(piece)
                if is_beside or "{{" in run or "}}" in run:
                    constant = constants.setdefault(run, f"c{make_letters(len(constants))}")
                    yield f"{piece[end : found.start()]}{{{{{constant}}}}}"
                    end = found.end()
            names[name] = ""
            yield f"{piece[end:]}{{{{{name}}}}}"

    def write_entry(self, message: Message, template: BulkTemplate) -> bytes:
        """Write one of BulkEmailEntries: the values of its template's variables.

        They are a JSON document that is a string in another one: its own quotes are escaped, too.
        """
        html, text = message.html_part, message.text_part
        writer = self._whole if template.is_whole else self.bulk
        return b"".join(
            (
                b'{"Destination":{"ToAddresses":[',
                orjson.dumps(message.address),
                b']},"ReplacementTags":[',
                self._pairs.write(message.tags),
                b'],"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":"{',
                template.constants,
                b'\\"subject\\":\\"',
                self.bulk.write_text(message.subject),
                template.begins[0],
                b"" if html is None else html.write(writer),
                template.begins[1],
                b"" if text is None else text.write(writer),
                b'\\"}"}},"ReplacementHeaders":[',
                self._pairs.write(message.headers),
                b"]}",
            )
        )

    def fits_bulk(self, message: Message, entry: bytes) -> bool:
        """Return whether SES surely inserts the values of a message's entry into the inline template as they are.

        Values are data, and no Handlebars reads them again; for inline templates SES does not say so. A message with
        `{{` in it therefore goes by SendEmail.
        """
        if b"{{" in entry:
            return False
        if not (self.bulk.may_have_braces or self._whole.may_have_braces):
            return True
        return "{{" not in (message.html or "") and "{{" not in (message.text or "")


def write_bulk(entries: Iterable[bytes], template: BulkTemplate) -> bytes:
    """Write SendBulkEmail's body.

    Args:
        entries: from write_entry, one or more.
        template: theirs.
    """
    written = list(entries)
    # Then one join copies the entries once; `head + entries + end` would copy them three times.
    written[0] = template.head + written[0]
    written[-1] += b"]}"
    return b",".join(written)


def measure_data(entry: bytes) -> int:
    """Return how long SES finds the values of an entry: the length in bytes of their JSON document."""
    template = orjson.loads(entry)["ReplacementEmailContent"]["ReplacementTemplate"]
    return len(template["ReplacementTemplateData"].encode())


class _PairWriter(dict[tuple[str, str], bytes]):
    """Writes headers and tags as names and values; as a dictionary, it has those of many messages."""

    def __missing__(self, pair: tuple[str, str]) -> bytes:
        if len(self) >= _MOST_PAIRS:
            self.clear()
        name, value = pair
        written = self[pair] = orjson.dumps({"Name": name, "Value": value})
        return written

    def write(self, pairs: Iterable[tuple[str, str]]) -> bytes:
        return b",".join(
            [_UNIQUE[pair[0]] + orjson.dumps(pair[1]) + b"}" if pair[0] in _UNIQUE else self[pair] for pair in pairs]
        )


def _write_tracking(envelope: Envelope) -> dict[str, str]:
    tracking = {"OpenTrackingEnabled": envelope.open_tracking, "ClickTrackingEnabled": envelope.click_tracking}
    return {name: "ENABLED" if on else "DISABLED" for name, on in tracking.items() if on is not None}


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
