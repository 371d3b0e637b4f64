"""The code of an error reply, read back from the error that it was translated to."""

import botocore.exceptions

from engine.account.permissions import is_denied
from engine.errors import MailrunError

_NOT_FOUND = frozenset({"NotFoundException", "NotFound"})


def read_code(error: MailrunError) -> str:
    """Return the code of AWS's error reply, such as NotFoundException; empty where there was no reply."""
    cause = error.__cause__
    return cause.response["Error"].get("Code", "") if isinstance(cause, botocore.exceptions.ClientError) else ""


def is_not_found(error: MailrunError) -> bool:
    """Return whether AWS answered that a resource does not exist."""
    return read_code(error) in _NOT_FOUND


def lacks_permission(error: MailrunError) -> bool:
    """Return whether AWS answered that a permission is missing."""
    return is_denied(read_code(error))
