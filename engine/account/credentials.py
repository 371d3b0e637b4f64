"""AWS credentials that expire: renewed in time, and not more often than needed.

botocore requests new credentials at every use while fewer than 15 minutes are left: a program that issues credentials
for 10 minutes (`credential_process`) would be started for every request. Here they are renewed when half of their
remaining time is over, for every kind of issuer, and also after a failed renewal.
"""

import asyncio
from typing import Any

from engine.stopping.abandonable import DaemonThread

_ADVISORY_SECONDS, _MANDATORY_SECONDS = 900, 600  # botocore's own limits, below which it renews


class SpacedCredentials:
    """botocore's credentials, renewed at the times that this class sets.

    Args:
        credentials: of a session of botocore, or of aiobotocore; static credentials never expire.
        thread: where those of botocore are renewed; None for those of aiobotocore.
    """

    def __init__(self, credentials: Any, thread: DaemonThread | None = None) -> None:
        self._credentials = credentials
        self._thread = thread
        self._expires: Any = None
        self._renewal: asyncio.Future[Any] | None = None

    async def get_frozen_credentials(self) -> Any:
        """Return keys and token; renew them if due.

        Raises:
            Exception: whatever the provider raises.
        """
        frozen = await self._read()
        expires = getattr(self._credentials, "_expiry_time", None)
        if expires is not None:
            self._space_out(expires)
        return frozen

    async def _read(self) -> Any:
        """Read the credentials, which renews them if due; every reader waits for the same renewal."""
        credentials = self._credentials
        if self._thread is None:
            return await credentials.get_frozen_credentials()
        if not hasattr(credentials, "refresh_needed") or not credentials.refresh_needed():
            return credentials.get_frozen_credentials()
        if self._renewal is None or self._renewal.done():
            self._renewal = self._thread.run(credentials.get_frozen_credentials)
            self._renewal.add_done_callback(_take_error)
        return await asyncio.shield(self._renewal)

    def _space_out(self, expires: Any) -> None:
        """Let botocore renew when half of the time is over; new credentials, or a failed renewal, start again."""
        credentials = self._credentials
        left = max(0.0, credentials._seconds_remaining())  # noqa: SLF001 - botocore offers nothing public
        if expires != self._expires or left < credentials._advisory_refresh_timeout:  # noqa: SLF001 - as above
            self._expires = expires
            credentials._advisory_refresh_timeout = min(_ADVISORY_SECONDS, left / 2)  # noqa: SLF001 - as above
            credentials._mandatory_refresh_timeout = min(_MANDATORY_SECONDS, left / 4)  # noqa: SLF001 - as above


def _take_error(renewal: asyncio.Future[Any]) -> None:
    """Take the error of a renewal that nobody waits for any more: the next read finds it again."""
    if not renewal.cancelled():
        renewal.exception()
