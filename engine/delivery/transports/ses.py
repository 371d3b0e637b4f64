"""`transport = "ses"`: SendEmail with Simple content, or SendBulkEmail with an inline template."""

import socket
from collections.abc import Mapping, Sequence
from typing import Protocol

import botocore.exceptions as aws
import orjson

from engine.campaign.message import Message
from engine.delivery.pacing.concurrency import MOST
from engine.delivery.replies import ReplyMeaning, SendReply, bound_detail, read_bulk_entry, read_error
from engine.delivery.transport import Item, TakeReplies
from engine.delivery.transports.connection import InDoubtError, NeverSentError, Take
from engine.delivery.transports.http_answer import HttpAnswer
from engine.delivery.transports.ses_documents import (
    LARGEST_BULK_BYTES,
    LONGEST_DATA,
    MOST_ENTRIES,
    BulkTemplate,
    Documents,
    measure_data,
    write_bulk,
)
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.system.proxies import explain_proxy

log = get_logger()

_CONNECTOR_ERROR = OnDemand("aiohttp:ClientConnectorError")  # aiobotocore alone raises it, and it takes long to import


class CredentialsError(Exception):
    """There are no usable credentials: nothing was sent, and nothing can be sent."""


# Most specific first. What is not here is in doubt.
EXCEPTIONS: Mapping[type[BaseException], ReplyMeaning] = {
    NeverSentError: ReplyMeaning.UNREACHABLE,
    CredentialsError: ReplyMeaning.PAUSE,
    InDoubtError: ReplyMeaning.IN_DOUBT,
    aws.NoCredentialsError: ReplyMeaning.PAUSE,
    aws.PartialCredentialsError: ReplyMeaning.PAUSE,
    aws.CredentialRetrievalError: ReplyMeaning.PAUSE,
    aws.MetadataRetrievalError: ReplyMeaning.PAUSE,
    aws.TokenRetrievalError: ReplyMeaning.PAUSE,
    aws.SSOError: ReplyMeaning.PAUSE,
    aws.RefreshWithMFAUnsupportedError: ReplyMeaning.PAUSE,
    aws.ProfileNotFound: ReplyMeaning.PAUSE,
    aws.NoRegionError: ReplyMeaning.PAUSE,
    aws.UnknownEndpointError: ReplyMeaning.PAUSE,
    aws.MissingDependencyException: ReplyMeaning.PAUSE,
    aws.ParamValidationError: ReplyMeaning.REFUSED,
    aws.ConnectTimeoutError: ReplyMeaning.UNREACHABLE,
    aws.SSLError: ReplyMeaning.UNREACHABLE,
    aws.ProxyConnectionError: ReplyMeaning.UNREACHABLE,
    aws.ReadTimeoutError: ReplyMeaning.IN_DOUBT,
    aws.ConnectionClosedError: ReplyMeaning.IN_DOUBT,
}


class Caller(Protocol):
    """Carries one call to SES: the lean client, or aiobotocore."""

    @property
    def is_ready(self) -> bool:
        """Return whether `begin` is likely to send at once, so that it is worth to write the body."""

    async def call(self, operation: str, body: bytes) -> HttpAnswer:
        """Send a request once and return its answer.

        Raises:
            Exception: see EXCEPTIONS; what is not there is in doubt.
        """

    def begin(self, operation: str, body: bytes, take: Take) -> bool:
        """Send a request once, without a task; False, and nothing was done, where that has to wait.

        Args:
            operation: as in `call`.
            body: as in `call`.
            take: receives once what `call` returns or raises.
        """


class SesTransport:
    """Sends through one account.

    Args:
        caller: carries the calls.
        documents: writes their bodies.
        sender_address: the bare address of `from`, to distinguish an unverified sender from an unverified recipient.
        bulk: `call = "bulk"`.
        most_calls: calls in flight that the caller supports.
    """

    def __init__(
        self,
        caller: Caller,
        documents: Documents,
        *,
        sender_address: str,
        bulk: bool = False,
        most_calls: int = MOST,
    ) -> None:
        self._caller = caller
        self._documents = documents
        self._sender = sender_address
        self._bulk = bulk
        self._said: set[str] = set()
        self.most_calls = most_calls
        self.writer = documents.bulk if bulk else documents.single
        self.most_items = MOST_ENTRIES if bulk else 1
        self.most_bytes = LARGEST_BULK_BYTES - len("]}") - MOST_ENTRIES  # each entry has a comma

    def prepare(self, message: Message) -> Item:
        """Serialize the message: as an entry of a bulk call, or as the body of a separate call."""
        if not self._bulk:
            return Item(message.row, message, self._documents.write_single(message))
        template = self._documents.choose_template(message)
        entry = self._documents.write_entry(message, template)
        why = self._find_obstacle(message, template, entry)
        if not why:
            return Item(message.row, message, entry, template)
        if why not in self._said:
            self._said.add(why)
            log.warning("delivery.single", row=message.row, note=f"sent in a separate call: {why}; reported once")
        return Item(message.row, message, self._documents.write_single(message))

    def _find_obstacle(self, message: Message, template: BulkTemplate, entry: bytes) -> str:
        if self._documents.bulk_obstacle:
            return self._documents.bulk_obstacle
        if template.shared_bytes > self.most_bytes:
            return "its attachments and its template are too large for a bulk call"
        if len(entry) > LONGEST_DATA and measure_data(entry) > LONGEST_DATA:
            return "it is too large for a bulk call"
        if not self._documents.fits_bulk(message, entry):
            return "its content contains {{, which SES might replace in a bulk call"
        return "it is too large for a bulk call" if template.shared_bytes + len(entry) > self.most_bytes else ""

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        """Hand over the messages of one call; see Transport.send."""
        operation, body = self._write_call(items)
        try:
            answer: HttpAnswer | Exception = await self._caller.call(operation, body)
        except Exception as error:  # noqa: BLE001 - `_read` finds its meaning
            answer = error
        return self._read(answer, len(items))

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:
        """Hand over the messages of one call without a task; see Transport.begin."""
        if not self._caller.is_ready:
            return False
        operation, body = self._write_call(items)
        return self._caller.begin(operation, body, lambda answer: take(self._read(answer, len(items))))

    def _write_call(self, items: Sequence[Item]) -> tuple[str, bytes]:
        """Return the operation and the body of a call."""
        if len(items) > 1:
            template = items[0].group
            assert isinstance(template, BulkTemplate)  # noqa: S101 - from prepare, for the type checker
            return "SendBulkEmail", write_bulk([item.payload for item in items], template)
        (item,) = items
        return "SendEmail", item.payload if item.group is None else self._documents.write_single(item.message)

    def _read(self, answer: HttpAnswer | Exception, messages: int) -> Sequence[SendReply]:
        """Read what a call to so many messages was answered, or why it failed."""
        try:
            if not isinstance(answer, Exception):
                return (self._read_single(answer),) if messages == 1 else self._read_bulk(answer, messages)
        except Exception as error:  # noqa: BLE001 - what is not known to be harmless is in doubt
            answer = error
        return [read_exception(answer)] * messages

    def _read_single(self, answer: HttpAnswer) -> SendReply:
        if answer.status != 200:
            return read_answer(answer, self._sender)
        message_id = _read_document(answer).get("MessageId")
        if not message_id:
            return SendReply(ReplyMeaning.IN_DOUBT, detail="SES answered 200 without a message id")
        return SendReply(ReplyMeaning.SENT, str(message_id))

    def _read_bulk(self, answer: HttpAnswer, messages: int) -> Sequence[SendReply]:
        if answer.status != 200:
            return [_split_refusal(read_answer(answer, self._sender))] * messages
        results = _read_document(answer).get("BulkEmailEntryResults")
        if not isinstance(results, list) or len(results) != messages:
            count = len(results) if isinstance(results, list) else "no"
            detail = f"SES answered 200 with {count} results for {messages} entries"
            return [SendReply(ReplyMeaning.IN_DOUBT, detail=detail)] * messages
        return [read_bulk_entry(result if isinstance(result, dict) else {}, sender=self._sender) for result in results]


def _split_refusal(reply: SendReply) -> SendReply:
    """One entry may be the reason why a whole call was refused: send each alone to find it."""
    return SendReply(ReplyMeaning.SPLIT, detail=reply.detail) if reply.meaning is ReplyMeaning.REFUSED else reply


def read_answer(answer: HttpAnswer, sender: str) -> SendReply:
    """Read an error answer.

    The code is the header `x-amzn-ErrorType` before `:` and after `#`, else `code` or `__type` of the body, as
    botocore's REST-JSON parser has it.
    """
    document = _read_document(answer)
    code = answer.error_type or str(document.get("code") or document.get("Code") or document.get("__type") or "")
    message = document.get("message") or document.get("Message") or ""
    code = code.partition(":")[0].rpartition("#")[2]
    return read_error(status=answer.status, code=code, message=str(message), sender=sender)


def _read_document(answer: HttpAnswer) -> Mapping[str, object]:
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def read_exception(error: Exception) -> SendReply:
    """Return the meaning of an exception that a caller raised."""
    meaning = _read_type(error)
    remedy = (
        "give the worker valid AWS credentials and a region, then launch again" if meaning is ReplyMeaning.PAUSE else ""
    )
    proxy = (
        explain_proxy(error, "") if isinstance(error, aws.BotoCoreError) and meaning is not ReplyMeaning.PAUSE else ""
    )
    detail = bound_detail(f"{type(error).__name__}: {error}")
    return SendReply(meaning, detail=bound_detail(f"{detail}; {proxy}" if proxy else detail), remedy=remedy)


def _read_type(error: Exception) -> ReplyMeaning:
    if isinstance(error, aws.EndpointConnectionError):
        # The same class for a refused connection and for a reset after the whole request: the inner error distinguishes
        # them.
        inner = error.kwargs.get("error")
        never_sent = isinstance(inner, (_CONNECTOR_ERROR.load(), socket.gaierror))
        return ReplyMeaning.UNREACHABLE if never_sent else ReplyMeaning.IN_DOUBT
    return next((meaning for kind, meaning in EXCEPTIONS.items() if isinstance(error, kind)), ReplyMeaning.IN_DOUBT)
