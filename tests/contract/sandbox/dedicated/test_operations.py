"""Dedicated IP pools and addresses of the sandbox, driven by boto3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.ses import open_ses

from engine.sandbox.embedded import run_in_thread
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.event_plan import plan_events
from engine.sandbox.events.event_records import make_record
from engine.sandbox.http.record import read_record
from engine.sandbox.server import SandboxSettings

ADDRESSES = ("198.51.100.21", "198.51.100.22", "198.51.100.23")
DEFAULT = "ses-default-dedicated-pool"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def ses(folder: Path) -> Iterator[Any]:
    settings = SandboxSettings(record_folder=folder, max_send_rate=1000, dedicated_addresses=ADDRESSES)
    with run_in_thread(settings) as sandbox, open_ses(sandbox) as client:
        yield client


def code_of(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def send(ses: Any, to: str, configuration_set: str | None = None) -> None:
    named = {} if configuration_set is None else {"ConfigurationSetName": configuration_set}
    content = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
    ses.send_email(FromEmailAddress="news@acme.example", Destination={"ToAddresses": [to]}, Content=content, **named)


def test_addresses_begin_warmed_up_in_the_default_pool(ses: Any) -> None:
    listed = ses.get_dedicated_ips()["DedicatedIps"]
    assert listed == [
        {"Ip": ip, "WarmupStatus": "DONE", "WarmupPercentage": 100, "PoolName": DEFAULT} for ip in ADDRESSES
    ]
    assert ses.get_dedicated_ip(Ip=ADDRESSES[1])["DedicatedIp"] == listed[1]
    assert ses.list_dedicated_ip_pools()["DedicatedIpPools"] == [DEFAULT]
    first = ses.get_dedicated_ips(PageSize=2)
    second = ses.get_dedicated_ips(PageSize=2, NextToken=first["NextToken"])
    assert [one["Ip"] for one in (*first["DedicatedIps"], *second["DedicatedIps"])] == list(ADDRESSES)


def test_an_address_moves_into_a_standard_pool_only(ses: Any) -> None:
    ses.create_dedicated_ip_pool(PoolName="news")
    ses.create_dedicated_ip_pool(PoolName="auto", ScalingMode="MANAGED")
    ses.put_dedicated_ip_in_pool(Ip=ADDRESSES[0], DestinationPoolName="news")
    assert [one["Ip"] for one in ses.get_dedicated_ips(PoolName="news")["DedicatedIps"]] == [ADDRESSES[0]]
    move = ses.put_dedicated_ip_in_pool
    assert code_of(move, Ip=ADDRESSES[1], DestinationPoolName="auto") == "BadRequestException"
    assert code_of(move, Ip=ADDRESSES[1], DestinationPoolName="none") == "NotFoundException"
    assert code_of(move, Ip="192.0.2.9", DestinationPoolName="news") == "NotFoundException"
    assert code_of(ses.create_dedicated_ip_pool, PoolName="news") == "AlreadyExistsException"
    ses.delete_dedicated_ip_pool(PoolName="news")
    assert ses.get_dedicated_ip(Ip=ADDRESSES[0])["DedicatedIp"]["PoolName"] == DEFAULT


def test_a_managed_pool_stays_managed(ses: Any) -> None:
    ses.create_dedicated_ip_pool(PoolName="news")
    scale = ses.put_dedicated_ip_pool_scaling_attributes
    scale(PoolName="news", ScalingMode="MANAGED")
    pool = ses.get_dedicated_ip_pool(PoolName="news")["DedicatedIpPool"]
    assert pool == {"PoolName": "news", "ScalingMode": "MANAGED"}
    assert code_of(scale, PoolName="news", ScalingMode="STANDARD") == "BadRequestException"
    assert code_of(ses.get_dedicated_ip_pool, PoolName="none") == "NotFoundException"


def test_warm_up_is_set_for_an_address_and_for_the_account(ses: Any) -> None:
    ses.put_dedicated_ip_warmup_attributes(Ip=ADDRESSES[0], WarmupPercentage=40)
    one = ses.get_dedicated_ip(Ip=ADDRESSES[0])["DedicatedIp"]
    assert (one["WarmupStatus"], one["WarmupPercentage"]) == ("IN_PROGRESS", 40)
    assert code_of(ses.put_dedicated_ip_warmup_attributes, Ip=ADDRESSES[0], WarmupPercentage=101) == (
        "BadRequestException"
    )
    assert ses.get_account()["DedicatedIpAutoWarmupEnabled"] is False
    ses.put_account_dedicated_ip_warmup_attributes(AutoWarmupEnabled=True)
    assert ses.get_account()["DedicatedIpAutoWarmupEnabled"] is True


def test_a_message_leaves_from_the_pool_of_its_set(ses: Any, folder: Path) -> None:
    ses.create_dedicated_ip_pool(PoolName="news")
    ses.create_dedicated_ip_pool(PoolName="auto", ScalingMode="MANAGED")
    ses.create_dedicated_ip_pool(PoolName="empty")
    ses.put_dedicated_ip_in_pool(Ip=ADDRESSES[0], DestinationPoolName="news")
    for name in ("news", "auto", "empty", "ses-shared-pool"):
        ses.create_configuration_set(ConfigurationSetName=f"set-{name}", DeliveryOptions={"SendingPoolName": name})
    sets = ["set-news", "set-auto", "set-empty", "set-ses-shared-pool", None]
    for one in sets:
        for number in range(20):
            send(ses, f"{number}@b.example", one)
    left: dict[str | None, set[str]] = {one: set() for one in sets}
    for message in read_record(folder):
        left[message["configuration_set"]].add(message["outgoing_ip"])
    assert left["set-news"] == {ADDRESSES[0]}
    assert left["set-auto"].isdisjoint(ADDRESSES)
    assert left["set-empty"] == left["set-ses-shared-pool"] == {"198.51.100.7"}
    assert left[None] == set(ADDRESSES[1:])


def test_events_name_the_address_of_mail_that_left(ses: Any, folder: Path) -> None:
    send(ses, "ann@b.example")
    send(ses, "bounce@simulator.amazonses.com")
    send(ses, "suppressionlist@simulator.amazonses.com")
    seen = []
    for message in read_record(folder):
        for event in plan_events(message, Behaviour()):
            tags = make_record(message, event)["mail"]["tags"]
            seen.append((event.kind, tags.get("ses:outgoing-ip") == [message["outgoing_ip"]]))
            assert message["outgoing_ip"] in ADDRESSES
    assert seen == [
        ("Send", False), ("Delivery", True), ("Send", False), ("Bounce", True), ("Send", False), ("Bounce", False),
    ]  # fmt: skip
