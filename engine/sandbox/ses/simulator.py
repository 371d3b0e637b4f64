"""The mailbox simulator, and what happens to any other accepted message.

Source: SES developer guide, "Using the mailbox simulator manually".
"""

from collections.abc import Container, Sequence

SIMULATOR_DOMAIN = "simulator.amazonses.com"

_FATES = {
    "success": "delivered",
    "bounce": "bounced",
    "complaint": "complained",
    "ooto": "out_of_office",
    "suppressionlist": "suppressed",
}


def is_simulator(address: str) -> bool:
    """Return whether an address is the simulator's: one of its mailboxes, with or without a `+label`.

    >>> is_simulator("bounce+c1-42@simulator.amazonses.com"), is_simulator("a@simulator.amazonses.com")
    (True, False)
    """
    return mailbox_of(address) in _FATES


def fate_of(recipients: Sequence[str], *, suppressed: Container[str]) -> str:
    """Return what happens to a message.

    Args:
        recipients: all addresses of the message.
        suppressed: the account's suppression list, in lower case.

    Returns:
        `delivered`, `bounced`, `complained`, `out_of_office` or `suppressed`; for several recipients, the fate of the
        first whose message is not simply delivered.
    """
    for address in recipients:
        if address.lower() in suppressed:
            return "suppressed"
        fate = _FATES.get(mailbox_of(address), "delivered")
        if fate != "delivered":
            return fate
    return "delivered"


def mailbox_of(address: str) -> str:
    """Return the mailbox of a simulator address, empty for every other address."""
    if not address.lower().endswith("@" + SIMULATOR_DOMAIN):
        return ""
    return address.partition("@")[0].partition("+")[0].lower()
