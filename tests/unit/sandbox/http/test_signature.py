"""The sandbox verifies what botocore signs, and nothing else."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from support.crt import auth, http

from engine.sandbox.http.replies import ApiError
from engine.sandbox.http.signature import EVERY_REGION, MAX_DERIVED_KEYS, Verifier

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "http://127.0.0.1:8025"


class OffsetClock:
    """The real time, moved: botocore signs with the machine's clock."""

    def __init__(self, offset_seconds: float = 0) -> None:
        self.offset = timedelta(seconds=offset_seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def signed(
    target: str = "/v2/email/account",
    *,
    method: str = "GET",
    body: bytes = b"",
    secret: str = SECRET,
    token: str | None = None,
    service: str = "ses",
    region: str = "eu-west-1",
) -> CIMultiDict[str]:
    request = AWSRequest(method, HOST + target, headers={"Content-Type": "application/json"}, data=body)
    SigV4Auth(Credentials(KEY, secret, token), service, region).add_auth(request)
    return CIMultiDict({"Host": urlsplit(HOST).netloc, **dict(request.headers.items())})


def signed_for_every_region(
    target: str = "/v2/email/outbound-emails",
    *,
    body: bytes = b"{}",
    secret: str = SECRET,
    token: str | None = None,
    region: str = "*",
    service: str = "ses",
    query: str = "",
) -> CIMultiDict[str]:
    """Let AWS's own library sign."""
    given_headers = [("Content-Type", "application/json"), ("Host", urlsplit(HOST).netloc)]
    request = http.HttpRequest("POST", target + query, http.HttpHeaders(given_headers), BytesIO(body))
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=auth.AwsCredentialsProvider.new_static(KEY, secret, token),
        region=region,
        service=service,
        date=datetime.now(UTC),
    )
    return CIMultiDict(list(auth.aws_sign_request(request, config).result(10).headers))


def verify(
    headers: CIMultiDict[str],
    target: str = "/v2/email/account",
    *,
    method: str = "GET",
    body: bytes = b"",
    offset_seconds: float = 0,
) -> str:
    verifier = Verifier({KEY: SECRET}, OffsetClock(offset_seconds))
    return verifier.verify(method=method, target=target, headers=CIMultiDictProxy(headers), body=body)


def refusal(headers: CIMultiDict[str], **call: float) -> tuple[str, int]:
    with pytest.raises(ApiError) as caught:
        verify(headers, **call)  # type: ignore[arg-type]  # offset_seconds alone is passed here
    return caught.value.code, caught.value.status


@given(
    name=st.text(min_size=1, max_size=20),
    values=st.lists(st.text(max_size=10), max_size=3),
    token=st.none() | st.from_regex(r"[!-~]{1,40}", fullmatch=True),
    body=st.binary(max_size=200),
)
def test_what_awss_library_signs_for_every_region_is_verified(
    name: str, values: list[str], token: str | None, body: bytes
) -> None:
    """Any path, query, token and body; the canonical request is then the same as the library's."""
    target = "/v2/email/x/" + quote(name, safe="-._~")
    if target.endswith(("/.", "/..")):
        return  # a client resolves these itself before it sends them
    query = "?" + "&".join(f"Reason={quote(value, safe='-._~')}" for value in values) if values else ""
    headers = signed_for_every_region(target, body=body, token=token, query=query)
    assert verify(headers, target + query, method="POST", body=body) == EVERY_REGION


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"secret": "wrong"}, "does not match"),
        ({"region": "eu-west-1"}, "region set"),
        ({"service": "sqs"}, "correct service"),
    ],
)
def test_what_is_not_signed_for_this_service_in_every_region_is_refused(
    given_settings: dict[str, str], said: str
) -> None:
    headers = signed_for_every_region(**given_settings)  # type: ignore[arg-type]  # as the function takes them
    with pytest.raises(ApiError, match=said):
        verify(headers, "/v2/email/outbound-emails", method="POST", body=b"{}")


@pytest.mark.parametrize("offset_seconds", [-1000, 1000])
def test_a_signature_for_every_region_is_refused_when_the_clock_is_off(offset_seconds: float) -> None:
    call: dict[str, Any] = {"method": "POST", "body": b"{}", "offset_seconds": offset_seconds}
    with pytest.raises(ApiError, match="15 min"):
        verify(signed_for_every_region(), "/v2/email/outbound-emails", **call)


def test_a_changed_call_that_was_signed_for_every_region_is_refused() -> None:
    call: dict[str, Any] = {"method": "POST", "body": b"{}", "target": "/v2/email/outbound-emails"}
    headers = signed_for_every_region()
    for changed in ({"body": b"{ }"}, {"method": "PUT"}, {"target": "/v2/email/outbound-emails/x"}):
        with pytest.raises(ApiError, match="does not match"):
            verify(headers, **(call | changed))
    headers["Authorization"] = headers["Authorization"].partition("Signature=")[0] + "Signature=00ff"
    with pytest.raises(ApiError, match="does not match"):
        verify(headers, **call)


def test_a_region_set_that_was_not_signed_is_refused() -> None:
    headers = signed_for_every_region()
    headers["Authorization"] = headers["Authorization"].replace("x-amz-region-set", "x-amz-date")
    with pytest.raises(ApiError, match="must be among the signed headers"):
        verify(headers, "/v2/email/outbound-emails", method="POST", body=b"{}")


def test_what_botocore_signs_is_verified_and_its_region_returned() -> None:
    body = b'{"a":"\xc3\xa9"}'
    assert verify(signed("/v2/x", method="POST", body=body), "/v2/x", method="POST", body=body) == "eu-west-1"


@given(name=st.text(min_size=1, max_size=20), values=st.lists(st.text(max_size=10), max_size=3))
def test_any_path_and_query_that_botocore_signs_is_verified(name: str, values: list[str]) -> None:
    target = "/v2/email/identities/" + quote(name, safe="-._~")
    target += "?" + "&".join(f"Reason={quote(value, safe='-._~')}" for value in values) if values else ""
    if urlsplit(target).path.endswith(("/.", "/..")):
        return  # a client resolves these itself before it sends them
    assert verify(signed(target), target)


def test_the_session_token_is_part_of_what_is_signed() -> None:
    headers = signed(token="session")
    assert verify(headers)
    headers["X-Amz-Security-Token"] = "another"
    assert refusal(headers) == ("InvalidSignatureException", 403)


def test_a_session_token_that_was_not_signed_is_refused() -> None:
    headers = signed()
    headers["X-Amz-Security-Token"] = "added"
    assert refusal(headers) == ("InvalidSignatureException", 403)


def test_a_call_without_authorization_is_refused() -> None:
    assert refusal(CIMultiDict({"Host": "127.0.0.1"})) == ("MissingAuthenticationToken", 403)


def test_an_unknown_access_key_is_refused() -> None:
    headers = signed()
    headers["Authorization"] = headers["Authorization"].replace(KEY, "AKIDOTHER")
    assert refusal(headers) == ("UnrecognizedClientException", 403)


def test_a_wrong_secret_is_refused() -> None:
    assert refusal(signed(secret="wrong")) == ("InvalidSignatureException", 403)


def test_another_service_is_refused() -> None:
    assert refusal(signed(service="sqs")) == ("InvalidSignatureException", 403)


def test_a_malformed_authorization_is_refused() -> None:
    headers = signed()
    headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=x"
    assert refusal(headers) == ("IncompleteSignature", 403)


@pytest.mark.parametrize("offset_seconds", [-1000, 1000])
def test_a_date_more_than_fifteen_minutes_off_is_refused(offset_seconds: float) -> None:
    assert refusal(signed(), offset_seconds=offset_seconds) == ("InvalidSignatureException", 403)


@pytest.mark.parametrize("offset_seconds", [-800, 800])
def test_date_less_than_fifteen_minutes_off_is_accepted(offset_seconds: float) -> None:
    assert verify(signed(), offset_seconds=offset_seconds)


@pytest.mark.parametrize("date", ["", "yesterday", "20010101T000000Z"])
def test_a_date_that_is_missing_malformed_or_not_of_the_scope_is_refused(date: str) -> None:
    headers = signed()
    headers["X-Amz-Date"] = date
    assert refusal(headers) == ("IncompleteSignature", 403)


def test_a_changed_body_method_path_or_header_is_refused() -> None:
    headers = signed(method="POST", body=b"{}")
    for changed in ({"body": b"{ }"}, {"method": "PUT"}, {"target": "/v2/email/accounts"}):
        call = {"method": "POST", "body": b"{}", "target": "/v2/email/account", **changed}
        with pytest.raises(ApiError, match="does not match"):
            verify(headers, **call)  # type: ignore[arg-type]  # a dict of differently typed arguments
    headers["Content-Type"] = "text/plain"
    with pytest.raises(ApiError, match="does not match"):
        verify(headers, method="POST", body=b"{}")


def test_derived_keys_are_kept_in_bounds() -> None:
    verifier = Verifier({KEY: SECRET}, OffsetClock())
    for number in range(MAX_DERIVED_KEYS + 10):
        headers = CIMultiDictProxy(signed(region=f"eu-west-{number}"))
        assert verifier.verify(method="GET", target="/v2/email/account", headers=headers, body=b"")
    assert len(verifier._derived) <= MAX_DERIVED_KEYS
