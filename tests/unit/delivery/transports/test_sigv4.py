"""The signer against botocore's own, byte for byte."""

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery.transports.sigv4 import Keys, Signer, derive_key
from engine.keyed_hash import KeyedHash

MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1))  # noqa: DTZ001 - made UTC below
PATHS = ("/v2/email/outbound-emails", "/v2/email/outbound-bulk-emails", "/base/path~1/v2/email/outbound-emails")
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


def sign_by_botocore(url: str, body: bytes, keys: Keys, moment: datetime, region: str) -> dict[str, str]:
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
    with patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
        SigV4Auth(credentials, "ses", region).add_auth(request)
    names = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
    return {name: request.headers[name] for name in names if name in request.headers}


def read_lines(lines: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in lines.decode().rstrip("\r\n").split("\r\n"))


@given(
    body=st.binary(max_size=5_000),
    secret=PRINTABLE,
    token=st.none() | PRINTABLE,
    naive=MOMENTS,
    path=st.sampled_from(PATHS),
    host=st.sampled_from(["email.eu-west-1.amazonaws.com", "127.0.0.1:8025", "email-fips.us-east-1.amazonaws.com"]),
    region=st.sampled_from(["us-east-1", "eu-west-1", "cn-north-1"]),
)
def test_every_signature_equals_botocores(  # noqa: PLR0917 - hypothesis gives each
    body: bytes, secret: str, token: str | None, naive: datetime, path: str, host: str, region: str
):
    moment = naive.replace(tzinfo=UTC, microsecond=0)
    keys = Keys("AKIDEXAMPLE", secret, token)
    signer = Signer(host, region=region, service="ses", content_type="application/json")
    for _ in range(2):  # the second time with the kept key
        mine = read_lines(signer.sign(path, body, keys, moment.timestamp()))
        assert mine == sign_by_botocore(f"https://{host}{path}", body, keys, moment, region)


def test_a_new_day_and_new_credentials_are_signed_with_a_new_key():
    signer = Signer("h", region="us-east-1", service="ses", content_type="application/json")
    first = Keys("AKID1", "secret-1", "token-1")
    renewed = Keys("AKID2", "secret-2", "token-2")
    evening = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
    morning = datetime(2026, 11, 25, 0, 0, 0, tzinfo=UTC)
    for keys, moment in ((first, evening), (first, morning), (renewed, morning), (first, evening)):
        mine = read_lines(signer.sign(PATHS[0], b"{}", keys, moment.timestamp()))
        assert mine == sign_by_botocore(f"https://h{PATHS[0]}", b"{}", keys, moment, "us-east-1")


def test_the_derived_key_is_that_of_awss_published_example():
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-examples.html
    key = derive_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", date="20120215", region="us-east-1", service="iam")
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_a_keyed_hash_is_an_hmac_whatever_the_keys_length(size: int):
    import hmac  # noqa: PLC0415 - the reference

    key = bytes(range(size))
    for message in (b"", b"x", b"y" * 5_000):
        assert KeyedHash(key).digest(message) == hmac.digest(key, message, "sha256")
