"""The check of `[delivery] endpoint_id` and `tenant` against an account, as a launch makes it."""

from pathlib import Path

import pytest

from engine.account.client import Endpoint, open_account
from engine.campaign.spec import parse_spec
from engine.delivery.outbound import Outbound
from engine.errors import ConfigurationError, ServiceError
from engine.run.prepare.reach_check import check_reach
from engine.sandbox.embedded import run_in_thread
from engine.sandbox.server import SandboxSettings

HEAD = (
    'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n[audience]\nsource = "x.csv"\n'
    '[content]\ntext = "t"\n[delivery]\n'
)


async def check(text: str, endpoint: Endpoint | None) -> None:
    async with open_account(endpoint) as account:
        spec = parse_spec(HEAD + text, file="campaign.toml")
        await check_reach(Outbound(spec=spec, endpoint="", account="", ses=account))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("HTTPS_PROXY", "http://127.0.0.1:9", "through a proxy"), ("AWS_USE_FIPS_ENDPOINT", "true", "FIPS")],
)
async def test_machine_that_cannot_sign_for_all_regions_is_refused(
    aws: pytest.MonkeyPatch, name: str, value: str, said: str
):
    aws.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said) as refused:
        await check('endpoint_id = "abcdef12.g3h"', None)
    assert refused.value.remedy


async def test_endpoint_and_tenant_of_the_account_pass_and_others_do_not(tmp_path: Path):
    settings = SandboxSettings(tmp_path, multi_region_endpoints=("abcdef12.g3h",))
    with run_in_thread(settings) as sandbox:
        endpoint = Endpoint(sandbox.url, sandbox.region, sandbox.access_key_id, sandbox.secret_access_key)
        await check("", endpoint)
        await check('endpoint_id = "abcdef12.g3h"', endpoint)
        with pytest.raises(ServiceError, match="no multi-region endpoint"):
            await check('endpoint_id = "other.g3h"', endpoint)
        with pytest.raises(ServiceError, match="no tenant shop"):
            await check('endpoint_id = "abcdef12.g3h"\ntenant = "shop"', endpoint)
