"""Check and launch look at pool, tenant and sender in every region of a campaign, and name the region."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.control import call
from support.dns import serve_dns
from support.sending_domain import make_zone
from support.ses import open_ses
from support.world import CAMPAIGN, World, open_world

from engine.sandbox.events.event_records import ACCOUNT_ID

IRELAND, FRANKFURT = "eu-west-1", "eu-central-1"
REGIONS = f'[delivery]\nregions = ["{IRELAND}", "{FRANKFURT}"]\n'
NAMES = 'configuration_set = "letters"\npool = "news"\ntenant = "shop"\n'
ADDRESS = "198.51.100.21"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, dedicated_addresses=(ADDRESS,)) as opened:
        opened.write_people(10)
        yield opened


def change(world: World, path: str, region: str, **members: Any) -> None:
    status, answer = call(world.server, "PATCH", f"/_sandbox/{path}?region={region}", members)
    assert status == 200, answer


def prepare_ireland_alone(world: World) -> None:
    """Create what the campaign names in one region; the other has the configuration set alone."""
    with open_ses(replace(world.server, region=FRANKFURT)) as ses:
        ses.create_configuration_set(ConfigurationSetName="letters")
    with open_ses(replace(world.server, region=IRELAND)) as ses:
        ses.create_dedicated_ip_pool(PoolName="news")
        ses.put_dedicated_ip_in_pool(Ip=ADDRESS, DestinationPoolName="news")
        ses.create_configuration_set(ConfigurationSetName="letters", DeliveryOptions={"SendingPoolName": "news"})
        ses.create_tenant(TenantName="shop")
        for resource in ("identity/acme.example", "configuration-set/letters"):
            arn = f"arn:aws:ses:{IRELAND}:{ACCOUNT_ID}:{resource}"
            ses.create_tenant_resource_association(TenantName="shop", ResourceArn=arn)


def test_pool_and_tenant_are_checked_in_each_region_that_can_send(world: World):
    world.write("campaigns/hello/campaign.toml", CAMPAIGN + REGIONS + NAMES)
    prepare_ireland_alone(world)
    checked = world.run("check", "hello", "--json")
    assert checked.code == 69
    found = [error["what"] for error in checked.json["account_errors"]]
    assert len(found) == 2
    assert found[0].startswith(f"{FRANKFURT}: the account has no tenant shop")
    assert found[1].startswith(f"{FRANKFURT}: the campaign expects the pool news")
    refused = world.launch()
    assert refused.code == 69
    assert f"{FRANKFURT}: the campaign expects the pool news" in refused.stderr
    assert not world.accepted()
    change(world, "state", FRANKFURT, sending_enabled=False)
    launched = world.launch()
    assert launched.code == 0, launched.stderr
    assert {message["region"] for message in world.accepted()} == {IRELAND}


def test_sender_is_checked_in_each_region(world: World):
    world.write("campaigns/hello/campaign.toml", CAMPAIGN + REGIONS)
    for region, status in ((IRELAND, "SUCCESS"), (FRANKFURT, "FAILED")):
        with open_ses(replace(world.server, region=region)) as ses:
            ses.put_email_identity_mail_from_attributes(
                EmailIdentity="acme.example", MailFromDomain="bounce.acme.example"
            )
        statuses = {"dkim_status": status, "mail_from_status": status}
        change(world, "identities", region, identity="acme.example", **statuses)
    with serve_dns(make_zone()) as dns:
        world.settings["MAILRUN_DNS_NAMESERVERS"] = dns
        checked = world.run("check", "hello", "--json")
        assert checked.code == 69, checked.stderr
        rows = checked.json["sender_rules"]
        dkim = {row["what"].partition(": ")[0]: row["verdict"] for row in rows if row["code"] == "dkim"}
        assert (dkim[IRELAND], dkim[FRANKFURT]) == ("pass", "fail")
        dmarc = [row for row in rows if row["code"] == "dmarc"]
        assert len(dmarc) == 1  # DNS says the same in all regions
        refused = world.launch()
    assert refused.code == 69
    assert f"{FRANKFURT}: receivers reject this mail" in refused.stderr
    assert not world.accepted()
