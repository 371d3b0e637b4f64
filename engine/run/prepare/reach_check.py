"""How a campaign's mail leaves: whether its multi-region endpoint and its tenant can be used."""

from engine.account.send_endpoint import NotLeanError, resolve_sends
from engine.account.sending_reach import refuse_unready_endpoint, refuse_unusable_tenant
from engine.delivery.outbound import Outbound
from engine.delivery.transports.callers import refuse_endpoint_id


async def check_reach(outbound: Outbound) -> None:
    """Check the multi-region endpoint and the tenant that a campaign names, where it names them.

    Args:
        outbound: an SES account.

    Raises:
        ConfigurationError: settings of the machine prevent sends through a multi-region endpoint.
        ServiceError: endpoint or tenant cannot be used; or SES cannot be reached, or refuses.
    """
    delivery, sender = outbound.spec.delivery, outbound.spec.sender_address
    if outbound.ses is None:
        return
    if delivery.endpoint_id is not None:
        try:
            await resolve_sends(outbound.ses, delivery.endpoint_id)
        except NotLeanError as reason:
            raise refuse_endpoint_id(delivery.endpoint_id, reason) from None
        await refuse_unready_endpoint(outbound.client, delivery.endpoint_id)
    if delivery.tenant is not None:
        await refuse_unusable_tenant(outbound.client, delivery.tenant, sender, delivery.configuration_set)
