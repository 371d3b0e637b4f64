"""Every code, status and exception has one meaning."""

import inspect
import re
import socket

import aiohttp
import botocore.exceptions as aws
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery.replies import (
    BULK_STATUSES,
    CODES,
    LONGEST_DETAIL,
    STATUSES,
    ReplyMeaning,
    read_bulk_entry,
    read_error,
)
from engine.delivery.retry import POLICIES
from engine.delivery.smtp_replies import SMTP_CODES, SMTP_TEXTS, Phase, read_smtp
from engine.delivery.transports.connection import InDoubtError, NeverSentError
from engine.delivery.transports.http_answer import HttpAnswer
from engine.delivery.transports.ses import EXCEPTIONS, read_answer, read_exception

MODEL = botocore.session.get_session().get_service_model("sesv2")
SENDER = "news@acme.example"
# SES v2 API reference, "Common errors"; and the names that clock skew and old credentials give.
COMMON = """
AccessDeniedException ExpiredTokenException IncompleteSignature MalformedHttpRequestException
NotAuthorized OptInRequired RequestAbortedException RequestEntityTooLargeException
RequestTimeoutException ThrottlingException UnrecognizedClientException ValidationError
InvalidSignatureException SignatureDoesNotMatch RequestExpired
""".split()  # noqa: SIM905 - a list of so many names reads worse
# What botocore raises beside what EXCEPTIONS names. None of it proves that SES did not receive the request: a new one
# must be examined. The callers report missing credentials themselves.
KNOWN_IN_DOUBT = frozenset(
    """
AliasConflictParameterError ApiVersionNotFoundError AwsChunkedWrapperError BaseEndpointResolverError BotoCoreError
CapacityNotAvailableError ChecksumError ClientOSError ConfigNotFound ConfigParseError ConnectionError
DataNotFoundError EndpointConnectionError EndpointProviderError EndpointResolutionError EndpointVariantError
FlexibleChecksumError HTTPClientError IncompleteReadError InfiniteLoopConfigError InvalidChecksumConfigError
InvalidConfigError InvalidDNSNameError InvalidDefaultsMode InvalidEndpointConfigurationError
InvalidEndpointDiscoveryConfigurationError InvalidExpressionError InvalidHostLabelError InvalidIMDSEndpointError
InvalidIMDSEndpointModeError InvalidMaxRetryAttemptsError InvalidProxiesConfigError InvalidRegionError
InvalidRetryConfigurationError InvalidRetryModeError InvalidS3AddressingStyleError
InvalidS3UsEast1RegionalEndpointConfigError InvalidSTSRegionalEndpointsConfigError LoginAuthorizationCodeError
LoginError LoginInsufficientPermissions LoginRefreshRequired LoginTokenLoadError MD5UnavailableError
MissingParametersError NoAuthTokenError OSError OperationNotPageableError PaginationError RangeError
ResponseStreamingError ServiceNotInRegionError StubAssertionError StubResponseError TimeoutError
UnStubbedResponseError UnknownClientMethodError UnknownCredentialError UnknownEndpointResolutionBuiltInName
UnknownFIPSEndpointError UnknownKeyError UnknownParameterError UnknownRegionError UnknownServiceError
UnknownServiceStyle UnknownSignatureVersionError UnknownTokenProviderError UnseekableStreamError
UnsupportedOutpostResourceError UnsupportedS3AccesspointConfigurationError UnsupportedS3ArnError
UnsupportedS3ConfigurationError UnsupportedS3ControlArnError UnsupportedS3ControlConfigurationError
UnsupportedServiceProtocolsError UnsupportedSignatureVersionError ValidationError ValueError WaiterConfigError
WaiterError
""".split()  # noqa: SIM905 - as above
)
CERTAIN = set(ReplyMeaning) - {ReplyMeaning.SENT, ReplyMeaning.IN_DOUBT}


def list_modelled_errors() -> set[str]:
    operations = (MODEL.operation_model(name) for name in ("SendEmail", "SendBulkEmail"))
    return {shape.name for operation in operations for shape in operation.error_shapes}


def test_every_error_that_the_api_models_for_sends_is_in_the_table():
    assert list_modelled_errors() <= set(CODES)
    assert len(list_modelled_errors()) >= 8


def test_every_common_error_of_the_api_is_in_the_table():
    assert set(COMMON) <= set(CODES)


def test_every_status_of_a_bulk_entry_is_in_the_table():
    assert set(MODEL.shape_for("BulkEmailStatus").enum) <= set(BULK_STATUSES)


@pytest.mark.parametrize("status", BULK_STATUSES)
def test_every_bulk_status_means_what_its_table_says(status: str):
    reply = read_bulk_entry({"Status": status, "Error": "why", "MessageId": "id-1"}, sender=SENDER)
    assert reply.meaning is BULK_STATUSES[status].meaning
    assert (reply.message_id == "id-1") is (status == "SUCCESS")
    assert reply.remedy or reply.meaning is not ReplyMeaning.PAUSE


@pytest.mark.parametrize("entry", [{}, {"Status": "SOMETHING_NEW"}, {"Status": "SUCCESS"}, {"Status": None}])
def test_unknown_bulk_status_is_in_doubt(entry: dict[str, object]):
    assert read_bulk_entry(entry, sender=SENDER).meaning is ReplyMeaning.IN_DOUBT


@pytest.mark.parametrize("code", CODES)
def test_4xx_with_a_code_is_certain_except_request_aborted(code: str):
    reply = read_error(status=400, code=code, message="because", sender=SENDER)
    assert reply.meaning is CODES[code].meaning
    assert (reply.meaning in CERTAIN) is (code != "RequestAbortedException")
    assert reply.remedy or reply.meaning not in (ReplyMeaning.PAUSE, ReplyMeaning.QUOTA)


@given(status=st.integers(100, 599), code=st.sampled_from(["", "NewException", *CODES]), message=st.text(max_size=40))
def test_every_status_has_a_meaning_and_only_4xx_codes_are_certain(status: int, code: str, message: str):
    reply = read_error(status=status, code=code, message=message, sender=SENDER)
    assert isinstance(reply.meaning, ReplyMeaning)
    if not code or not 400 <= status < 500:
        assert reply.meaning is ReplyMeaning.IN_DOUBT
    elif code != "RequestAbortedException":
        assert reply.meaning in CERTAIN


@pytest.mark.parametrize("status", STATUSES)
def test_a_new_code_is_read_by_its_status(status: int):
    reply = read_error(status=status, code="NewException", message="", sender=SENDER)
    assert reply.meaning is STATUSES[status].meaning


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("Maximum sending rate exceeded.", ReplyMeaning.SLOW_DOWN),
        ("Maximum SigV2 SMTP sending rate exceeded", ReplyMeaning.SLOW_DOWN),
        ("Daily message quota exceeded.", ReplyMeaning.QUOTA),
        ("Daily sending quota exceeded", ReplyMeaning.QUOTA),
    ],
)
@pytest.mark.parametrize("code", ["LimitExceededException", "ThrottlingException", "TooManyRequestsException"])
def test_throttle_or_quota_is_recognized_by_the_text_first(code: str, message: str, meaning: ReplyMeaning):
    assert read_error(status=400, code=code, message=message, sender=SENDER).meaning is meaning


def test_unverified_sender_pauses_and_unverified_recipient_is_refused():
    text = "Email address is not verified. The following identities failed the check in region US-EAST-1: "
    paused = read_error(status=400, code="MessageRejected", message=text + SENDER, sender=SENDER)
    assert paused.meaning is ReplyMeaning.PAUSE
    assert SENDER in paused.remedy
    refused = read_error(status=400, code="MessageRejected", message=text + "a@b.example", sender=SENDER)
    assert refused.meaning is ReplyMeaning.REFUSED


@pytest.mark.parametrize(
    "named", [f"Acme News <{SENDER}>", f'"Acme, News" <{SENDER.upper()}>', f"a@b.example, {SENDER}."]
)
def test_unverified_sender_is_known_by_its_address_in_any_form(named: str):
    text = f"Email address is not verified. The following identities failed the check in region US-EAST-1: {named}"
    assert read_error(status=400, code="MessageRejected", message=text, sender=SENDER).meaning is ReplyMeaning.PAUSE
    assert read_smtp(554, f"Message rejected: {text}", Phase.DOT, sender=SENDER).meaning is ReplyMeaning.PAUSE


def list_exceptions() -> list[type[Exception]]:
    kinds = [kind for _, kind in inspect.getmembers(aws, inspect.isclass) if issubclass(kind, aws.BotoCoreError)]
    return [*kinds, NeverSentError, InDoubtError, TimeoutError, OSError, aiohttp.ClientOSError, ValueError]


def make_exception(kind: type[Exception]) -> Exception:
    if not issubclass(kind, aws.BotoCoreError):
        return kind("x")
    named = dict.fromkeys(re.findall(r"{(\w+)", getattr(kind, "fmt", "")), "x")
    if issubclass(kind, aws.WaiterError):
        return kind("x", "x", {})
    return kind(**named | {"error": "x"})


def test_every_exception_is_in_the_table_or_known_to_leave_a_doubt():
    outside = {kind.__name__ for kind in list_exceptions() if not issubclass(kind, tuple(EXCEPTIONS))}
    assert outside == KNOWN_IN_DOUBT
    for kind in list_exceptions():
        if kind.__name__ in KNOWN_IN_DOUBT:
            assert read_exception(make_exception(kind)).meaning is ReplyMeaning.IN_DOUBT, kind
        else:
            known = next(known for known in EXCEPTIONS if issubclass(kind, known))
            assert read_exception(make_exception(kind)).meaning is EXCEPTIONS[known], kind


@pytest.mark.parametrize(
    ("inner", "meaning"),
    [
        (aiohttp.ClientConnectorError(None, OSError(111, "refused")), ReplyMeaning.UNREACHABLE),  # type: ignore[arg-type]
        (socket.gaierror(-2, "unknown name"), ReplyMeaning.UNREACHABLE),
        (aiohttp.ClientOSError(104, "reset"), ReplyMeaning.IN_DOUBT),
    ],
)
def test_reset_is_distinguished_from_a_refusal_by_the_inner_error(inner: Exception, meaning: ReplyMeaning):
    error = aws.EndpointConnectionError(endpoint_url="x", error=inner)
    assert read_exception(error).meaning is meaning


def test_every_meaning_that_retries_has_a_policy():
    again = {
        ReplyMeaning.RETRY,
        ReplyMeaning.RETRY_ONCE,
        ReplyMeaning.SPLIT,
        ReplyMeaning.UNREACHABLE,
        ReplyMeaning.SLOW_DOWN,
        ReplyMeaning.QUOTA,
    }
    assert set(POLICIES) == again
    for policy in POLICIES.values():
        assert policy.next_wait(attempts=policy.attempts, elapsed_seconds=0, jitter=0.5) is None
        assert policy.next_wait(attempts=1, elapsed_seconds=policy.seconds + 1, jitter=0.5) is None
        assert policy.next_wait(attempts=1, elapsed_seconds=0, jitter=0.5) is not None


@pytest.mark.parametrize(
    ("error_type", "body"),
    [
        ("TooManyRequestsException", b'{"message":"Maximum sending rate exceeded."}'),
        ("TooManyRequestsException:http://internal.amazon.com/coral/", b"{}"),
        ("com.amazonaws.ses#TooManyRequestsException", b"{}"),
        ("", b'{"code":"TooManyRequestsException"}'),
        ("", b'{"__type":"com.amazonaws.ses#TooManyRequestsException"}'),
    ],
)
def test_the_code_of_an_answer_is_found_where_botocore_finds_it(error_type: str, body: bytes):
    assert read_answer(HttpAnswer(429, error_type, body), SENDER).meaning is ReplyMeaning.SLOW_DOWN


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b'{"message":'])
def test_an_answer_without_a_code_is_in_doubt_whatever_its_body(body: bytes):
    assert read_answer(HttpAnswer(400, "", body), SENDER).meaning is ReplyMeaning.IN_DOUBT


@given(code=st.integers(0, 999), text=st.text(max_size=40), phase=st.sampled_from(Phase))
def test_every_smtp_reply_has_a_meaning_and_4xx_and_5xx_are_certain(code: int, text: str, phase: Phase):
    meaning = read_smtp(code, text, phase, sender=SENDER).meaning
    assert (meaning in CERTAIN) is (400 <= code < 600 or phase is not Phase.DOT)


@pytest.mark.parametrize("code", SMTP_CODES)
def test_every_smtp_code_has_its_table_meaning_at_the_final_dot(code: int):
    assert read_smtp(code, "because", Phase.DOT, sender=SENDER).meaning is SMTP_CODES[code].meaning


@pytest.mark.parametrize(
    ("code", "text", "phase", "meaning"),
    [
        (454, "Throttling failure: Maximum sending rate exceeded.", Phase.DOT, ReplyMeaning.SLOW_DOWN),
        (454, "Throttling failure: Daily message quota exceeded.", Phase.DOT, ReplyMeaning.QUOTA),
        (454, "Temporary service failure", Phase.DOT, ReplyMeaning.RETRY),
        (454, "Temporary authentication failure", Phase.LOGIN, ReplyMeaning.UNREACHABLE),
        (421, "Too many concurrent SMTP connections", Phase.LOGIN, ReplyMeaning.UNREACHABLE),
        (451, "Temporary service failure", Phase.DOT, ReplyMeaning.RETRY),
        (451, "Timeout waiting for data from client.", Phase.DOT, ReplyMeaning.RETRY),
        (530, "Authentication required", Phase.MAIL, ReplyMeaning.PAUSE),
        (535, "Authentication Credentials Invalid", Phase.LOGIN, ReplyMeaning.PAUSE),
        (535, "Account not subscribed to SES", Phase.LOGIN, ReplyMeaning.PAUSE),
        (552, "Message is too long.", Phase.DOT, ReplyMeaning.REFUSED),
        (553, "Invalid email address.", Phase.RCPT, ReplyMeaning.REFUSED),
        (554, "Access denied", Phase.MAIL, ReplyMeaning.PAUSE),
        (554, f"Message rejected: Email address is not verified. Failed: {SENDER}", Phase.DOT, ReplyMeaning.PAUSE),
        (554, "Message rejected: Email address is not verified: a@b.example", Phase.DOT, ReplyMeaning.REFUSED),
        (550, "5.1.1 no such user", Phase.RCPT, ReplyMeaning.REFUSED),
    ],
)
def test_ses_errors_mean_the_same_by_smtp_and_by_the_api(code: int, text: str, phase: Phase, meaning: ReplyMeaning):
    assert read_smtp(code, text, phase, sender=SENDER).meaning is meaning


@pytest.mark.parametrize("text", [*SMTP_TEXTS, "no"])
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("code", [421, 454, 530, 535, 550, 554])
def test_read_smtp_never_mentions_ses_for_another_server(text: str, phase: Phase, code: int):
    other = read_smtp(code, text, phase, sender="news@acme.example", ses=False)
    assert "SES" not in other.remedy
    assert other.meaning is read_smtp(code, text, phase, sender="news@acme.example").meaning


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\u6f22", "\U00020000"])
def test_every_reader_keeps_an_error_text_to_two_kilobytes(letter: str):
    long = letter * 900_000
    replies = [
        read_error(status=400, code="MessageRejected", message=long, sender=SENDER),
        read_error(status=400, code=long, message="no", sender=SENDER),
        read_error(status=502, code="", message=long, sender=SENDER),
        read_bulk_entry({"Status": "FAILED", "Error": long}, sender=SENDER),
        read_smtp(554, long, Phase.DOT, sender=SENDER),
        read_exception(ValueError(long)),
    ]
    assert all(1900 < len(reply.detail.encode()) <= LONGEST_DETAIL for reply in replies)


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        ("BadRequestException", "Identity acme.example is not associated with tenant shop.", ReplyMeaning.PAUSE),
        ("BadRequestException", "Invalid TenantName.", ReplyMeaning.PAUSE),
        ("MessageRejected", "Tenants of this account may not send.", ReplyMeaning.PAUSE),
        ("BadRequestException", "EndpointId abcdef12.g3h is not valid", ReplyMeaning.PAUSE),
        ("NotFoundException", "Tenant shop does not exist", ReplyMeaning.PAUSE),
        ("SendingPausedException", "Sending is paused for tenant shop", ReplyMeaning.PAUSE),
        ("TooManyRequestsException", "Too many requests of tenant shop", ReplyMeaning.SLOW_DOWN),
        ("BadRequestException", "Illegal address <tenant@example.com>", ReplyMeaning.REFUSED),
        ("BadRequestException", "Illegal address <a.tenant@example.com>", ReplyMeaning.REFUSED),
        ("BadRequestException", "Illegal address <a@tenant.example>", ReplyMeaning.REFUSED),
    ],
)
def test_reply_about_the_tenant_or_endpoint_pauses_the_run(code: str, text: str, meaning: ReplyMeaning):
    """It is the same for every message; an address with such a word in it blames its recipient alone."""
    status = 429 if meaning is ReplyMeaning.SLOW_DOWN else 400
    reply = read_error(status=status, code=code, message=text, sender=SENDER)
    assert reply.meaning is meaning
    assert bool(reply.remedy) is (meaning is ReplyMeaning.PAUSE)
