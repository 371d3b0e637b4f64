"""Unsubscribe links as an AWS Lambda function, behind a function URL or an API Gateway HTTP API (payload 2.0).

Source: AWS Lambda developer guide, "Function URL request and response payloads".
"""

import atexit
import base64
import binascii
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import ConfigurationError, MailrunError, PausedError
from engine.feedback.unsubscribe.opt_out import LedgerOptOuts
from engine.feedback.unsubscribe.pages import UnsubscribePages, open_pages
from engine.feedback.unsubscribe.requests import (
    LinkAnswer,
    LinkRequest,
    OptOuts,
    answer_bug,
    answer_later,
    answer_request,
    log_answer,
)
from engine.logs import configure_logs
from engine.settings import Settings
from engine.system.temporary import make_temporary_folder
from engine.workspace import open_workspace, read_settings

LambdaHandler = Callable[[Mapping[str, object], object], dict[str, object]]

_stack = ExitStack()  # what a function's process keeps until it ends
atexit.register(_stack.close)


def make_lambda_handler(workspace: Path | None = None) -> LambdaHandler:
    """Return a handler for an AWS Lambda function behind a function URL or an API Gateway HTTP API.

    The ledger is opened once, for the life of the function's process. Settings come from the environment:
    MAILRUN_LEDGER (PostgreSQL, because a file of a Lambda function ends with it), MAILRUN_STORE and
    MAILRUN_UNSUBSCRIBE_KEYS. Where the ledger cannot be reached when the function starts, a later request opens it;
    until then requests are answered 503.

    Args:
        workspace: a folder that may have a mailrun.toml. Where neither this nor MAILRUN_WORKSPACE names one, no
            mailrun.toml is read: the workspace is a new private folder among the temporary ones, because a function's
            own folder cannot be written.

    Raises:
        ConfigurationError: no keys, or a ledger or store that cannot be used.
    """
    logging.getLogger().handlers.clear()  # the runtime's own, which would print what libraries log unmasked
    configure_logs(verbose=False)
    named = workspace or os.environ.get("MAILRUN_WORKSPACE")
    # Never a folder with a known name in /tmp: another user could put a mailrun.toml there before.
    folder = Path(named) if named else _stack.enter_context(make_temporary_folder())
    if not named:
        _check_ledger_lasts(read_settings(folder))
    answers = _LinkAnswers(folder)
    with suppress(PausedError):
        answers.open()

    def handler(event: Mapping[str, object], _: object) -> dict[str, object]:
        request = read_event(event)
        try:
            reply = answers.answer(request)
        except Exception as error:  # noqa: BLE001 - logged; the runtime would print it unmasked, and answer 502
            reply = answer_bug(error, UnsubscribePages(), request.languages)
        log_answer(request.method, reply)
        return write_response(reply)

    return handler


def answer_event(
    event: Mapping[str, object], signer: TokenSigner, opt_outs: OptOuts, pages: UnsubscribePages
) -> dict[str, object]:
    """Answer an event, for a function that records opt-outs by itself.

    Args:
        event: the event.
        signer: as in `answer_request`.
        opt_outs: as in `answer_request`.
        pages: as in `answer_request`.

    Returns:
        The response: `statusCode`, `headers`, `body`, `isBase64Encoded`.
    """
    return write_response(answer_request(read_event(event), signer, opt_outs, pages))


def read_event(event: Mapping[str, object]) -> LinkRequest:
    """Return the request of an event; what it lacks is empty."""
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, Mapping) else None
    method = http.get("method") if isinstance(http, Mapping) else ""
    headers = event.get("headers")
    known = {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}
    query = event.get("rawQueryString")
    target = f"{event.get('rawPath') or '/'}{f'?{query}' if query else ''}"
    content_type, languages = known.get("content-type", ""), known.get("accept-language", "")
    return LinkRequest(str(method), target, content_type, _read_body(event), languages)


def _read_body(event: Mapping[str, object]) -> bytes:
    text = event.get("body")
    body = text.encode("utf-8", "replace") if isinstance(text, str) else b""
    if not event.get("isBase64Encoded"):
        return body
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return b""


def write_response(reply: LinkAnswer) -> dict[str, object]:
    """Write an answer as a Lambda function returns it."""
    return {
        "statusCode": reply.status,
        "headers": {name.lower(): value for name, value in reply.headers.items()},
        "body": reply.body.decode(),
        "isBase64Encoded": False,
    }


def _check_ledger_lasts(settings: Settings) -> None:
    """Check that opt-outs are not written to a file that ends with the function.

    Raises:
        ConfigurationError: they would be.
    """
    if settings.ledger_file is not None and settings.ledger_file.is_relative_to(settings.workspace):
        raise ConfigurationError(
            "opt-outs would be lost: the ledger would be a file that ends with the function",
            where="MAILRUN_LEDGER",
            remedy="set MAILRUN_LEDGER to the ledger of the campaigns, such as postgresql://user@host/database",
        )


class _LinkAnswers:
    """Answers requests from a workspace that is opened once, and never closed: the process ends without notice.

    Args:
        folder: the workspace's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: tuple[TokenSigner, LedgerOptOuts, UnsubscribePages] | None = None

    def open(self) -> tuple[TokenSigner, LedgerOptOuts, UnsubscribePages]:
        """Open store and ledger, once; raises as `open_workspace`."""
        if self._opened is None:
            opened = open_workspace(self._folder)
            signer = TokenSigner(opened.read_verifying_keys().all)
            self._opened = signer, LedgerOptOuts(opened), open_pages(opened.settings)
        return self._opened

    def answer(self, request: LinkRequest) -> LinkAnswer:
        """Answer a request; one that comes while the ledger cannot be opened is answered 503."""
        try:
            opened = self.open()
        except MailrunError as error:
            return answer_later(UnsubscribePages(), problem=str(error), languages=request.languages)
        return answer_request(request, *opened)
