"""What a refused call needs: its IAM action, and the line of a policy that permits it."""

import re
from typing import Any

# Services whose actions have another prefix than botocore's name for them.
_PREFIXES = {"sesv2": "ses", "cloudwatch": "cloudwatch"}
# Operations that are permitted by an action of another name (https://docs.aws.amazon.com/service-authorization/).
_ACTIONS = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "ses:GetEmailAddressInsights": "ses:GetEmailAddressInsights",
}
_NAMED = re.compile(r"not authorized to perform: (?P<action>[a-z0-9-]+:[A-Za-z]+)(?: on resource: (?P<resource>\S+))?")
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "NotAuthorized"}
    | {"UnauthorizedOperation"}
)


def is_denied(code: str) -> bool:
    """Return whether the code of an error says that a permission is missing."""
    return code in _DENIED


def find_action(service: str, operation: str, message: str) -> tuple[str, str]:
    """Find the permission that a refused call needs.

    Args:
        service: as botocore names it, such as sesv2.
        operation: such as GetAccount.
        message: AWS's own, which names action and resource in most cases.

    Returns:
        The action, and the resource; `*` where AWS does not name it.

    >>> find_action("sesv2", "GetAccount", "")
    ('ses:GetAccount', '*')
    """
    if named := _NAMED.search(message):
        return named["action"], (named["resource"] or "*").rstrip(".,")
    action = f"{_PREFIXES.get(service, service)}:{operation}"
    return _ACTIONS.get(action, action), "*"


def write_statement(action: str, resource: str = "*") -> str:
    """Write the line of an IAM policy that permits an action.

    >>> write_statement("ses:GetAccount")
    '{"Effect": "Allow", "Action": "ses:GetAccount", "Resource": "*"}'
    """
    return f'{{"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"}}'


def explain_denied(error: Any) -> str:
    """Say what to do about a refused call.

    Args:
        error: botocore's ClientError; a client of `services.py` has noted its service in it.
    """
    message = error.response["Error"].get("Message", "")
    action, resource = find_action(getattr(error, "service", "sesv2"), error.operation_name, message)
    return f"add this line to the policy of your user or role: {write_statement(action, resource)}"
