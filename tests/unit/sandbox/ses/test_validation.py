"""Requests that the sandbox refuses as SES does, and those that it accepts."""

from base64 import b64encode
from contextlib import suppress
from copy import deepcopy
from email.message import EmailMessage
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sandbox.http.replies import ApiError
from engine.sandbox.ses.addresses import read_address
from engine.sandbox.ses.draft import Draft
from engine.sandbox.ses.rendering import check_template, render
from engine.sandbox.ses.validation import read_bulk_envelope, read_send_email

SIMPLE: dict[str, Any] = {
    "FromEmailAddress": "Acme News <news@acme.example>",
    "Destination": {"ToAddresses": ["ann@b.example"]},
    "Content": {
        "Simple": {
            "Subject": {"Data": "Hé", "Charset": "UTF-8"},
            "Body": {"Html": {"Data": "<p>Hé</p>", "Charset": "UTF-8"}, "Text": {"Data": "Hi"}},
        }
    },
}


def read(request: dict[str, Any]) -> Draft:
    return read_send_email(request, request_bytes=len(orjson.dumps(request)))


def simple(**members: Any) -> dict[str, Any]:
    request = deepcopy(SIMPLE)
    request["Content"]["Simple"].update(members)
    return request


def refusal(request: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as caught:
        read(request)
    assert (caught.value.code, caught.value.status) == ("BadRequestException", 400)
    return caught.value.message


def template(content: dict[str, Any], data: Any = "{}", **members: Any) -> dict[str, Any]:
    return {**SIMPLE, "Content": {"Template": {"TemplateContent": content, "TemplateData": data, **members}}}


def test_a_simple_message_is_read_as_it_is() -> None:
    draft = read({**SIMPLE, "EmailTags": [{"Name": "msg", "Value": "01J"}], "ReplyToAddresses": ["r@acme.example"]})
    assert (draft.sender, draft.sender_address) == ("Acme News <news@acme.example>", "news@acme.example")
    assert (draft.recipients, draft.reply_to, draft.tags) == (["ann@b.example"], ["r@acme.example"], {"msg": "01J"})
    assert (draft.content.subject, draft.content.html, draft.content.text) == ("Hé", "<p>Hé</p>", "Hi")


@pytest.mark.parametrize(
    "address",
    [
        "ann@b.example",
        "o'hara+x_y@sub.b.example",
        "Ann <ann@b.example>",
        '"Karen, Chan" <k@b.example>',
        "=?UTF-8?B?w4k=?= <a@b.example>",
        "<ann@b.example>",
        "a@xn--bcher-kva.example",
        '"odd local"@b.example',
        "x" * 64 + "@b.example",
    ],
)
def test_good_addresses_are_accepted(address: str) -> None:
    assert read_address(address) in address


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ann", "Missing final '@domain'"),
        ("ann smith", "Local address contains control or whitespace"),
        ("ann smith@b.example", "Local address contains control or whitespace"),
        ("ann\r\n@b.example", "Local address contains control or whitespace"),
        ("é@b.example", "Local address contains control or whitespace"),
        ("@b.example", "Missing local name"),
        ("ann@", "Missing domain"),
        ("ann@b.example.", "Missing domain"),
        ("ann@b .example", "Domain contains control or whitespace"),
        ("ann@b_c.example", "Domain contains illegal character"),
        ("ann@bücher.example", "Domain contains illegal character"),
        (".ann@b.example", "Local address starts with dot"),
        ("ann.@b.example", "Local address ends with dot"),
        ("a..n@b.example", "Local address contains dot-dot"),
        ("ann@b..example", "Domain contains dot-dot"),
        ("ann@.b.example", "Domain starts with dot"),
        ("ann@localhost", "Illegal address"),
        ("Karen, Chan <k@b.example>", "Illegal address"),
        ("Éva <e@b.example>", "Illegal address"),
        ("a@b.example, c@d.example", "Illegal address"),
        ("Ann <ann@b.example", "Illegal address"),
        ("", "Empty address"),
        ("x" * 65 + "@b.example", "Local address length is more than 64 characters long"),
        ("a@" + "b." * 130 + "example", "Domain name, or a label in it, is too long"),
        ("a@" + "b" * 64 + ".example", "Domain name, or a label in it, is too long"),
    ],
)
def test_a_bad_address_is_refused_in_the_words_of_ses(address: str, message: str) -> None:
    assert refusal({**SIMPLE, "Destination": {"BccAddresses": ["ok@b.example", address]}}) == message


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with suppress(ApiError):
        address = read_address(text)
        assert address.isascii()
        assert "@" in address
        assert not set(address) & set("\r\n\x00")


@pytest.mark.parametrize("content", [{}, {"Simple": {}, "Raw": {"Data": ""}}, {"Simple": None}])
def test_content_is_exactly_one_of_three(content: dict[str, Any]) -> None:
    assert "exactly one of Simple, Raw and Template" in refusal({**SIMPLE, "Content": content})


def test_fifty_recipients_are_accepted_and_fifty_one_are_refused() -> None:
    many = [f"a{number}@b.example" for number in range(51)]
    lists = {"ToAddresses": many[:20], "CcAddresses": many[20:40], "BccAddresses": many[40:50]}
    assert read({**SIMPLE, "Destination": lists}).recipients == many[:50]
    assert refusal({**SIMPLE, "Destination": {**lists, "BccAddresses": many[40:]}}) == "Recipient count exceeds 50."


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"Destination": {}}, "Destination"),
        ({"Destination": {"ToAddresses": "ann@b.example"}}, "Destination.ToAddresses"),
        ({"Destination": {"ToAddresses": [1]}}, "Destination.ToAddresses"),
        ({"FromEmailAddress": None}, "FromEmailAddress"),
        ({"FromEmailAddress": 5}, "FromEmailAddress"),
        ({"Content": None}, "Content"),
        ({"ConfigurationSetName": 5}, "ConfigurationSetName"),
        ({"EmailTags": [{"Name": "a"}]}, "EmailTags.Value"),
        ({"EmailTags": [{"Name": "a b", "Value": "x"}]}, "EmailTags.Name"),
        ({"EmailTags": [{"Name": "a", "Value": "x.y"}]}, "EmailTags.Value"),
        ({"EmailTags": [{"Name": "a", "Value": "x" * 257}]}, "EmailTags.Value"),
        ({"EmailTags": [{"Name": "", "Value": "x"}]}, "EmailTags.Name"),
    ],
)
def test_a_wrong_member_is_named(changes: dict[str, Any], named: str) -> None:
    assert named in refusal({**SIMPLE, **changes})


def test_feedback_id_tags_are_allowed() -> None:
    assert read({**SIMPLE, "EmailTags": [{"Name": "ses:feedback-id-a", "Value": "x"}]}).tags


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ([("X-" + "a" * 125, "v")], "Name must be 1 to 126"),
        ([("X A", "v")], "Name must be"),
        ([("X:A", "v")], "Name must be"),
        ([("X", "")], "Value of X must be 1 to 995"),
        ([("X", "v" * 996)], "Value of X must be 1 to 995"),
        ([("X-Y", "v" * 994)], "more than 996"),
        ([("X", "a\r\nBcc: b@c.example")], "Value of X must be"),
        ([("X", "é")], "Value of X must be"),
        ([("Message-Id", "v")], "Message-Id is set by SES"),
        ([("reply-to", "v")], "reply-to is set by SES"),
        ([("List-Unsubscribe", "<a>"), ("list-unsubscribe", "<b>")], "may appear only once"),
        ([(f"X-{number}", "v") for number in range(16)], "more than 15 headers"),
    ],
)
def test_headers_that_ses_does_not_accept_are_refused(headers: list[tuple[str, str]], part: str) -> None:
    given = [{"Name": name, "Value": value} for name, value in headers]
    assert part in refusal(simple(Headers=given))


def test_good_headers_are_kept_in_order() -> None:
    given = [{"Name": "List-Unsubscribe", "Value": "<https://u.example/t>"}, {"Name": "X-A", "Value": "b"}]
    assert read(simple(Headers=given)).content.headers == [
        {"name": "List-Unsubscribe", "value": "<https://u.example/t>"},
        {"name": "X-A", "value": "b"},
    ]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"FileName": "virus.EXE"}, "Illegal filename: 'virus.EXE'."),
        ({"FileName": "a" * 256}, "FileName must have 1 to 255"),
        ({"FileName": None}, "FileName must not be null"),
        ({"RawContent": "***"}, "is not base64"),
        ({"RawContent": None}, "RawContent must not be null"),
        ({"ContentType": "a" * 79}, "ContentType must have 1 to 78"),
        ({"ContentId": ""}, "ContentId must have 1 to 78"),
        ({"ContentDescription": "a" * 1001}, "ContentDescription must have 0 to 1000"),
        ({"ContentDisposition": "inline"}, "ContentDisposition must be one of ATTACHMENT, INLINE"),
        ({"ContentTransferEncoding": "8BIT"}, "ContentTransferEncoding must be one of"),
        ({"RawContent": b64encode(b"\xff").decode()}, "is SEVEN_BIT"),
    ],
)
def test_attachments_that_ses_does_not_accept_are_refused(changes: dict[str, Any], part: str) -> None:
    attachment = {"FileName": "a.pdf", "RawContent": b64encode(b"pdf").decode(), **changes}
    assert part in refusal(simple(Attachments=[attachment]))


def test_an_attachment_is_kept_by_name_type_and_size() -> None:
    attachment = {
        "FileName": "terms.pdf",
        "RawContent": b64encode(b"\xffpdf").decode(),
        "ContentType": "application/pdf",
        "ContentTransferEncoding": "BASE64",
    }
    assert read(simple(Attachments=[attachment])).content.attachments == [
        {"name": "terms.pdf", "type": "application/pdf", "size": 4}
    ]


def test_text_without_a_charset_loses_what_is_not_ascii() -> None:
    assert read(simple(Subject={"Data": "Hé"})).content.subject == "H?"


def test_bad_charset_missing_body_and_broken_subject_are_refused() -> None:
    assert "Charset <klingon>" in refusal(simple(Subject={"Data": "é", "Charset": "klingon"}))
    assert "Body must have Text or Html" in refusal(simple(Body={}))
    assert "control characters" in refusal(simple(Subject={"Data": "a\nBcc: x"}))


def test_a_message_over_forty_megabytes_is_refused() -> None:
    big = {"Html": {"Data": "a" * (40 * 1024 * 1024)}}
    assert "Message length is more than 41943040 bytes" in refusal(simple(Body=big))


def test_a_template_is_rendered_without_escaping() -> None:
    draft = read(
        template({"Subject": "Hi {{name}}", "Html": "<b>{{ name }}</b>{{n}}{{x}}"}, '{"name":"A & B","n":3,"x":null}')
    )
    assert (draft.content.subject, draft.content.html, draft.content.failure) == ("Hi A & B", "<b>A & B</b>3", "")


def test_a_missing_variable_is_accepted_and_noted_as_a_rendering_failure() -> None:
    draft = read(template({"Subject": "Hi {{name}}", "Text": "x"}, '{"Name":"other case"}'))
    assert draft.content.failure == "Attribute 'name' is not present in the rendering data."


@pytest.mark.parametrize("text", ["{{#if a}}x{{/if}}", "{{no_reply}}", "{{a.b}}", "{{{a}}}", "{{> p}}", "{{", "{{1a}}"])
def test_inline_templates_are_flat(text: str) -> None:
    assert refusal(template({"Subject": "s", "Html": text})) == "Template contains unsupported operations."


@given(st.text(), st.text())
def test_a_value_is_never_evaluated(before: str, value: str) -> None:
    literal = before.replace("{", "(")
    check_template(literal + "{{v}}")
    assert render(literal + "{{v}}", {"v": value}) == literal + value


@pytest.mark.parametrize("data", ["[1]", "{", '{"a":"' + "x" * 262_144 + '"}'])
def test_template_data_must_be_an_object_of_bounded_length(data: str) -> None:
    assert "Content.Template.TemplateData" in refusal(template({"Subject": "s", "Text": "t"}, data))


def test_a_request_with_an_inline_template_is_at_most_a_megabyte() -> None:
    request = template({"Subject": "s", "Text": "t" * 1_048_576})
    assert "longer than 1048576 bytes" in refusal(request)


def test_a_stored_template_and_a_contact_list_do_not_exist() -> None:
    stored = {**SIMPLE, "Content": {"Template": {"TemplateName": "Welcome", "TemplateData": "{}"}}}
    listed = {**SIMPLE, "ListManagementOptions": {"ContactListName": "all"}}
    for request in (stored, listed):
        with pytest.raises(ApiError) as caught:
            read(request)
        assert (caught.value.code, caught.value.status) == ("NotFoundException", 404)


def raw(message: bytes, **members: Any) -> dict[str, Any]:
    return {"Content": {"Raw": {"Data": b64encode(message).decode()}}, **members}


def test_raw_content_is_read_from_its_mime_headers() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "News <n@acme.example>", "Ann <ann@b.example>", "Hé"
    message["X-SES-MESSAGE-TAGS"], message["X-SES-CONFIGURATION-SET"] = "a=1, b=2", "marketing"
    message.set_content("text")
    message.add_alternative("<p>html</p>", subtype="html")
    message.add_attachment(b"\x00\x01", maintype="application", subtype="pdf", filename="t.pdf")
    draft = read(raw(message.as_bytes()))
    assert (draft.sender_address, draft.recipients) == ("n@acme.example", ["ann@b.example"])
    assert (draft.tags, draft.configuration_set) == ({"a": "1", "b": "2"}, "marketing")
    assert (draft.content.subject, draft.content.text, draft.content.html) == ("Hé", "text\n", "<p>html</p>\n")
    assert draft.content.attachments == [{"name": "t.pdf", "type": "application/pdf", "size": 2}]
    assert draft.content.raw == b64encode(message.as_bytes()).decode()


def test_tags_of_the_call_replace_those_of_the_raw_header() -> None:
    message = b"From: a@b.example\nTo: c@d.example\nX-SES-MESSAGE-TAGS: a=1\n\nx\n"
    assert read(raw(message, EmailTags=[{"Name": "b", "Value": "2"}])).tags == {"b": "2"}


@pytest.mark.parametrize(
    ("message", "part"),
    [
        (b"From: a@b.example\nTo: c@d.example\n\n" + b"x" * 1001, "more than 1000 characters"),
        (b"To: c@d.example\n\nx", "Missing required header 'From'."),
        (b"From: a@b.example\n\nx", "Missing required header 'To'."),
        (b"no header at all", "not a message"),
    ],
)
def test_raw_content_that_is_not_a_message_is_refused(message: bytes, part: str) -> None:
    assert part in refusal(raw(message))


@given(st.binary(max_size=300))
def test_any_bytes_as_raw_content_are_read_or_refused(data: bytes) -> None:
    request = raw(b"From: a@b.example\nTo: c@d.example\n" + data)
    with suppress(ApiError):
        assert orjson.dumps(read(request).content.headers)


@pytest.mark.parametrize("count", [0, 51])
def test_a_bulk_call_has_one_to_fifty_entries(count: int) -> None:
    entry = {"Destination": {"ToAddresses": ["a@b.example"]}}
    with pytest.raises(ApiError, match="BulkEmailEntries must have 1 to 50"):
        read_bulk_envelope({**SIMPLE, "BulkEmailEntries": [entry] * count}, request_bytes=1)
