"""Multi-region endpoints and tenants of the account: what is refused, and what stays unknown."""

from types import SimpleNamespace
from typing import Any

import pytest
from support.account import client_error

from engine.account.sending_reach import refuse_unready_endpoint, refuse_unusable_tenant
from engine.errors import ServiceError

ARN = "arn:aws:ses:eu-west-1:123456789012:"


class Account:
    """Answers each operation with a document or an error, in pages of one entry."""

    def __init__(self, url: str = "https://email.eu-west-1.amazonaws.com", **answers: Any) -> None:
        self._answers = answers
        self.meta = SimpleNamespace(region_name="eu-west-1", endpoint_url=url)

    def __getattr__(self, operation: str) -> Any:
        async def call(**parameters: Any) -> Any:
            answer = self._answers[operation]
            if isinstance(answer, Exception):
                raise answer
            if not isinstance(answer, list):
                return answer
            member = {"list_tenant_resources": "TenantResources"}.get(operation, "MultiRegionEndpoints")
            place = int(parameters.get("NextToken", 0))
            more = {"NextToken": str(place + 1)} if place + 1 < len(answer) else {}
            return {member: answer[place : place + 1], **more}

        return call


def make_tenant(*resources: str, status: str = "ENABLED") -> Account:
    listed = [{"ResourceArn": ARN + one} for one in resources]
    return Account(get_tenant={"Tenant": {"SendingStatus": status}}, list_tenant_resources=listed)


async def test_an_endpoint_that_is_ready_passes_on_whichever_page_it_is():
    listed = [{"EndpointId": "a.g3h", "Status": "READY"}, {"EndpointId": "b.g3h", "Status": "READY"}]
    await refuse_unready_endpoint(Account(list_multi_region_endpoints=listed), "b.g3h")


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([], "has no multi-region endpoint a.g3h in eu-west-1"),
        ([{"EndpointId": "b.g3h", "Status": "READY"}], "has no multi-region endpoint a.g3h"),
        ([{"EndpointId": "a.g3h", "Status": "CREATING"}], "not ready: CREATING"),
        ([{"EndpointId": "a.g3h", "Status": "FAILED"}], "not ready: FAILED"),
    ],
)
async def test_an_endpoint_that_is_missing_or_not_ready_is_refused(listed: list[dict[str, str]], said: str):
    with pytest.raises(ServiceError, match=said) as refused:
        await refuse_unready_endpoint(Account(list_multi_region_endpoints=listed), "a.g3h")
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("resources", "configuration_set"),
    [
        (["identity/acme.example"], None),
        (["identity/news@mail.acme.example"], None),
        (["configuration-set/news", "identity/mail.acme.example"], "news"),
    ],
)
async def test_tenant_with_identity_and_configuration_set_passes(resources: list[str], configuration_set: str | None):
    for status in ("ENABLED", "REINSTATED"):
        account = make_tenant(*resources, status=status)
        await refuse_unusable_tenant(account, "shop", "news@mail.acme.example", configuration_set)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (make_tenant("identity/acme.example", "configuration-set/news", status="DISABLED"), "sending is disabled"),
        (make_tenant("configuration-set/news"), "the identity of n@acme.example is not associated"),
        (make_tenant("identity/acme.example"), "the configuration set news is not associated"),
        (make_tenant("identity/other.example"), "n@acme.example and the configuration set news are not associated"),
        (Account(get_tenant=client_error("NotFoundException", 404)), "has no tenant shop in eu-west-1"),
        (Account(get_tenant=client_error("TooManyRequestsException", 429)), "TooManyRequestsException"),
    ],
)
async def test_a_tenant_that_cannot_send_is_refused(account: Account, said: str):
    with pytest.raises(ServiceError, match=said) as refused:
        await refuse_unusable_tenant(account, "shop", "n@acme.example", "news")
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://email.eu-west-1.amazonaws.com", client_error("AccessDeniedException", 403)),
        ("http://127.0.0.1:9", client_error("", 404)),
    ],
)
async def test_what_may_not_be_asked_is_unknown_and_logged(
    url: str, error: Exception, capsys: pytest.CaptureFixture[str]
):
    await refuse_unready_endpoint(Account(url, list_multi_region_endpoints=error), "a.g3h")
    await refuse_unusable_tenant(Account(url, get_tenant=error), "shop", "n@acme.example", None)
    tenant = Account(url, get_tenant={"Tenant": {}}, list_tenant_resources=error)
    await refuse_unusable_tenant(tenant, "shop", "n@acme.example", None)
    assert capsys.readouterr().err.count("unknown") >= 3
