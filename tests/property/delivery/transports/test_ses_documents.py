"""Documents equal those of botocore's serializer for the same parameters, over all shapes of messages."""

import json
from typing import Any

import botocore.session
import orjson
import pytest
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st
from support.messages import make_message

from engine.campaign.message import Attachment, Envelope, ListManagement, Message
from engine.delivery.transports.ses_documents import Documents, measure_data, write_bulk

MODEL = botocore.session.get_session().get_service_model("sesv2")
SERIALIZER = create_serializer("rest-json")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)
NAME = st.from_regex(r"\A[A-Za-z0-9_-]{1,20}\Z")
PAIRS = st.lists(st.tuples(NAME, ASCII), max_size=4).map(tuple)
TAGS = st.lists(st.tuples(NAME, NAME), min_size=1, max_size=4).map(tuple)

ENVELOPE = Envelope("a@b.example", (), (), None)
ENVELOPES = st.builds(
    Envelope,
    sender=ASCII,
    reply_to=st.lists(ASCII, max_size=2).map(tuple),
    attachments=st.lists(
        st.builds(
            Attachment,
            name=NAME,
            content_type=st.sampled_from(["image/png", "application/pdf"]),
            content=st.binary(),
            content_id=st.none() | NAME,
        ),
        max_size=2,
    ).map(tuple),
    configuration_set=st.none() | NAME,
    list_management=st.none() | st.builds(ListManagement, contact_list=NAME, topic=st.none() | NAME),
    endpoint_id=st.none() | NAME,
    tenant=st.none() | NAME,
    open_tracking=st.none() | st.booleans(),
    click_tracking=st.none() | st.booleans(),
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    html, text = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    return make_message(
        row=draw(st.integers(0, 10**9)),
        address=draw(NAME) + "@example.com",
        subject=draw(TEXT),
        html=draw(TEXT) if html else None,
        text=draw(TEXT) if text else None,
        headers=draw(PAIRS),
        tags=draw(TAGS),
    )


def serialize(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Let botocore check and write parameters; returns the JSON document."""
    model = MODEL.operation_model(operation)
    report = ParamValidator().validate(parameters, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    document = json.loads(SERIALIZER.serialize_to_request(parameters, model)["body"])
    assert isinstance(document, dict)
    return document


def write_parts(message: Message) -> dict[str, Any]:
    body = {}
    if message.text is not None:
        body["Text"] = {"Data": message.text, "Charset": "UTF-8"}
    if message.html is not None:
        body["Html"] = {"Data": message.html, "Charset": "UTF-8"}
    return body


def write_same(envelope: Envelope) -> dict[str, Any]:
    same: dict[str, Any] = {"FromEmailAddress": envelope.sender}
    if envelope.reply_to:
        same["ReplyToAddresses"] = list(envelope.reply_to)
    if envelope.configuration_set:
        same["ConfigurationSetName"] = envelope.configuration_set
    if envelope.endpoint_id:
        same["EndpointId"] = envelope.endpoint_id
    if envelope.tenant:
        same["TenantName"] = envelope.tenant
    words = {None: None, True: "ENABLED", False: "DISABLED"}
    tracking = {"OpenTrackingEnabled": envelope.open_tracking, "ClickTrackingEnabled": envelope.click_tracking}
    if set(tracking.values()) != {None}:
        given_words = {name: words[value] for name, value in tracking.items() if value is not None}
        same["ConfigurationOverrides"] = {"Tracking": given_words}
    return same


def write_attachments(envelope: Envelope) -> dict[str, Any]:
    made = [
        {
            "FileName": one.name,
            "ContentType": one.content_type,
            "ContentTransferEncoding": "BASE64",
            "RawContent": one.content,
            **({} if one.content_id is None else {"ContentDisposition": "INLINE", "ContentId": one.content_id}),
        }
        for one in envelope.attachments
    ]
    return {"Attachments": made} if made else {}


def write_list_management(envelope: Envelope) -> dict[str, Any]:
    """SendEmail alone has it."""
    managed = envelope.list_management
    if managed is None:
        return {}
    topic = {} if managed.topic is None else {"TopicName": managed.topic}
    return {"ListManagementOptions": {"ContactListName": managed.contact_list} | topic}


def pairs(given_pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in given_pairs]


@given(envelope=ENVELOPES, message=messages())
def test_a_single_call_is_the_document_that_botocore_would_write(envelope: Envelope, message: Message):
    simple: dict[str, Any] = {"Subject": {"Data": message.subject, "Charset": "UTF-8"}, "Body": write_parts(message)}
    if message.headers:
        simple["Headers"] = pairs(message.headers)
    parameters = {
        **write_same(envelope),
        **write_list_management(envelope),
        "Destination": {"ToAddresses": [message.address]},
        "EmailTags": pairs(message.tags),
        "Content": {"Simple": simple | write_attachments(envelope)},
    }
    assert orjson.loads(Documents(envelope).write_single(message)) == serialize("SendEmail", parameters)


@given(envelope=ENVELOPES, message=messages(), others=st.lists(messages(), max_size=3))
def test_a_bulk_call_is_the_document_that_botocore_would_write(
    envelope: Envelope, message: Message, others: list[Message]
):
    documents = Documents(envelope)
    chosen = documents.choose_template(message)
    together = [message, *(other for other in others if documents.choose_template(other) is chosen)]
    variables = {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"}
    given_parts = {"Subject": message.subject, "Html": message.html, "Text": message.text}
    parts = [part for part, text in given_parts.items() if text is not None]
    template: dict[str, Any] = {
        "TemplateContent": {part: variables[part] for part in parts},
        "TemplateData": write_compact({part.lower(): "" for part in parts}),
    }
    parameters = {
        **write_same(envelope),
        "DefaultContent": {"Template": template | write_attachments(envelope)},
        "BulkEmailEntries": [
            {
                "Destination": {"ToAddresses": [one.address]},
                "ReplacementTags": pairs(one.tags),
                "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": write_data(one)}},
                "ReplacementHeaders": pairs(one.headers),
            }
            for one in together
        ],
    }
    written = write_bulk([documents.write_entry(one, chosen) for one in together], chosen)
    assert orjson.loads(written) == serialize("SendBulkEmail", parameters)
    for one, entry in zip(together, orjson.loads(written)["BulkEmailEntries"], strict=True):
        values = json.loads(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])
        assert (values.get("subject"), values.get("html"), values.get("text")) == (one.subject, one.html, one.text)


def write_data(message: Message) -> str:
    values = {"subject": message.subject, "html": message.html, "text": message.text}
    return orjson.dumps({name: value for name, value in values.items() if value is not None}).decode()


@given(messages())
def test_the_measure_of_a_bulk_entry_is_that_of_its_values(message: Message):
    documents = Documents(ENVELOPE)
    entry = documents.write_entry(message, documents.choose_template(message))
    assert measure_data(entry) == len(write_data(message).encode())


def write_compact(values: dict[str, str]) -> str:
    return json.dumps(values, separators=(",", ":"))


@pytest.mark.parametrize("part", ["subject", "html", "text"])
def test_content_with_handlebars_in_it_does_not_fit_a_bulk_call(part: str):
    parts = {"subject": "s", "html": "h", "text": "t"}
    for value, fits in (("a {b} {% x %}", True), ("{{b}}", False), ("a {{b", False), ("{", True)):
        message = make_message(1, "a@b.example", **(parts | {part: value}), headers=(), tags=())
        documents = Documents(ENVELOPE)
        entry = documents.write_entry(message, documents.choose_template(message))
        assert documents.fits_bulk(message, entry) is fits
