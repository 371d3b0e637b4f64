"""The content of a request to send, Simple or Template: checked, and rendered as its recipient sees it."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from engine.sandbox.http.replies import bad_request, not_found
from engine.sandbox.ses.attachments import Attachments, read_attachments
from engine.sandbox.ses.draft import DraftContent, DraftHeader
from engine.sandbox.ses.headers import merge_headers, read_headers
from engine.sandbox.ses.members import check_length, optional, required
from engine.sandbox.ses.rendering import MissingVariable, check_template, render

MAX_MESSAGE_BYTES = 40 * 1024 * 1024
MAX_INLINE_REQUEST_BYTES = 1024 * 1024
MAX_TEMPLATE_DATA_CHARACTERS = 262_144

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Template(Struct, frozen=True):
    """An inline template with its data and what goes with it."""

    subject: str
    text: str | None
    html: str | None
    data: dict[str, Any]
    headers: list[DraftHeader]
    attachments: Attachments


def read_simple(simple: dict[str, Any]) -> DraftContent:
    """Return the content of `Content.Simple`.

    Raises:
        ApiError: BadRequestException.
    """
    path = "Content.Simple."
    subject = _read_part(required(simple, "Subject", dict, path=path), path=path + "Subject.")
    body = required(simple, "Body", dict, path=path)
    text, html = (_read_body(body, name, path=path + "Body.") for name in ("Text", "Html"))
    if text is None and html is None:
        raise bad_request(f"{path}Body must have Text or Html.")
    if _CONTROL.search(subject):
        raise bad_request(f"{path}Subject.Data contains control characters.")
    attachments = read_attachments(simple, path=path)
    content = DraftContent(
        subject=subject,
        html=html,
        text=text,
        headers=read_headers(simple, "Headers", path=path),
        attachments=attachments.kept,
    )
    _check_size(content, attachments.encoded_bytes)
    return content


def read_template(template: dict[str, Any], *, path: str) -> Template:
    """Return an inline template.

    Raises:
        ApiError: BadRequestException; NotFoundException for a stored template, of which this account has none.
    """
    for member in ("TemplateName", "TemplateArn"):
        name = optional(template, member, str, path=path)
        if name:
            raise not_found(f"Template {name} does not exist.")
    inline = required(template, "TemplateContent", dict, path=path)
    where = path + "TemplateContent."
    text, html = optional(inline, "Text", str, path=where), optional(inline, "Html", str, path=where)
    if text is None and html is None:
        raise bad_request(f"{where[:-1]} must have Text or Html.")
    subject = required(inline, "Subject", str, path=where)
    for part in (subject, text, html):
        check_template(part or "")
    return Template(
        subject=subject,
        text=text,
        html=html,
        data=read_template_data(template, "TemplateData", path=path),
        headers=read_headers(template, "Headers", path=path),
        attachments=read_attachments(template, path=path),
    )


def read_template_data(source: dict[str, Any], member: str, *, path: str) -> dict[str, Any]:
    """Return the variables in a JSON string, empty when it is absent.

    Raises:
        ApiError: BadRequestException.
    """
    document = optional(source, member, str, path=path)
    check_length(document, maximum=MAX_TEMPLATE_DATA_CHARACTERS, where=path + member)
    try:
        data = orjson.loads(document or "{}")
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        raise bad_request(f"{path}{member} is not a JSON object.")
    return data


def render_template(
    template: Template, *, data: Mapping[str, Any] | None = None, headers: list[DraftHeader] | None = None
) -> DraftContent:
    """Return a template as its recipient sees it.

    Args:
        template: the template.
        data: variables of this recipient, before those of the template.
        headers: headers of this recipient, in place of the template's headers of the same name.

    Returns:
        The content; with the reason in `failure` and no parts where the data lack a variable.
    """
    variables = {**template.data, **(data or {})}
    content = DraftContent(
        headers=merge_headers(template.headers, headers or []), attachments=template.attachments.kept
    )
    try:
        subject = render(template.subject, variables)
        html = None if template.html is None else render(template.html, variables)
        text = None if template.text is None else render(template.text, variables)
    except MissingVariable as missing:
        content.failure = str(missing)
        return content
    if _CONTROL.search(subject):
        content.failure = "The rendered subject contains control characters."
        return content
    content.subject, content.html, content.text = subject, html, text
    _check_size(content, template.attachments.encoded_bytes)
    return content


def _read_body(body: dict[str, Any], name: str, *, path: str) -> str | None:
    part = optional(body, name, dict, path=path)
    return None if part is None else _read_part(part, path=f"{path}{name}.")


def _read_part(part: dict[str, Any], *, path: str) -> str:
    """Return a Content structure as it arrives: what its charset (ASCII if none is given) cannot hold becomes `?`."""
    data = required(part, "Data", str, path=path)
    charset = optional(part, "Charset", str, path=path)
    if charset == "UTF-8" or data.isascii():
        return data
    try:
        return data.encode(charset or "ascii", "replace").decode(charset or "ascii")
    except LookupError:
        raise bad_request(f"{path}Charset <{charset}> is not known.") from None


def _check_size(content: DraftContent, attachment_bytes: int) -> None:
    """Refuse a message that is longer than SES accepts."""
    size = attachment_bytes + sum(len(part.encode()) for part in (content.subject, content.html, content.text) if part)
    check_message_size(size)


def check_message_size(size: int) -> None:
    """Refuse a message of so many bytes when SES would."""
    if size > MAX_MESSAGE_BYTES:
        raise bad_request(f"Message length is more than {MAX_MESSAGE_BYTES} bytes long: '{size}'.")
