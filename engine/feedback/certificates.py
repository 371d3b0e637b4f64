"""Fetching SNS's certificates: the one request to the outside that verifying makes."""

import urllib.error
import urllib.request

from engine.errors import ServiceError

_TIMEOUT_SECONDS = 10
_LARGEST = 64 * 1024


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever redirects is not SNS."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def fetch_certificate(url: str) -> bytes:
    """Fetch a certificate; the caller has seen that the URL is SNS's own.

    Raises:
        ServiceError: it cannot be had now.
    """
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read(_LARGEST)
    except (urllib.error.URLError, OSError) as error:
        raise ServiceError(
            f"the certificate of SNS cannot be fetched: {error}",
            where=url,
            remedy="check the network; nothing was deleted from the queue, pull again",
        ) from error
    return data
