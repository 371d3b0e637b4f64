"""Whether the account has what `[delivery]` names: a multi-region endpoint that is ready, a tenant that may send."""

from typing import Any

from engine.account.client import translate_aws_errors
from engine.account.identities import covering_identities
from engine.account.reply_codes import is_not_found, lacks_permission
from engine.account.unknown_operation import find_variable, is_unknown_operation
from engine.errors import ServiceError
from engine.logs import get_logger
from engine.masking import show_address

log = get_logger()

_PAGE = 1000
_READY = "READY"


async def refuse_unready_endpoint(client: Any, endpoint_id: str) -> None:
    """Check that a multi-region endpoint exists and is ready; its primary region is that of the client.

    Where SES may not be asked, it is unknown, which is logged: the first send shows it.

    Args:
        client: an SES client.
        endpoint_id: its id.

    Raises:
        ServiceError: there is none in this region, or it is not ready; or SES cannot be reached, or refuses.
    """
    try:
        endpoints = await _list_all(client.list_multi_region_endpoints, "MultiRegionEndpoints")
    except ServiceError as error:
        _pass_unknown(error, client, f"whether the multi-region endpoint {endpoint_id} is ready", "endpoint.unknown")
        return
    found = next((one for one in endpoints if one.get("EndpointId") == endpoint_id), None)
    where = "campaign.toml: [delivery] endpoint_id"
    if found is None:
        raise ServiceError(
            f"the account has no multi-region endpoint {endpoint_id} in {client.meta.region_name}",
            where=where,
            remedy="write the id of an endpoint whose primary region this is (aws sesv2 list-multi-region-endpoints"
            " shows it), or set AWS_DEFAULT_REGION to its primary region",
        )
    if found.get("Status") != _READY:
        raise ServiceError(
            f"the multi-region endpoint {endpoint_id} is not ready: {found.get('Status', 'no status')}",
            where=where,
            remedy="wait until its status is READY, then launch again; create another one if it is FAILED",
        )


async def refuse_unusable_tenant(client: Any, tenant: str, sender: str, configuration_set: str | None) -> None:
    """Check that a tenant exists, may send, and has the identity and the configuration set; SES refuses each send else.

    Where SES may not be asked, it is unknown, which is logged: the first send shows it.

    Args:
        client: an SES client.
        tenant: its name.
        sender: the bare address of `from`.
        configuration_set: of the campaign; None where it names none.

    Raises:
        ServiceError: it cannot be used; or SES cannot be reached, or refuses.
    """
    show_address(sender)
    where = "campaign.toml: [delivery] tenant"
    try:
        with translate_aws_errors("SES"):
            found = (await client.get_tenant(TenantName=tenant))["Tenant"]
        resources = await _list_all(client.list_tenant_resources, "TenantResources", TenantName=tenant)
    except ServiceError as error:
        if is_not_found(error):
            raise ServiceError(
                f"the account has no tenant {tenant} in {client.meta.region_name}",
                where=where,
                remedy=f"create it: aws sesv2 create-tenant --tenant-name {tenant}",
            ) from error
        _pass_unknown(error, client, f"whether the tenant {tenant} may send", "tenant.unknown")
        return
    if found.get("SendingStatus") == "DISABLED":
        raise ServiceError(
            f"sending is disabled for the tenant {tenant}",
            where=where,
            remedy="find out why in the SES console (Tenants), enable sending for it, then launch again",
        )
    missing = _find_missing({str(one.get("ResourceArn", "")) for one in resources}, sender, configuration_set)
    if missing:
        raise ServiceError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not associated with the tenant {tenant}:"
            " SES refuses each send",
            where=where,
            remedy="associate what is missing: aws sesv2 create-tenant-resource-association"
            f" --tenant-name {tenant} --resource-arn ARN",
        )


def _find_missing(arns: set[str], sender: str, configuration_set: str | None) -> list[str]:
    """Name what a tenant lacks; the last part of an ARN is the kind and the name of a resource."""
    resources = {arn.split(":", 5)[-1] for arn in arns}
    missing = []
    if not any(f"identity/{identity}" in resources for identity in covering_identities(sender)):
        missing.append(f"the identity of {sender}")
    if configuration_set is not None and f"configuration-set/{configuration_set}" not in resources:
        missing.append(f"the configuration set {configuration_set}")
    return missing


async def _list_all(method: Any, member: str, **parameters: Any) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        with translate_aws_errors("SES"):
            page = await method(PageSize=_PAGE, **parameters, **token)
        entries += page.get(member, [])
        if not page.get("NextToken"):
            return entries
        token = {"NextToken": page["NextToken"]}


def _pass_unknown(error: ServiceError, client: Any, what: str, event: str) -> None:
    """Log that something is unknown, where SES may not be asked.

    Raises:
        ServiceError: the given one, of any other kind.
    """
    if is_unknown_operation(error, client):
        log.warning(event, note=f"{client.meta.endpoint_url} is not SES: {what} is unknown", where=find_variable())
    elif lacks_permission(error):
        log.warning(event, note=f"{what} is unknown: {error.what}", do=error.remedy)
    else:
        raise error
