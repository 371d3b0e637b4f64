"""Posts to webhooks: one request, no redirects, with limits on time and on the size of the answer."""

import ssl
from collections.abc import Mapping

import aiohttp
from msgspec import Struct

from engine.masking import mask_text
from engine.notify.resolver import DaemonResolver

POST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
ANSWER_BYTES = 2048  # of which an error shows a part
_SHOWN = 120


class TargetAnswer(Struct, frozen=True):
    """What a target answered.

    Attributes:
        accepted: it has the notification now.
        text: for people, without secrets.
        retry_after: seconds that it asks to wait; None where it says nothing.
    """

    accepted: bool
    text: str
    retry_after: float | None = None


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> TargetAnswer:
    """Post a JSON body; every failure is an answer.

    Args:
        url: of the webhook; a secret, so no text contains it.
        body: JSON.
        headers: in addition to the type.
    """
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(), resolver=DaemonResolver())
    timeout = aiohttp.ClientTimeout(total=POST_SECONDS, sock_connect=CONNECT_SECONDS)
    session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=True, auto_decompress=False)
    given = {"Content-Type": "application/json", "User-Agent": "mailrun", "Accept-Encoding": "identity", **headers}
    async with session:
        try:
            async with session.post(url, data=body, headers=given, allow_redirects=False) as response:
                return await _read(response)
        except TimeoutError:
            return TargetAnswer(accepted=False, text=f"no answer within {POST_SECONDS:g} seconds")
        except aiohttp.ClientConnectorCertificateError:
            return TargetAnswer(accepted=False, text="the certificate of the server is not accepted")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return TargetAnswer(accepted=False, text=f"cannot be reached: {type(error).__name__}")


async def _read(response: aiohttp.ClientResponse) -> TargetAnswer:
    accepted = response.status in range(200, 300)
    if accepted:  # its text changes nothing
        return TargetAnswer(accepted=True, text=f"HTTP {response.status}")
    if response.status in range(300, 400):
        return TargetAnswer(accepted=False, text=f"HTTP {response.status}: redirects are not followed")
    said = bytearray()
    async for chunk in response.content.iter_chunked(ANSWER_BYTES):
        said += chunk
        if len(said) >= ANSWER_BYTES:
            break
    words = " ".join("".join(c if c.isprintable() else " " for c in said.decode("utf-8", "replace")).split())
    shown = mask_text(words[:_SHOWN])
    text = f"HTTP {response.status}" + (f": {shown}" if shown else "")
    return TargetAnswer(accepted=False, text=text, retry_after=_read_seconds(response.headers.get("Retry-After", "")))


def _read_seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
