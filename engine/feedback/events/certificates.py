"""Fetches SNS's certificates: the only outside request of signature verification."""

import http.client
import urllib.error
import urllib.request

from engine.errors import ServiceError
from engine.feedback.events.envelopes import ForgedError

_TIMEOUT_SECONDS = 10
_LARGEST = 64 * 1024
_LASTING = range(300, 500)  # a retry does not change these replies,
_PASSING = (407, 408, 429)  # except these: from a proxy, or temporary


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A server that redirects is not SNS."""

    def redirect_request(self, *_: object) -> None:
        """Refuse redirects."""


def fetch_certificate(url: str) -> bytes:
    """Fetch a certificate; the caller has checked that the URL is SNS's own.

    Raises:
        ForgedError: there is none.
        ServiceError: it cannot be fetched now.
    """
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code in _LASTING and error.code not in _PASSING:
            raise ForgedError(f"its certificate is not there: HTTP {error.code}") from None
        raise ServiceError(
            f"the certificate of SNS cannot be fetched: {error}",
            where=url,
            remedy="check the network, then pull again; nothing was deleted from the queue",
        ) from error
    return data
