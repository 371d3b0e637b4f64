"""Comparing all resources with the account, and creating or changing what differs."""

from collections.abc import Callable, Sequence

from engine.account.services import AwsServices
from engine.account.setup.resource import Action, Resource, SetupStep


async def compare_all(services: AwsServices, resources: Sequence[Resource]) -> tuple[SetupStep, ...]:
    """Compare them; changes nothing.

    Raises:
        MailrunError: AWS refuses or cannot be reached; or the wanted state is not possible.
    """
    return tuple([await resource.compare(services) for resource in resources])


async def apply_all(
    services: AwsServices, resources: Sequence[Resource], report: Callable[[SetupStep], None]
) -> tuple[SetupStep, ...]:
    """Create or change what differs, in order; what is done stays done if one fails, so another call resumes.

    Args:
        services: of the account.
        resources: in the order in which they are created.
        report: called with each step that is done, or that there was nothing to do for.

    Returns:
        The steps.

    Raises:
        MailrunError: as `compare_all`; the steps before are done.
    """
    steps = []
    for resource in resources:
        step = await resource.compare(services)
        if step.action is not Action.KEEP:  # it leaves alone what is in its way: `step.conflict`
            await resource.apply(services)
        report(step)
        steps.append(step)
    return tuple(steps)
