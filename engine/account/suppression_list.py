"""The account's own suppression list in SES: one call a second, case-sensitive addresses.

Source: SES API v2 (ListSuppressedDestinations and related calls: one a second each); developer guide, "Using the
account-level suppression list": the API compares addresses with case, sending without.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import botocore.exceptions

from engine.account.client import translate_aws_errors
from engine.clock import Clock

PAGE_SIZE = 1000
SECONDS_BETWEEN_CALLS = 1.0
MOST_TRIES = 6  # of a call that SES throttles, because another program of the account calls it too
_THROTTLES = ("TooManyRequestsException", "ThrottlingException", "Throttling")

T = TypeVar("T")


class ListedAddress(NamedTuple):
    """An entry of the account's list.

    Attributes:
        address: with the case that the list has.
        reason: BOUNCE or COMPLAINT.
        at: when it was last changed.
    """

    address: str
    reason: str
    at: datetime


class SuppressionPage(NamedTuple):
    """Entries, and the token of the next page; None at the end."""

    entries: list[ListedAddress]
    next_token: str | None


class RefusedAddressError(Exception):
    """SES rejects this address permanently."""


class ExpiredTokenError(Exception):
    """The token of the next page has expired: list again from the start."""


class AccountSuppressionList:
    """Calls SES, never more than once a second.

    Args:
        client: an SES v2 client.
        clock: waits between calls.
    """

    def __init__(self, client: Any, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._next_call_at = clock.monotonic()
        self.calls = 0

    async def list_page(self, *, start: datetime | None, token: str | None) -> SuppressionPage:
        """Read one page of the entries that changed since `start`.

        Raises:
            ExpiredTokenError: the token has expired.
            ServiceError: SES cannot be reached, or refuses.
        """
        request: dict[str, Any] = {"PageSize": PAGE_SIZE}
        request |= {"StartDate": start} if start is not None else {}
        request |= {"NextToken": token} if token is not None else {}
        try:
            answer = await self._call(lambda: self._client.list_suppressed_destinations(**request))
        except botocore.exceptions.ClientError as error:
            if error.response["Error"].get("Code") == "InvalidNextTokenException":
                raise ExpiredTokenError from error
            with translate_aws_errors("SES"):
                raise
        entries = [
            ListedAddress(item["EmailAddress"], item["Reason"], item["LastUpdateTime"])
            for item in answer.get("SuppressedDestinationSummaries", [])
        ]
        return SuppressionPage(entries, answer.get("NextToken"))

    async def get(self, address: str) -> ListedAddress | None:
        """Look up one address, in exactly this case; None where it is not listed."""
        try:
            answer = await self._call(lambda: self._client.get_suppressed_destination(EmailAddress=address))
        except botocore.exceptions.ClientError as error:
            if error.response["Error"].get("Code") == "NotFoundException":
                return None
            with translate_aws_errors("SES"):
                raise
        found = answer["SuppressedDestination"]
        return ListedAddress(found["EmailAddress"], found["Reason"], found["LastUpdateTime"])

    async def put(self, address: str, reason: str) -> None:
        """Add an address to the list.

        Args:
            address: to add.
            reason: BOUNCE or COMPLAINT.

        Raises:
            RefusedAddressError: SES rejects the address.
            ServiceError: SES cannot be reached, or refuses.
        """
        try:
            await self._call(lambda: self._client.put_suppressed_destination(EmailAddress=address, Reason=reason))
        except botocore.exceptions.ClientError as error:
            if error.response["Error"].get("Code") == "BadRequestException":
                raise RefusedAddressError(error.response["Error"].get("Message", "")) from error
            with translate_aws_errors("SES"):
                raise

    async def delete(self, address: str) -> bool:
        """Remove an address, in exactly this case; False where it was not listed."""
        try:
            await self._call(lambda: self._client.delete_suppressed_destination(EmailAddress=address))
        except botocore.exceptions.ClientError as error:
            if error.response["Error"].get("Code") == "NotFoundException":
                return False
            with translate_aws_errors("SES"):
                raise
        return True

    async def create_import_job(self, url: str) -> str:
        """Start an import job for an object with lines `address,REASON`; returns the job's id."""
        destination = {"SuppressionListDestination": {"SuppressionListImportAction": "PUT"}}
        source = {"S3Url": url, "DataFormat": "CSV"}
        with translate_aws_errors("SES"):
            answer = await self._call(
                lambda: self._client.create_import_job(ImportDestination=destination, ImportDataSource=source)
            )
        return str(answer["JobId"])

    async def get_import_job(self, job: str) -> dict[str, Any]:
        """Return GetImportJob's answer for a job."""
        with translate_aws_errors("SES"):
            answer: dict[str, Any] = await self._call(lambda: self._client.get_import_job(JobId=job))
        return answer

    async def _call(self, make: Callable[[], Awaitable[T]]) -> T:
        """Make a call, at least a second after the last one; retry where SES throttles it."""
        for attempt in range(MOST_TRIES):
            wait = self._next_call_at - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
            self._next_call_at = self._clock.monotonic() + SECONDS_BETWEEN_CALLS * 2**attempt
            self.calls += 1
            try:
                return await make()
            except botocore.exceptions.ClientError as error:
                if error.response["Error"].get("Code") not in _THROTTLES or attempt == MOST_TRIES - 1:
                    raise
        raise AssertionError("the last try returns or raises")
