"""The answers of an account, without SES."""

from typing import Any

import botocore.exceptions as aws


class CannedClient:
    """Answers GetAccount with a document, GetEmailIdentity with an error or a document for every name."""

    def __init__(self, account: dict[str, Any] | None = None, identity: dict[str, Any] | str = "") -> None:
        self._account, self._identity = account or {}, identity
        self.asked: list[str] = []

    async def get_account(self) -> dict[str, Any]:
        return self._account

    async def get_email_identity(self, *, EmailIdentity: str) -> dict[str, Any]:  # noqa: N803 - the API's name
        self.asked.append(EmailIdentity)
        if isinstance(self._identity, str):
            raise client_error(self._identity, 400)
        return self._identity


def client_error(code: str, status: int) -> aws.ClientError:
    response = {"Error": {"Code": code, "Message": "said so"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(response, "GetAccount")
