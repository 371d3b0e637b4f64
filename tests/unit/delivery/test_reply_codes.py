"""Every reply of SES has one meaning, decided on purpose."""

import botocore.session
import pytest

from engine.delivery.replies import CODES, TEXTS, ReplyMeaning, SendReply, read_error

SENDER = "news@acme.example"
MODEL = botocore.session.get_session().get_service_model("sesv2")
MODELLED = {
    name: MODEL.shape_for(name).metadata.get("error", {}).get("httpStatusCode", 400)
    for name in MODEL.shape_names
    if MODEL.shape_for(name).metadata.get("exception")
}
OF_SEND_EMAIL = {shape.name for shape in MODEL.operation_model("SendEmail").error_shapes}
# Only of other operations; if a send received one, it would be a 4xx like any unknown code.
OF_OTHERS = {"AlreadyExistsException", "ConflictException", "InvalidNextTokenException"}

# The common errors of SES's API (docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html): status and meaning.
COMMON = {
    "AccessDeniedException": (403, ReplyMeaning.PAUSE),
    "ExpiredTokenException": (403, ReplyMeaning.PAUSE),
    "IncompleteSignature": (403, ReplyMeaning.PAUSE),
    "InternalFailure": (500, ReplyMeaning.IN_DOUBT),
    "MalformedHttpRequestException": (400, ReplyMeaning.REFUSED),
    "NotAuthorized": (401, ReplyMeaning.PAUSE),
    "OptInRequired": (403, ReplyMeaning.PAUSE),
    "RequestAbortedException": (400, ReplyMeaning.IN_DOUBT),
    "RequestEntityTooLargeException": (413, ReplyMeaning.REFUSED),
    "RequestExpired": (400, ReplyMeaning.PAUSE),
    "RequestTimeoutException": (408, ReplyMeaning.RETRY),
    "ServiceUnavailable": (503, ReplyMeaning.IN_DOUBT),
    "ThrottlingException": (400, ReplyMeaning.SLOW_DOWN),
    "Throttling": (400, ReplyMeaning.SLOW_DOWN),
    "UnrecognizedClientException": (403, ReplyMeaning.PAUSE),
    "InvalidSignatureException": (403, ReplyMeaning.PAUSE),
    "SignatureDoesNotMatch": (403, ReplyMeaning.PAUSE),
    "ValidationError": (400, ReplyMeaning.REFUSED),
}
OF_SENDS = {
    "TooManyRequestsException": ReplyMeaning.SLOW_DOWN,
    "LimitExceededException": ReplyMeaning.QUOTA,
    "AccountSuspendedException": ReplyMeaning.PAUSE,
    "SendingPausedException": ReplyMeaning.PAUSE,
    "MessageRejected": ReplyMeaning.REFUSED,
    "MailFromDomainNotVerifiedException": ReplyMeaning.PAUSE,
    "NotFoundException": ReplyMeaning.PAUSE,
    "BadRequestException": ReplyMeaning.REFUSED,
}


def read(code: str, message: str = "no", status: int = 400) -> SendReply:
    return read_error(status=status, code=code, message=message, sender=SENDER)


def test_every_error_of_a_send_has_its_rule_and_expected_meaning():
    assert set(OF_SENDS) == OF_SEND_EMAIL
    assert set(CODES) >= OF_SEND_EMAIL
    assert {code: read(code, status=MODELLED[code]).meaning for code in OF_SENDS} == OF_SENDS


def test_every_other_error_of_the_api_is_known_to_this_test():
    server_errors = {code for code, status in MODELLED.items() if status >= 500}
    assert set(MODELLED) == OF_SEND_EMAIL | OF_OTHERS | server_errors
    assert {read(code, status=500).meaning for code in server_errors} == {ReplyMeaning.IN_DOUBT}
    assert {read(code, status=MODELLED[code]).meaning for code in OF_OTHERS} == {ReplyMeaning.REFUSED}


@pytest.mark.parametrize(("code", "status", "meaning"), [(code, *told) for code, told in COMMON.items()])
def test_common_errors_have_their_documented_meaning(code: str, status: int, meaning: ReplyMeaning):
    assert read(code, status=status).meaning is meaning


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_server_error_is_in_doubt_whatever_its_code(status: int):
    codes = {*MODELLED, *COMMON, *CODES}
    assert {read(code, "Maximum sending rate exceeded.", status).meaning for code in codes} == {ReplyMeaning.IN_DOUBT}


@pytest.mark.parametrize("status", [0, 200, 301, 400, 403, 404, 413, 429, 500, 503])
def test_a_reply_without_a_code_is_in_doubt_whatever_its_status(status: int):
    assert read("", "<html>Too Many Requests", status).meaning is ReplyMeaning.IN_DOUBT


def test_an_unknown_code_refuses_this_message_alone():
    assert read("NewException") == SendReply(ReplyMeaning.REFUSED, detail="NewException: no")


@pytest.mark.parametrize("code", ["Throttling", "ThrottlingException", "LimitExceededException", "BadRequestException"])
@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("Maximum sending rate exceeded.", ReplyMeaning.SLOW_DOWN),
        ("MAXIMUM SENDING RATE EXCEEDED", ReplyMeaning.SLOW_DOWN),
        ("Daily message quota exceeded.", ReplyMeaning.QUOTA),
        ("Daily sending quota exceeded.", ReplyMeaning.QUOTA),
    ],
)
def test_the_text_of_a_throttle_is_read_before_its_code(code: str, text: str, meaning: ReplyMeaning):
    assert read(code, text).meaning is meaning


def test_a_rule_that_pauses_the_run_says_what_to_do_and_no_other_does():
    for rule in [*CODES.values(), *TEXTS.values()]:
        assert bool(rule.remedy) is (rule.meaning in (ReplyMeaning.PAUSE, ReplyMeaning.QUOTA)), rule


@pytest.mark.parametrize(
    ("identities", "meaning"),
    [
        ("news@acme.example", ReplyMeaning.PAUSE),
        ("News@Acme.example", ReplyMeaning.PAUSE),
        ("ann@b.example, news@acme.example", ReplyMeaning.PAUSE),
        ("ann@b.example, news@acme.example, ...", ReplyMeaning.PAUSE),
        ("ann@b.example", ReplyMeaning.REFUSED),
        ("oldnews@acme.example", ReplyMeaning.REFUSED),
        ("news@acme.example.evil.example", ReplyMeaning.REFUSED),
    ],
)
def test_unverified_sender_pauses_the_run_and_recipient_is_refused(identities: str, meaning: ReplyMeaning):
    text = f"Email address is not verified. The following identities failed the check in region US-EAST-1: {identities}"
    reply = read("MessageRejected", text)
    assert reply.meaning is meaning
    assert (SENDER in reply.remedy) is (meaning is ReplyMeaning.PAUSE)


@pytest.mark.parametrize(
    ("code", "message", "status", "detail"),
    [("A", "b", 400, "A: b"), ("A", "", 400, "A"), ("", "<html>", 502, "502: <html>"), ("", "", 502, "502")],
)
def test_the_detail_is_the_code_and_its_text(code: str, message: str, status: int, detail: str):
    assert read(code, message, status).detail == detail
