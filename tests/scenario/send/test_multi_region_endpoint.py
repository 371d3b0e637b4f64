"""A campaign goes through a multi-region endpoint, for a tenant, with tracking of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ses import open_ses
from support.world import CAMPAIGN, World, open_world

ARN = "arn:aws:ses:us-east-1:123456789012:"
PEOPLE = 60


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        world.write_people(PEOPLE)
        yield world


def write_delivery(world: World, *lines: str) -> None:
    world.write("campaigns/hello/campaign.toml", CAMPAIGN + "\n[delivery]\n" + "\n".join(lines) + "\n")


def prepare_account(world: World) -> str:
    """Create an endpoint, and a tenant that may send; return the id of the endpoint."""
    with open_ses(world.server) as client:
        client.create_tenant(TenantName="shop")
        client.create_tenant_resource_association(TenantName="shop", ResourceArn=f"{ARN}identity/acme.example")
        routes = {"RoutesDetails": [{"Region": "eu-west-1"}]}
        made: str = client.create_multi_region_endpoint(EndpointName="global", Details=routes)["EndpointId"]
    return made


@pytest.mark.parametrize("call", ["single", "bulk"])
def test_launch_through_a_multi_region_endpoint_ends_with_whole_accounts(world: World, call: str):
    endpoint_id = prepare_account(world)
    write_delivery(
        world,
        f'endpoint_id = "{endpoint_id}"',
        f'call = "{call}"',
        'tenant = "shop"',
        "open_tracking = false",
        "click_tracking = true",
        'feedback_id = ["news", "acme"]',
    )
    launched = world.launch()
    assert launched.code == 0
    assert (launched.json["accepted"], launched.json["sent"], launched.json["balanced"]) == (PEOPLE, PEOPLE, True)
    accepted = world.accepted()
    assert len({one["to"][0] for one in accepted}) == len(accepted) == PEOPLE
    for one in accepted:
        assert (one["endpoint_id"], one["tenant"]) == (endpoint_id, "shop")
        assert one["tracking"] == {"open": False, "click": True}
        assert (one["tags"]["ses:feedback-id-a"], one["tags"]["ses:feedback-id-b"]) == ("news", "acme")
    assert world.run("audit", "hello/test", "--json").json["balanced"]


def test_launch_with_an_unknown_endpoint_or_tenant_freezes_nothing(world: World):
    endpoint_id = prepare_account(world)
    cases = {
        'endpoint_id = "other.g3h"': "no multi-region endpoint other.g3h",
        f'endpoint_id = "{endpoint_id}"\ntenant = "other"': "no tenant other",
        'tenant = "shop"\nconfiguration_set = "news"': "configuration set news is not associated",
    }
    for lines, said in cases.items():
        write_delivery(world, lines)
        refused = world.launch()
        assert (refused.code, said in refused.stderr) == (69, True), refused.stderr
        checked = world.run("check", "hello", "--json")
        assert checked.code == 69
        assert any(said in error["what"] for error in checked.json["account_errors"])
    assert not world.accepted()
    assert not world.run_folder.exists()


def test_launch_for_a_disabled_tenant_is_refused_until_it_is_enabled(world: World):
    prepare_account(world)
    write_delivery(world, 'tenant = "shop"')
    with open_ses(world.server) as client:
        arn = client.get_tenant(TenantName="shop")["Tenant"]["TenantArn"]
        entity = {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": arn}
        client.update_reputation_entity_customer_managed_status(**entity, SendingStatus="DISABLED")
        refused = world.launch()
        assert (refused.code, "disabled for the tenant shop" in refused.stderr) == (69, True)
        client.update_reputation_entity_customer_managed_status(**entity, SendingStatus="REINSTATED")
    assert world.launch().json["sent"] == PEOPLE


def test_launch_on_the_embedded_sandbox_needs_no_endpoint_or_tenant(world: World):
    write_delivery(world, 'endpoint_id = "abcdef12.g3h"', 'tenant = "shop"')
    launched = world.launch("--sandbox")
    assert (launched.code, launched.json["sent"]) == (0, PEOPLE)
