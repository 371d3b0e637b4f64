"""`transport = "ses"`: SendEmail with Simple content, one message a call."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
import botocore.exceptions as aws

from engine.campaign.message import Attachment, Envelope, Message
from engine.delivery.replies import Meaning, Reply, read_error

CALL_TIMEOUT_SECONDS = 60  # the whole call; botocore's timeouts bound its parts, but not the sum
_CHARSET = "UTF-8"  # SES's default is 7-bit ASCII

# Most specific first. What is not here is in doubt.
EXCEPTIONS: Mapping[type[BaseException], Meaning] = {
    aws.NoCredentialsError: Meaning.PAUSE,
    aws.PartialCredentialsError: Meaning.PAUSE,
    aws.CredentialRetrievalError: Meaning.PAUSE,
    aws.TokenRetrievalError: Meaning.PAUSE,
    aws.UnauthorizedSSOTokenError: Meaning.PAUSE,
    aws.NoRegionError: Meaning.PAUSE,
    aws.ParamValidationError: Meaning.REFUSED,
    aws.ConnectTimeoutError: Meaning.UNREACHABLE,
    aws.SSLError: Meaning.UNREACHABLE,
    aws.ProxyConnectionError: Meaning.UNREACHABLE,
    aws.ReadTimeoutError: Meaning.IN_DOUBT,
    aws.ConnectionClosedError: Meaning.IN_DOUBT,
}


class SesTransport:
    """Sends through one SES client.

    Args:
        client: an open aiobotocore client for sesv2, without retries.
        envelope: what is the same for every message; converted to the wire's form once.
        sender_address: the bare address of `from`, to tell an unverified sender from an unverified recipient.
    """

    def __init__(self, client: Any, envelope: Envelope, *, sender_address: str) -> None:
        self._client = client
        self._sender = sender_address
        self._same = _build_same(envelope)
        self._attachments = [_build_attachment(attachment) for attachment in envelope.attachments]

    async def send(self, message: Message) -> Reply:
        """Hand over one message; see Transport.send."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                answer = await self._client.send_email(**self.build_request(message))
        except Exception as error:  # noqa: BLE001 - what is not known to be harmless is in doubt
            return read_exception(error, self._sender)
        message_id = answer.get("MessageId")
        if not message_id:
            return Reply(Meaning.IN_DOUBT, detail="SES answered 200 without a message id")
        return Reply(Meaning.SENT, message_id=message_id)

    def build_request(self, message: Message) -> dict[str, Any]:
        """Build SendEmail's parameters."""
        body: dict[str, Any] = {}
        if message.text is not None:
            body["Text"] = {"Data": message.text, "Charset": _CHARSET}
        if message.html is not None:
            body["Html"] = {"Data": message.html, "Charset": _CHARSET}
        simple: dict[str, Any] = {"Subject": {"Data": message.subject, "Charset": _CHARSET}, "Body": body}
        if message.headers:
            simple["Headers"] = [{"Name": name, "Value": value} for name, value in message.headers]
        if self._attachments:
            simple["Attachments"] = self._attachments
        return {
            **self._same,
            "Destination": {"ToAddresses": [message.address]},
            "EmailTags": [{"Name": name, "Value": value} for name, value in message.tags],
            "Content": {"Simple": simple},
        }


def _build_attachment(attachment: Attachment) -> dict[str, Any]:
    built: dict[str, Any] = {
        "FileName": attachment.name,
        "ContentType": attachment.content_type,
        "ContentTransferEncoding": "BASE64",
        "RawContent": attachment.content,
    }
    if attachment.content_id is not None:
        built |= {"ContentDisposition": "INLINE", "ContentId": attachment.content_id}
    return built


def _build_same(envelope: Envelope) -> dict[str, Any]:
    same: dict[str, Any] = {"FromEmailAddress": envelope.sender}
    if envelope.reply_to:
        same["ReplyToAddresses"] = list(envelope.reply_to)
    if envelope.configuration_set:
        same["ConfigurationSetName"] = envelope.configuration_set
    if (managed := envelope.list_management) is not None:
        topic = {"TopicName": managed.topic} if managed.topic else {}
        same["ListManagementOptions"] = {"ContactListName": managed.contact_list, **topic}
    return same


def read_exception(error: Exception, sender: str) -> Reply:
    """Read what the client raised.

    Args:
        error: from botocore, aiohttp or asyncio.
        sender: the bare address of `from`.
    """
    if isinstance(error, aws.ClientError):
        said = error.response.get("Error", {})
        code = str(said.get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # Where the reply carries no code, botocore puts the status there.
        return read_error(
            status=status, code="" if code.isdigit() else code, message=str(said.get("Message", "")), sender=sender
        )
    meaning = _read_type(error)
    remedy = "give the worker valid AWS credentials and a region, then launch again" if meaning is Meaning.PAUSE else ""
    return Reply(meaning, detail=f"{type(error).__name__}: {error}", remedy=remedy)


def _read_type(error: Exception) -> Meaning:
    if isinstance(error, aws.EndpointConnectionError):
        # The same class for a refused connection and for a reset after the whole request: the inner error tells.
        inner = error.kwargs.get("error")
        never_sent = isinstance(inner, aiohttp.ClientConnectorError | socket.gaierror)
        return Meaning.UNREACHABLE if never_sent else Meaning.IN_DOUBT
    return next((meaning for kind, meaning in EXCEPTIONS.items() if isinstance(error, kind)), Meaning.IN_DOUBT)
