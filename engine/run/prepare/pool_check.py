"""The pool of IP addresses that a campaign's mail leaves from: whether it is the expected one, and how warm it is."""

from engine.account.pools.sending_pool import SendingPool, read_sending_pool, refuse_other_pool
from engine.account.pools.warmup_proposal import WarmupProposal, propose_warmup
from engine.account.unknown_operation import find_variable, is_unknown_operation
from engine.delivery.outbound import Outbound
from engine.errors import MailrunError, ServiceError
from engine.logs import get_logger

log = get_logger()


async def check_pool(outbound: Outbound) -> SendingPool | None:
    """Check that mail leaves from the pool that the campaign expects, where it expects one.

    Args:
        outbound: an SES account.

    Returns:
        The pool; None where the campaign expects none, or a server other than SES does not know pools.

    Raises:
        ServiceError: it leaves from another pool, or configuration set or pool do not exist or have no address; or SES
            cannot be reached or refuses.
    """
    expected = outbound.spec.delivery.pool
    if expected is None:
        return None
    found = await _read_pool(outbound)
    if found is not None:
        refuse_other_pool(found, expected)
    return found


async def check_pool_and_note(outbound: Outbound) -> None:
    """Check as `check_pool` does; note addresses that are warming up where the campaign has no `[warmup]`."""
    found = await check_pool(outbound)
    if found is None or outbound.spec.warmup is not None:
        return
    if warming := sum(one.is_warming for one in found.addresses):
        note = f"{warming} of {len(found.addresses)} IP addresses of the pool {found.name} are warming up, and the"
        log.warning("pool.warming", note=f"{note} campaign has no [warmup]: mailrun check proposes one")


async def find_proposal(outbound: Outbound, found: SendingPool | None) -> WarmupProposal | None:
    """Propose a `[warmup]` for the addresses that a campaign's mail leaves from.

    Args:
        outbound: an SES account.
        found: the pool, where it was read.

    Returns:
        The proposal; None where the campaign has a `[warmup]`, no address is warming up, or the pool cannot be read.
    """
    if outbound.spec.warmup is not None or outbound.client is None:
        return None
    try:
        pool = found or await _read_pool(outbound)
    except MailrunError as error:  # the pool matters to nobody here but to the proposal
        log.debug("pool.unknown", note=error.what)
        return None
    return None if pool is None else propose_warmup(pool.addresses)


async def _read_pool(outbound: Outbound) -> SendingPool | None:
    spec, client = outbound.spec, outbound.client
    try:
        return await read_sending_pool(client, spec.delivery.configuration_set, spec.sender_address)
    except ServiceError as error:
        if not is_unknown_operation(error, client):
            raise
        if spec.delivery.pool is not None:
            note = f"{outbound.endpoint} is not SES and does not know pools: [delivery] pool is not checked"
            log.warning("pool.unknown", note=note, where=find_variable())
        return None
