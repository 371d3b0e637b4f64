"""How a message is to leave, as SendEmail and SendBulkEmail say: endpoint, tenant, tracking."""

from typing import Any

from msgspec import Struct

from engine.sandbox.http.replies import bad_request
from engine.sandbox.ses.members import one_of, optional

_STATES = ("ENABLED", "DISABLED")
_TRACKING = {"OpenTrackingEnabled": "open", "ClickTrackingEnabled": "click"}


class Reach(Struct, frozen=True):
    """How a message is to leave.

    Attributes:
        endpoint_id: of the multi-region endpoint; None for the region's own.
        tenant: that it is sent for; None for none.
        tracking: `open` and `click` to whether they are tracked; what is missing is as the configuration set says.
    """

    endpoint_id: str | None = None
    tenant: str | None = None
    tracking: dict[str, bool] = {}

    def to_json(self) -> dict[str, Any]:
        """Return its members of a line of the record."""
        return {"endpoint_id": self.endpoint_id, "tenant": self.tenant, "tracking": self.tracking}


def read_reach(request: dict[str, Any], *, tenant: str | None = None) -> Reach:
    """Read it from a request.

    Args:
        request: the JSON document.
        tenant: of the header X-SES-TENANT of a Raw message; the request's own is preferred.

    Raises:
        ApiError: BadRequestException.
    """
    overrides = optional(request, "ConfigurationOverrides", dict) or {}
    tracking = optional(overrides, "Tracking", dict, path="ConfigurationOverrides.") or {}
    path = "ConfigurationOverrides.Tracking."
    states = {word: one_of(tracking, member, _STATES, path=path) for member, word in _TRACKING.items()}
    named = optional(request, "TenantName", str)
    if named == "":
        raise bad_request("TenantName must have 1 or more characters.")
    return Reach(
        endpoint_id=optional(request, "EndpointId", str),
        tenant=named or tenant,
        tracking={word: state == "ENABLED" for word, state in states.items() if state is not None},
    )
