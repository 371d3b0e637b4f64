"""The client of S3 that every part of mailrun uses: credentials, endpoint, time limits, retries and errors.

It is boto3's, which blocks: its callers run in threads. No caller needs an asynchronous one. Only the sandbox has its
own, because it does not import the engine: it reads the objects of import jobs as SES does.

Credentials, profile, region and endpoint (`AWS_ENDPOINT_URL_S3`) are what botocore resolves. It repeats every request
by itself, with back-off and jitter, so a request may be made twice. `AWS_MAX_ATTEMPTS` or a profile's `max_attempts`
say how often; otherwise the caller does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import botocore.session
from botocore import exceptions
from botocore.config import Config

from engine.errors import ConfigurationError, MailrunError, PausedError, UnreachableError
from engine.system.proxies import explain_proxy
from engine.transaction_guard import refuse_in_transaction

ATTEMPTS = 8  # with back-off: a run survives a store that is unreachable for 30 s
CONNECTIONS = 10  # at one time; more threads wait for one
_CONNECT_SECONDS = 5
_READ_SECONDS = 30  # of silence
_AGAIN = "run the same command again"
_SETTINGS = "check the AWS credentials, profile and region; AWS_ENDPOINT_URL_S3 names a server other than AWS's"
_BUSY_CODES = ("SlowDown", "RequestTimeout", "Throttling")
_NETWORK_ERRORS = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)


class ObjectMissingError(PausedError):
    """There is no such object."""


class ConditionFailedError(PausedError):
    """The object exists already, or its version is not the expected one."""


class WriteConflictError(UnreachableError):
    """Another write of the same object is in progress, and may still fail."""


class InvalidNameError(ConfigurationError):
    """No bucket or object can have this name; no request was sent."""


class S3RefusedError(ConfigurationError):
    """S3 refuses the request: no permission, no such bucket, another region."""


def open_s3(*, attempts: int = ATTEMPTS) -> Any:
    """Open a client of S3. Close it when it is not needed any more.

    Args:
        attempts: how often a request is made before it fails, where AWS's own settings do not say.

    Raises:
        ConfigurationError: a profile that does not exist, no region, or an endpoint that is not a URL.
    """
    with translate_s3_errors("the AWS settings"):
        try:
            return _make_client(attempts)
        except (
            ValueError
        ) as error:  # what botocore raises for an endpoint that is not a URL, or a setting that is not a number
            raise ConfigurationError(
                f"the AWS configuration is wrong: {error}",
                where="AWS_ENDPOINT_URL_S3, AWS_MAX_ATTEMPTS, or the profile",
                remedy="correct what the message quotes; an endpoint is https://host or http://host:port",
            ) from error


def _make_client(attempts: int) -> Any:
    core = botocore.session.Session()  # a new one: boto3's shared one keeps old credentials
    is_set = core.get_config_variable("max_attempts") is not None
    config = Config(
        retries={"mode": "standard"} | ({} if is_set else {"total_max_attempts": attempts}),
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        # Stores other than AWS's do not support the newer checksums; digests are in run.json and in the ledger.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    boto3 = import_module("boto3.session")  # 45 ms, which a command on a folder store does not need
    return boto3.Session(botocore_session=core).client("s3", config=config)


@contextmanager
def translate_s3_errors(
    where: str, *, what: str = "S3", needs: str = "", unreachable: type[MailrunError] = UnreachableError
) -> Iterator[None]:
    """Translate botocore's errors of S3 to mailrun's own; the only place that does.

    Args:
        where: the object or bucket, such as s3://BUCKET/KEY.
        what: the service in messages, such as `the store`.
        needs: the permissions that the request needs, such as `s3:GetObject`.
        unreachable: raised where S3 does not answer, or is busy.

    Raises:
        ObjectMissingError: there is no such object.
        ConditionFailedError: the condition of a write or read is not met.
        WriteConflictError: another write of the object is in progress.
        S3RefusedError: S3 refuses.
        InvalidNameError: no bucket or object can have this name.
        ConfigurationError: credentials, profile, region or endpoint are wrong.
        UnreachableError: S3 does not answer; another type with `unreachable`.
    """
    refuse_in_transaction(where)
    try:
        yield
    except exceptions.ClientError as error:
        raise _translate_answer(error, where, what, needs, unreachable) from error
    except exceptions.BotoCoreError as error:
        if isinstance(error, _NETWORK_ERRORS):
            remedy = explain_proxy(error, f"check the network and the endpoint, then {_AGAIN}")
            raise unreachable(f"{what} cannot be reached: {error}", where=where, remedy=remedy) from error
        if isinstance(error, exceptions.ParamValidationError):
            what, remedy = f"the request to {what} is not valid: {error}", "check the names of bucket and object"
            raise InvalidNameError(what, where=where, remedy=remedy) from error
        raise ConfigurationError(f"{what} cannot be used: {error}", where=where, remedy=_SETTINGS) from error


def name_answer(error: MailrunError) -> str:
    """Return the error code of S3's answer; empty where it did not answer.

    Args:
        error: one that `translate_s3_errors` raised.
    """
    cause = error.__cause__
    return _read_code(cause)[0] if isinstance(cause, exceptions.ClientError) else ""


def _read_code(error: exceptions.ClientError) -> tuple[str, int]:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return str(error.response.get("Error", {}).get("Code") or status), status


def _translate_answer(
    error: exceptions.ClientError, where: str, what: str, needs: str, unreachable: type[MailrunError]
) -> MailrunError:
    code, status = _read_code(error)
    if status == 412:
        return ConditionFailedError("the object exists already, or was changed meanwhile", where=where, remedy=_AGAIN)
    if status == 409:
        return WriteConflictError("another process writes the same object", where=where, remedy=_AGAIN)
    if code == "NoSuchBucket":
        remedy = "check its name and the AWS region"
        return S3RefusedError(f"there is no such bucket ({code})", where=where, remedy=remedy)
    if status == 404:
        return ObjectMissingError("there is no such object", where=where, remedy="check bucket and key")
    if status >= 500 or code in _BUSY_CODES:
        return unreachable(f"{what} answers {code}, repeatedly", where=where, remedy=f"{_AGAIN} later")
    permissions = f", and that they allow {needs}" if needs else ""
    remedy = f"check the bucket's name and region, and the AWS credentials and profile{permissions}"
    return S3RefusedError(f"{what} refuses the request: {error}", where=where, remedy=remedy)
