"""AWS credentials that expire: renewed in time, and not more often than needed.

botocore requests new credentials at every use while fewer than 15 minutes are left: a program that issues credentials
for 10 minutes (`credential_process`) would be started for every request. Here they are renewed when half of their
remaining time is over, for every kind of issuer, and also after a failed renewal.
"""

from typing import Any

_ADVISORY_SECONDS, _MANDATORY_SECONDS = 900, 600  # botocore's own limits, below which it renews


class SpacedCredentials:
    """botocore's credentials, renewed at the times that this class sets.

    Args:
        credentials: of an aiobotocore session; static credentials never expire.
    """

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self._expires: Any = None

    async def get_frozen_credentials(self) -> Any:
        """Return keys and token; renew them if due.

        Raises:
            Exception: whatever the provider raises.
        """
        frozen = await self._credentials.get_frozen_credentials()
        expires = getattr(self._credentials, "_expiry_time", None)
        if expires is not None:
            self._space_out(expires)
        return frozen

    def _space_out(self, expires: Any) -> None:
        """Let botocore renew when half of the time is over; new credentials, or a failed renewal, start again."""
        credentials = self._credentials
        left = max(0.0, credentials._seconds_remaining())  # noqa: SLF001 - botocore offers nothing public
        if expires != self._expires or left < credentials._advisory_refresh_timeout:  # noqa: SLF001 - as above
            self._expires = expires
            credentials._advisory_refresh_timeout = min(_ADVISORY_SECONDS, left / 2)  # noqa: SLF001 - as above
            credentials._mandatory_refresh_timeout = min(_MANDATORY_SECONDS, left / 4)  # noqa: SLF001 - as above
