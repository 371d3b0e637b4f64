"""AWS credentials that expire, asked for again in good time and not more often than that.

botocore asks for new ones whenever fewer than 15 minutes are left, at every look: a program that gives credentials for
10 minutes (`credential_process`) would be started for every request. Here the next question comes when half of what is
left is over, for every kind of issuer, and after one that failed as well.
"""

from typing import Any

_ADVISORY_SECONDS, _MANDATORY_SECONDS = 900, 600  # botocore's own, from when on it asks


class SpacedCredentials:
    """botocore's credentials; it keeps and renews them, here it is told when.

    Args:
        credentials: of an aiobotocore session; static ones never expire.
    """

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self._expires: Any = None

    async def get_frozen_credentials(self) -> Any:
        """Return keys and token, renewed where they are due.

        Raises:
            Exception: whatever the provider raises.
        """
        frozen = await self._credentials.get_frozen_credentials()
        expires = getattr(self._credentials, "_expiry_time", None)
        if expires is not None:
            self._space_out(expires)
        return frozen

    def _space_out(self, expires: Any) -> None:
        """Let botocore ask again when half is over; new credentials, or a question that failed, start again."""
        credentials = self._credentials
        left = max(0.0, credentials._seconds_remaining())  # noqa: SLF001 - botocore has no other word for it
        if expires != self._expires or left < credentials._advisory_refresh_timeout:  # noqa: SLF001 - as above
            self._expires = expires
            credentials._advisory_refresh_timeout = min(_ADVISORY_SECONDS, left / 2)  # noqa: SLF001 - as above
            credentials._mandatory_refresh_timeout = min(_MANDATORY_SECONDS, left / 4)  # noqa: SLF001 - as above
