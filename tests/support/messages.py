"""Messages as tests write them."""

from engine.campaign.message import Message, Part


def make_message(  # noqa: PLR0917 - the fields of a message
    row: int,
    address: str,
    subject: str,
    html: str | None,
    text: str | None,
    headers: tuple[tuple[str, str], ...] = (),
    tags: tuple[tuple[str, str], ...] = (),
    language: str | None = None,
) -> Message:
    """Make a message whose parts are in one piece, and not yet written."""
    html_part, text_part = (None if part is None else Part([part]) for part in (html, text))
    return Message(row, address, subject, html_part, text_part, headers, tags, language)
