"""What the sandbox answers: results and errors as the SES API v2 words them."""

from typing import Any

import orjson
from msgspec import Struct


class SandboxReply(Struct, frozen=True):
    """One answer of the API.

    Attributes:
        status: the HTTP status.
        body: the JSON document.
        error_code: value of the `x-amzn-ErrorType` header; empty for a result.
        fault: a fault of the connection that spoils the delivery of this reply; empty for none.
        query_error: value of the `x-amzn-query-error` header, which SQS adds to errors.
    """

    status: int
    body: bytes
    error_code: str = ""
    fault: str = ""
    query_error: str = ""


class ApiError(Exception):
    """A call that SES refuses. It is sent to the client as a reply; mailrun never shows it to a person.

    Args:
        code: the error code, as in the SES API reference.
        message: the text of the error.
        status: the HTTP status.
    """

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def reply(self) -> SandboxReply:
        """Return the error as a reply."""
        return SandboxReply(self.status, orjson.dumps({"message": self.message}), self.code)


def result(document: dict[str, Any]) -> SandboxReply:
    """Return a successful reply with a JSON document."""
    return SandboxReply(200, orjson.dumps(document))


def bad_request(message: str) -> ApiError:
    """Return the error for input that SES does not accept."""
    return ApiError("BadRequestException", message)


def not_found(message: str) -> ApiError:
    """Return the error for a thing that does not exist."""
    return ApiError("NotFoundException", message, status=404)


def already_exists(message: str) -> ApiError:
    """Return the error for a thing that exists already."""
    return ApiError("AlreadyExistsException", message)


def message_rejected(message: str) -> ApiError:
    """Return the error for a message that SES will not send."""
    return ApiError("MessageRejected", message)


def rate_exceeded() -> ApiError:
    """Return the throttle reply; the text is the one seen from the real service."""
    return ApiError("TooManyRequestsException", "Maximum sending rate exceeded.", status=429)


def quota_exceeded() -> ApiError:
    """Return the reply at the end of the 24-hour quota."""
    return ApiError("LimitExceededException", "Daily message quota exceeded.")
