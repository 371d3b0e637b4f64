"""The asymmetric signer against AWS's own library: texts and keys are equal, each verifies the other's signatures."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.crt import auth, crypto, http

from engine.delivery.transports.sigv4 import Keys
from engine.delivery.transports.sigv4a import AsymmetricSigner, derive_key, derive_private_value

MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1))  # noqa: DTZ001 - made UTC below
PATHS = ("/v2/email/outbound-emails", "/v2/email/outbound-bulk-emails", "/base/path~1/v2/email/outbound-emails")
HOSTS = ("abcdef12.g3h.endpoints.email.amazonaws.com", "127.0.0.1:8025", "x.endpoints.email.us-gov.amazonaws.com")
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
NAMES = ("X-Amz-Date", "X-Amz-Region-Set", "X-Amz-Security-Token", "Authorization")


def sign_by_aws(host: str, path: str, body: bytes, keys: Keys, moment: datetime) -> dict[str, str]:
    headers = http.HttpHeaders([("Content-Type", "application/json"), ("Host", host)])
    request = http.HttpRequest("POST", path, headers, BytesIO(body))
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=auth.AwsCredentialsProvider.new_static(keys.access_key, keys.secret_key, keys.token),
        region="*",
        service="ses",
        date=moment,
        use_double_uri_encode=True,
        should_normalize_uri_path=True,
    )
    signed = auth.aws_sign_request(request, config).result(10)
    return {name: found for name in NAMES if (found := signed.headers.get(name)) is not None}


def read_lines(lines: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in lines.decode().rstrip("\r\n").split("\r\n"))


def split_signature(lines: dict[str, str]) -> tuple[dict[str, str], bytes]:
    begin, _, signature = lines["Authorization"].partition("Signature=")
    return lines | {"Authorization": begin}, bytes.fromhex(signature)


@given(
    body=st.binary(max_size=5_000),
    access_key=st.from_regex(r"[A-Z0-9]{16,40}", fullmatch=True),
    secret=PRINTABLE,
    token=st.none() | PRINTABLE,
    naive=MOMENTS,
    path=st.sampled_from(PATHS),
    host=st.sampled_from(HOSTS),
)
def test_each_signature_verifies_with_the_key_and_text_of_the_other(  # noqa: PLR0917 - hypothesis gives each
    body: bytes, access_key: str, secret: str, token: str | None, naive: datetime, path: str, host: str
):
    """AWS's library shows neither text nor key, so its signature proves both: it verifies with mine."""
    moment = naive.replace(tzinfo=UTC, microsecond=0)
    keys = Keys(access_key, secret, token)
    signer = AsymmetricSigner(host, service="ses", content_type="application/json")
    public = derive_key(access_key, secret).public_key()
    read_by_aws = crypto.EC.new_key_from_der_data(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    theirs, their_signature = split_signature(sign_by_aws(host, path, body, keys, moment))
    for _ in range(2):  # the second time with the kept key
        mine, my_signature = split_signature(read_lines(signer.sign(path, body, keys, moment.timestamp())))
        assert mine == theirs
        text = signer.write_to_sign(path, body)
        assert read_by_aws.verify(sha256(text).digest(), my_signature)
        public.verify(their_signature, text, ECDSA(SHA256()))


def test_the_derived_key_is_that_of_awss_published_test_suite():
    # The credentials and the private key of awslabs/aws-c-auth, tests/key_derivation_tests.c
    value = derive_private_value("AKISORANDOMAASORANDOM", "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom")
    assert f"{value:064x}" == "7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd"


def test_new_credentials_and_a_new_second_are_signed_again():
    signer = AsymmetricSigner("h", service="ses", content_type="application/json")
    first, renewed = Keys("AKID1", "secret-1", "token-1"), Keys("AKID2", "secret-2", "token-2")
    evening = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
    for keys, moment in (
        (first, evening),
        (first, evening + timedelta(seconds=1)),
        (renewed, evening),
        (first, evening),
    ):
        lines = signer.sign(PATHS[0], b"{}", keys, moment.timestamp())
        mine, signature = split_signature(read_lines(lines))
        assert mine == split_signature(sign_by_aws("h", PATHS[0], b"{}", keys, moment))[0]
        public = derive_key(keys.access_key, keys.secret_key).public_key()
        public.verify(signature, signer.write_to_sign(PATHS[0], b"{}"), ECDSA(SHA256()))


def test_no_signature_is_used_twice():
    signer, keys = AsymmetricSigner("h", service="ses", content_type="application/json"), Keys("AKID1", "secret-1")
    assert len({signer.sign(PATHS[0], b"{}", keys, 1_000.0) for _ in range(8)}) == 8


def test_another_secret_does_not_verify():
    signer = AsymmetricSigner("h", service="ses", content_type="application/json")
    _, signature = split_signature(read_lines(signer.sign(PATHS[0], b"{}", Keys("AKID", "right"), 1_000.0)))
    with pytest.raises(InvalidSignature):
        derive_key("AKID", "wrong").public_key().verify(
            signature, signer.write_to_sign(PATHS[0], b"{}"), ECDSA(SHA256())
        )
