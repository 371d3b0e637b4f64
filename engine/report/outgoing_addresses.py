"""What each outgoing IP address sent of a run, and what became of it, as values and for a terminal."""

from collections.abc import Sequence

from msgspec import Struct

NAMES = ("sent", "delivered", "bounced", "soft_bounced", "complained", "delayed")


class OutgoingAddress(Struct, frozen=True):
    """The recipients that an IP address sent to.

    Attributes:
        address: as SES writes it; None for messages whose events do not name one yet.
        sent: recipients whose message SES accepted.
        delivered: of these.
        bounced: of these, permanently.
        soft_bounced: of these, transiently.
        complained: of these.
        delayed: of these, at least once.
    """

    address: str | None
    sent: int
    delivered: int
    bounced: int
    soft_bounced: int
    complained: int
    delayed: int


def describe_outgoing(found: Sequence[OutgoingAddress]) -> list[str]:
    """Write a table for a terminal: a line for each address."""
    heads = ["outgoing address", *(name.replace("_", " ") for name in NAMES)]
    rows = [[one.address or "unknown", *(f"{getattr(one, name):,}" for name in NAMES)] for one in found]
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    return [
        "  ".join(text.ljust(width) if not column else text.rjust(width) for column, (text, width) in enumerate(row))
        for row in (list(zip(line, widths, strict=True)) for line in (heads, *rows))
    ]
