"""The pool that a campaign's mail leaves from, read from the sandbox."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ses import open_ses

from engine.account.pools.addresses import DEFAULT_POOL, SHARED_POOL
from engine.account.pools.sending_pool import SendingPool, read_sending_pool, refuse_other_pool
from engine.account.services import open_services
from engine.errors import ServiceError
from engine.sandbox.embedded import run_in_thread
from engine.sandbox.server import SandboxSettings

SENDER = "news@mail.acme.example"
ADDRESS = "198.51.100.21"


@pytest.fixture
def ses(tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[Any]:
    settings = SandboxSettings(
        record_folder=tmp_path,
        dedicated_addresses=(ADDRESS,),
        configuration_sets=("plain",),
        identities=("acme.example",),
    )
    with run_in_thread(settings) as running, open_ses(running) as client:
        aws.setenv("AWS_ENDPOINT_URL_SESV2", running.url)
        aws.setenv("AWS_ACCESS_KEY_ID", running.access_key_id)
        aws.setenv("AWS_SECRET_ACCESS_KEY", running.secret_access_key)
        aws.setenv("AWS_DEFAULT_REGION", running.region)
        client.create_dedicated_ip_pool(PoolName="news")
        client.create_dedicated_ip_pool(PoolName="auto", ScalingMode="MANAGED")
        for pool in ("news", "auto", "gone", SHARED_POOL):
            options = {"DeliveryOptions": {"SendingPoolName": pool}}
            client.create_configuration_set(ConfigurationSetName=f"set-{pool}", **options)
        yield client


def read(configuration_set: str | None) -> SendingPool:
    async def work() -> SendingPool:
        async with open_services() as services:
            return await read_sending_pool(await services.open("sesv2"), configuration_set, SENDER)

    return asyncio.run(work())


def test_the_expected_pool_is_accepted(ses: Any):
    ses.put_dedicated_ip_in_pool(Ip=ADDRESS, DestinationPoolName="news")
    for pool in ("news", "auto", SHARED_POOL):
        found = read(f"set-{pool}")
        refuse_other_pool(found, pool)
        assert found.name == pool
    assert [one.address for one in read("set-news").addresses] == [ADDRESS]


@pytest.mark.parametrize(
    ("configuration_set", "expected", "what"),
    [
        ("set-auto", "news", "expects the pool news, and its mail leaves from auto (set set-auto)"),
        ("plain", "news", f"expects the pool news, and its mail leaves from {DEFAULT_POOL} (set plain)"),
        (None, "news", f"leaves from {DEFAULT_POOL} (without a configuration set)"),
        ("set-news", "news", "the pool news has no IP address"),
        ("set-gone", "gone", "the pool gone does not exist (set set-gone)"),
    ],
)
@pytest.mark.usefixtures("ses")
def test_another_pool_is_refused(configuration_set: str | None, expected: str, what: str) -> None:
    with pytest.raises(ServiceError) as caught:
        refuse_other_pool(read(configuration_set), expected)
    assert what in caught.value.what
    assert caught.value.where == "campaign.toml: [delivery] pool"


def test_mail_without_a_pool_leaves_from_the_shared_one_at_last(ses: Any):
    ses.put_dedicated_ip_in_pool(Ip=ADDRESS, DestinationPoolName="news")
    assert read("plain").name == SHARED_POOL


@pytest.mark.usefixtures("ses")
def test_a_configuration_set_that_does_not_exist_is_named():
    with pytest.raises(ServiceError, match="configuration set none does not exist"):
        read("none")


def test_the_default_set_of_the_identity_counts(ses: Any):
    ses.put_email_identity_configuration_set_attributes(EmailIdentity="acme.example", ConfigurationSetName="set-auto")
    assert (read(None).configuration_set, read(None).name) == ("set-auto", "auto")
