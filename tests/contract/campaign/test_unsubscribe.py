"""Unsubscribe tokens, and the unsubscribe links that messages offer."""

from pathlib import Path

import boto3
import orjson
import pytest
from botocore.validate import ParamValidator
from support.campaigns import TOML, render, write_campaign

from engine.campaign.message import Message, prepare_envelope
from engine.delivery.transports.ses_documents import Documents
from engine.errors import ConfigurationError


def message_of(folder: Path, unsubscribe: str, body: str = "{{ unsubscribe_url }}") -> Message:
    toml = TOML.replace('kind = "transactional"', f"unsubscribe = {{ {unsubscribe} }}")
    return render(write_campaign(folder, {"t.j2": body}, 'text = "t.j2"', toml=toml))


def test_mailto_link_alone_is_offered_in_header_and_content(tmp_path: Path) -> None:
    message = message_of(tmp_path, 'mailto = "out@acme.example"')
    assert dict(message.headers) == {"List-Id": "<welcome.acme.example>", "List-Unsubscribe": f"<{message.text}>"}
    assert str(message.text).startswith("mailto:out@acme.example?subject=2.")


def test_ses_puts_in_its_own_unsubscribe_link(tmp_path: Path) -> None:
    message = message_of(tmp_path, 'ses_contact_list = "readers", ses_topic = "news"')
    assert message.text == "{{amazonSESUnsubscribeUrl}}"
    assert message.headers == (("List-Id", "<welcome.acme.example>"),)


def test_ses_gets_list_and_topic(tmp_path: Path) -> None:
    toml = TOML.replace('kind = "transactional"', 'unsubscribe = { ses_contact_list = "readers", ses_topic = "news" }')
    campaign = write_campaign(
        tmp_path, {"t.j2": "x", "logo.png": "x"}, 'text = "t.j2"\ninline = ["logo.png"]', toml=toml
    )
    request = orjson.loads(Documents(prepare_envelope(campaign)).write_single(render(campaign)))
    assert request["ListManagementOptions"] == {"ContactListName": "readers", "TopicName": "news"}
    (image,) = request["Content"]["Simple"]["Attachments"]
    assert (image["ContentDisposition"], image["ContentId"], image["ContentType"]) == (
        "INLINE",
        "logo.png",
        "image/png",
    )
    shape = (
        boto3.session.Session(region_name="us-east-1").client("sesv2").meta.service_model.operation_model("SendEmail")
    )
    assert not ParamValidator().validate(request, shape.input_shape).has_errors()


@pytest.mark.parametrize(
    ("unsubscribe", "what"),
    [
        ("", "no unsubscribe link"),
        ('mailto = "a@b.example", ses_contact_list = "x"', "sets both mailrun's and SES's unsubscribe links"),
        ('mailto = "a@b.example", ses_topic = "x"', "sets ses_topic without ses_contact_list"),
    ],
)
def test_campaign_has_one_kind_of_unsubscribe_link(tmp_path: Path, unsubscribe: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        message_of(tmp_path, unsubscribe)
