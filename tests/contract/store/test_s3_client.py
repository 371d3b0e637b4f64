"""The client of S3: one place turns its errors into mailrun's."""

from typing import Any

import pytest
from botocore import exceptions

from engine.errors import ConfigurationError, MailrunError, ServiceError, UnreachableError
from engine.store.s3_client import (
    ConditionFailedError,
    InvalidNameError,
    ObjectMissingError,
    S3RefusedError,
    WriteConflictError,
    name_answer,
    open_s3,
    translate_s3_errors,
)


def answer(status: int, code: str) -> Exception:
    reply: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = exceptions.ClientError(reply, "GetObject")
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer(404, "NoSuchKey"), ObjectMissingError),
        (answer(404, "404"), ObjectMissingError),
        (answer(404, "NoSuchBucket"), S3RefusedError),
        (answer(403, "AccessDenied"), S3RefusedError),
        (answer(301, "PermanentRedirect"), S3RefusedError),
        (answer(409, "ConditionalRequestConflict"), WriteConflictError),
        (answer(412, "PreconditionFailed"), ConditionFailedError),
        (answer(500, "InternalError"), UnreachableError),
        (answer(503, "SlowDown"), UnreachableError),
        (answer(400, "RequestTimeout"), UnreachableError),
        (exceptions.ReadTimeoutError(endpoint_url="https://s3.example"), UnreachableError),
        (exceptions.EndpointConnectionError(endpoint_url="https://s3.example"), UnreachableError),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), UnreachableError),
        (exceptions.ParamValidationError(report="Key is too long"), InvalidNameError),
        (exceptions.NoCredentialsError(), ConfigurationError),
        (exceptions.NoRegionError(), ConfigurationError),
    ],
)
def test_every_error_of_s3_has_one_meaning(error: Exception, kind: type[MailrunError]) -> None:
    with pytest.raises(MailrunError) as raised, translate_s3_errors("s3://bucket/key"):
        raise error
    assert type(raised.value) is kind
    assert raised.value.where == "s3://bucket/key"
    assert raised.value.remedy


def test_the_code_of_an_answer_is_named() -> None:
    for error, code in ((answer(403, "AccessDenied"), "AccessDenied"), (exceptions.NoCredentialsError(), "")):
        with pytest.raises(MailrunError) as raised, translate_s3_errors("s3://bucket/key"):
            raise error
        assert name_answer(raised.value) == code


def test_a_refusal_names_the_permissions_that_are_needed() -> None:
    with pytest.raises(S3RefusedError) as raised, translate_s3_errors("s3://bucket", needs="s3:PutObject"):
        raise answer(403, "AccessDenied")
    assert "s3:PutObject" in raised.value.remedy


@pytest.mark.parametrize("error", [answer(503, "SlowDown"), exceptions.ReadTimeoutError(endpoint_url="https://s3")])
def test_a_caller_may_choose_the_error_of_an_unreachable_s3(error: Exception) -> None:
    with pytest.raises(ServiceError), translate_s3_errors("s3://bucket", unreachable=ServiceError):
        raise error


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_ENDPOINT_URL_S3", "not a url"), ("AWS_MAX_ATTEMPTS", "many"), ("AWS_PROFILE", "nobody")]
)
def test_open_s3_refuses_a_wrong_aws_setting(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=value) as raised:
        open_s3()
    assert raised.value.remedy


@pytest.mark.parametrize(("given", "attempts"), [(None, 5), ("2", 2)])
def test_open_s3_repeats_as_often_as_aws_settings_say(
    given: str | None, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    if given is not None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", given)
    client = open_s3(attempts=5)
    assert client.meta.config.retries["total_max_attempts"] == attempts
    client.close()
