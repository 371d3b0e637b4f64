"""Endpoints that support only a part of SES's API: test servers, and gateways."""

import os
from typing import Any

import botocore.exceptions

from engine.account.client import is_of_aws
from engine.errors import ConfigurationError, ServiceError

_VARIABLES = ("AWS_ENDPOINT_URL_SESV2", "AWS_ENDPOINT_URL")
_STATUSES = ("400", "404", "405", "501")


class UnknownOperationError(ConfigurationError):
    """The endpoint is not SES, and does not support an operation.

    Args:
        client: whose endpoint it is.
        operation: such as GetAccount.
    """

    def __init__(self, client: Any, operation: str) -> None:
        super().__init__(
            f"{client.meta.endpoint_url} is not SES and does not support {operation}",
            where=find_variable(),
            remedy="set [delivery] max_rate to send there anyway, or use --sandbox, which supports it",
        )


def find_variable() -> str:
    """Name the setting that chose the endpoint."""
    return next((name for name in _VARIABLES if os.environ.get(name)), "endpoint_url of the AWS profile")


def is_unknown_operation(error: ServiceError, client: Any) -> bool:
    """Return whether an endpoint other than AWS's does not support an operation: SES has a code in every error."""
    cause = error.__cause__
    if not isinstance(cause, botocore.exceptions.ClientError):
        return False
    status, code = cause.response["ResponseMetadata"]["HTTPStatusCode"], cause.response["Error"].get("Code", "")
    return str(status) in _STATUSES and code in (str(status), "") and not is_of_aws(client)
