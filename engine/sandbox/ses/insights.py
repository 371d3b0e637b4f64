"""GetEmailAddressInsights: what the sandbox says of an address, decided by the address alone.

Source: https://docs.aws.amazon.com/ses/latest/dg/email-validation-api.html.
"""

import re
from typing import Any

from engine.sandbox.ses.addresses import read_address, split_address
from engine.sandbox.ses.simulator import SIMULATOR_DOMAIN

_ROLES = frozenset({"admin", "info", "postmaster", "sales", "support", "abuse", "noreply", "no-reply"})
_UNREACHABLE = ("bounce", "suppressionlist")  # of the simulator, and local parts that begin so anywhere
_RANDOM = re.compile(r"[bcdfghjklmnpqrstvwxz]{7}")


def look_up(address: str) -> dict[str, Any]:
    """Return the document of GetEmailAddressInsights.

    A local part that begins with bounce or suppressionlist, as the simulator's do, has no mailbox.

    Raises:
        ApiError: BadRequestException: it is not an address.
    """
    read_address(address)
    local, domain = split_address(address)
    local = local.lower().partition("+")[0]
    has_domain = "." in domain and not domain.endswith(".invalid")
    exists = has_domain and not local.startswith(_UNREACHABLE)
    checks = {
        "HasValidSyntax": True,
        "HasValidDnsRecords": has_domain,
        "MailboxExists": exists,
        "IsRoleAddress": local in _ROLES,
        "IsDisposable": domain.startswith("disposable."),
        "IsRandomInput": bool(_RANDOM.search(local)) and domain != SIMULATOR_DOMAIN,
    }
    valid = "LOW" if not exists else "MEDIUM" if any(list(checks.values())[3:]) else "HIGH"
    evaluations = {name: {"ConfidenceVerdict": "HIGH" if found else "LOW"} for name, found in checks.items()}
    return {"MailboxValidation": {"IsValid": {"ConfidenceVerdict": valid}, "Evaluations": evaluations}}
