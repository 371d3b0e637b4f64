"""Pools are read and changed through the API of SES: of the sandbox, which has addresses, and of moto."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from support.aws import run_moto_server
from support.ses import open_ses

from engine.account.pools import changes
from engine.account.pools.addresses import DEFAULT_POOL, SHARED_POOL, PoolKind
from engine.account.pools.overview import read_mode, read_pools, read_sending_pools
from engine.account.services import AwsServices, open_services
from engine.errors import UsageError
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.server import SandboxSettings

T = TypeVar("T")
FIRST, SECOND = "198.51.100.21", "198.51.100.22"


@pytest.fixture
def sandbox(tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[EmbeddedSandbox]:
    settings = SandboxSettings(
        record_folder=tmp_path, dedicated_addresses=(FIRST, SECOND), configuration_sets=("plain",)
    )
    with run_in_thread(settings) as running:
        aws.setenv("AWS_ENDPOINT_URL_SESV2", running.url)
        aws.setenv("AWS_ACCESS_KEY_ID", running.access_key_id)
        aws.setenv("AWS_SECRET_ACCESS_KEY", running.secret_access_key)
        aws.setenv("AWS_DEFAULT_REGION", running.region)
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    with open_ses(sandbox) as client:
        yield client


def run(work: Callable[[AwsServices], Awaitable[T]]) -> T:
    async def open_and_run() -> T:
        async with open_services() as services:
            return await work(services)

    return asyncio.run(open_and_run())


def create(name: str, *, managed: bool = False) -> changes.PoolCreation:
    async def work(services: AwsServices) -> changes.PoolCreation:
        found = await changes.find_creation(services, name, managed=managed)
        await changes.create_pool(services, found)
        return found

    return run(work)


def find_move(address: str, pool: str) -> changes.PoolMove:
    return run(lambda services: changes.find_move(services, address, pool))


def move(address: str, pool: str) -> None:
    run(lambda services: changes.move_address(services, changes.PoolMove(address, "", pool)))


def test_read_pools_shows_addresses_and_their_sets(ses: Any):
    create("news")
    create("auto", managed=True)
    move(FIRST, "news")
    ses.put_dedicated_ip_warmup_attributes(Ip=FIRST, WarmupPercentage=40)
    ses.create_configuration_set(ConfigurationSetName="letters", DeliveryOptions={"SendingPoolName": "news"})
    overview = run(read_pools)
    pools = {pool.name: pool for pool in overview.pools}
    assert [*pools] == [SHARED_POOL, DEFAULT_POOL, "auto", "news"]
    (first,) = pools["news"].addresses
    assert (first.address, first.status, first.percentage, first.is_warming) == (FIRST, "IN_PROGRESS", 40, True)
    assert pools["news"].configuration_sets == ("letters",)
    assert pools[DEFAULT_POOL].configuration_sets == ("plain",)
    assert (pools["auto"].kind, pools["auto"].addresses) == (PoolKind.MANAGED, ())
    assert run(lambda services: read_pools(services, with_sets=False)).pools[-1].configuration_sets == ()


@pytest.mark.usefixtures("sandbox")
def test_create_pool_keeps_one_that_exists_as_wanted():
    assert (create("news").mode, create("news").is_kept) == (None, True)
    assert not create("news", managed=True).is_kept
    assert create("news", managed=True).is_kept


def test_create_pool_refuses_to_make_a_managed_pool_standard(ses: Any):
    create("auto", managed=True)
    with pytest.raises(UsageError, match="cannot make a managed pool standard"):
        create("auto")
    with pytest.raises(UsageError, match="of SES itself"):
        create(SHARED_POOL)
    assert ses.get_dedicated_ip_pool(PoolName="auto")["DedicatedIpPool"]["ScalingMode"] == "MANAGED"


def test_find_move_names_the_sets_that_lose_their_last_address(ses: Any):
    create("news")
    create("other")
    ses.create_configuration_set(ConfigurationSetName="letters", DeliveryOptions={"SendingPoolName": "news"})
    move(FIRST, "news")
    assert find_move(FIRST, "other") == changes.PoolMove(FIRST, "news", "other", ("letters",))
    move(SECOND, "news")
    assert find_move(FIRST, "other").stranded == ()
    assert find_move(FIRST, "news").stranded == ()


@pytest.mark.usefixtures("sandbox")
def test_find_move_counts_sets_without_a_pool_for_the_default_pool():
    create("news")
    move(FIRST, "news")
    assert find_move(SECOND, "news") == changes.PoolMove(SECOND, DEFAULT_POOL, "news", ("plain",))
    assert find_move(FIRST, DEFAULT_POOL).stranded == ()


@pytest.mark.parametrize(
    ("address", "pool", "what"),
    [
        ("192.0.2.9", "news", "no dedicated IP address"),
        (FIRST, "none", "no pool none"),
        (FIRST, "auto", "is managed"),
        (FIRST, SHARED_POOL, "does not take"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_find_move_refuses_what_ses_would_refuse(address: str, pool: str, what: str) -> None:
    create("news")
    create("auto", managed=True)
    with pytest.raises(UsageError, match=what):
        find_move(address, pool)


def test_warm_up_is_set_for_an_address_and_for_the_account(ses: Any):
    run(lambda services: changes.set_warmup(services, FIRST, 30))
    run(lambda services: changes.set_auto_warmup(services, enabled=True))
    assert ses.get_dedicated_ip(Ip=FIRST)["DedicatedIp"]["WarmupPercentage"] == 30
    assert run(read_pools).auto_warmup is True
    with pytest.raises(UsageError, match="no dedicated IP address"):
        run(lambda services: changes.set_warmup(services, "192.0.2.9", 30))


def test_pools_and_their_sets_are_read_from_an_independent_server(aws: pytest.MonkeyPatch):
    """The server is moto 5.2.5, which has pools and no addresses."""
    with run_moto_server() as url:
        aws.setenv("AWS_ENDPOINT_URL_SESV2", url)
        create("news")
        create("auto", managed=True)

        async def read(services: AwsServices) -> tuple[list[str | None], dict[str, str | None]]:
            client = await services.open("sesv2")
            await client.create_configuration_set(
                ConfigurationSetName="letters", DeliveryOptions={"SendingPoolName": "news"}
            )
            modes = [await read_mode(client, name) for name in ("news", "auto", "none")]
            return modes, await read_sending_pools(client)

        assert create("news").is_kept
        modes, sets = run(read)
    assert modes == ["STANDARD", "MANAGED", None]
    assert sets == {"letters": "news"}
