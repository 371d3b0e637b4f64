"""The account: what SES returns, and the refusals before anything is sent."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.account import CannedClient

from engine.account.async_client import SENDS, open_client
from engine.account.client import Endpoint
from engine.account.identities import list_verified, refuse_if_unverified
from engine.account.quota import AccountQuota, read_quota
from engine.errors import ConfigurationError, ServiceError
from engine.run.prepare.preflight import check_recipients, count_unverified
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.server import SandboxSettings

QUOTA = AccountQuota(14.0, 50_000.0, 100.0, production=True, sending_enabled=True, enforcement="HEALTHY")
URL = "http://127.0.0.1:9/"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., EmbeddedSandbox]]:
    """Starts a sandbox with settings."""
    opened = []

    def run(**settings: Any) -> EmbeddedSandbox:
        context = run_in_thread(SandboxSettings(record_folder=tmp_path / "record", **settings))
        opened.append(context)
        return context.__enter__()

    yield run
    for context in opened:
        context.__exit__(None, None, None)


def endpoint_of(sandbox: EmbeddedSandbox, secret: str = "") -> Endpoint:
    return Endpoint(sandbox.url, sandbox.region, sandbox.access_key_id, secret or sandbox.secret_access_key)


def write_plan(folder: Path, *addresses: str) -> Path:
    pl.DataFrame({"address": addresses}, schema={"address": pl.String}).write_parquet(
        folder / "recipients-0000.parquet"
    )
    return folder


# -- quota -------------------------------------------------------------------------------------------------------------


async def test_quota_is_that_of_the_account(start: Callable[..., EmbeddedSandbox]):
    sandbox = start(max_send_rate=5.0, max_24_hour_send=200.0, production_access=False)
    async with open_client(SENDS, endpoint_of(sandbox)) as client:
        quota = await read_quota(client)
    assert quota == AccountQuota(5.0, 200.0, 0.0, production=False, sending_enabled=True, enforcement="HEALTHY")
    assert quota.left_24_hours == 200.0


@pytest.mark.parametrize(
    ("verified", "sender", "passes"),
    [
        ("news@acme.example", "news@acme.example", True),
        ("news@acme.example", "news+may@acme.example", True),
        ("acme.example", "news@acme.example", True),
        ("acme.example", "news@mail.eu.acme.example", True),
        ("acme.example", "news@ACME.EXAMPLE", True),
        ("mail.acme.example", "news@acme.example", False),
        ("other.example", "news@acme.example", False),
        ("ann@acme.example", "news@acme.example", False),
        ("me.example", "news@acme.example", False),
    ],
)
async def test_a_sender_passes_where_the_account_has_verified_it(
    start: Callable[..., EmbeddedSandbox],
    verified: str,
    sender: str,
    passes: bool,  # noqa: FBT001 - a parameter of the case
):
    async with open_client(SENDS, endpoint_of(start(identities=(verified,)))) as client:
        if passes:
            await refuse_if_unverified(client, sender, "campaign.toml: from")
            return
        with pytest.raises(ServiceError, match=f"{sender} is not verified.*verify the address") as raised:
            await refuse_if_unverified(client, sender, "campaign.toml: from")
    assert raised.value.where == "campaign.toml: from"


async def test_the_verified_identities_are_listed_over_all_pages(start: Callable[..., EmbeddedSandbox]):
    names = tuple(f"domain{i}.example" for i in range(1_050))
    async with open_client(SENDS, endpoint_of(start(identities=("Ann@Acme.example", *names)))) as client:
        assert await list_verified(client) == {"Ann@Acme.example", *names}


@pytest.mark.parametrize(
    ("address", "covered"),
    [
        ("ann@b.example", True),
        ("ann+label@b.example", True),
        ("bob@b.example", False),
        ("x@acme.example", True),
        ("x@ACME.example", True),
        ("x@mail.acme.example", True),
        ("x@notacme.example", False),
        ("success@simulator.amazonses.com", True),
        ("bounce+1@simulator.amazonses.com", True),
    ],
)
def test_recipients_are_covered_as_senders_are_and_the_simulator_always(tmp_path: Path, address: str, covered: bool):  # noqa: FBT001 - a parameter of the case
    plan = write_plan(tmp_path, address)
    found = (0, 1, "") if covered else (1, 1, address)
    assert count_unverified(plan, {"ann@b.example", "acme.example"}) == found


def test_the_first_uncovered_recipient_is_the_example(tmp_path: Path):
    plan = write_plan(tmp_path, "x@acme.example", "first@other.example", "second@other.example")
    assert count_unverified(plan, {"acme.example"}) == (2, 3, "first@other.example")


def test_empty_plan_has_no_uncovered_recipient(tmp_path: Path):
    assert count_unverified(write_plan(tmp_path), set()) == (0, 0, "")


async def test_account_in_the_ses_sandbox_masks_unverified_recipients(
    start: Callable[..., EmbeddedSandbox], tmp_path: Path
):
    plan = write_plan(tmp_path, "ann@acme.example", "secret@other.example")
    sandbox = start(identities=("acme.example",), production_access=False)
    async with open_client(SENDS, endpoint_of(sandbox)) as client:
        quota = await read_quota(client)
        with pytest.raises(ServiceError, match=r"1 of 2 recipients.*production access") as raised:
            await check_recipients(client, quota, plan)
    assert "s***@other.example" in raised.value.what
    assert "secret" not in str(raised.value)


async def test_account_with_production_access_may_send_to_any_address(tmp_path: Path):
    await check_recipients(CannedClient(), QUOTA, write_plan(tmp_path, "ann@anywhere.example"))


# -- reaching it -------------------------------------------------------------------------------------------------------


@pytest.fixture
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No AWS settings at all."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


async def ask(endpoint: Endpoint | None = None) -> None:
    async with open_client(SENDS, endpoint) as client:
        await read_quota(client)


@pytest.mark.usefixtures("bare_environment")
async def test_without_a_region_the_message_names_its_variable():
    with pytest.raises(ConfigurationError, match=r"no AWS region.*AWS_DEFAULT_REGION"):
        await ask()


async def test_without_credentials_the_message_names_their_variables(bare_environment: pytest.MonkeyPatch):
    bare_environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bare_environment.setenv("AWS_ENDPOINT_URL_SESV2", URL)
    with pytest.raises(ConfigurationError, match=r"no AWS credentials.*AWS_ACCESS_KEY_ID.*--sandbox"):
        await ask()


async def test_an_unknown_profile_is_named(bare_environment: pytest.MonkeyPatch):
    bare_environment.setenv("AWS_PROFILE", "nowhere")
    with pytest.raises(ConfigurationError, match=r"nowhere.*AWS_PROFILE"):
        await ask()


async def test_an_endpoint_where_nobody_listens_is_unavailable():
    with closing(socket.socket()) as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        with pytest.raises(ServiceError, match="SES cannot be reached") as raised:
            await ask(Endpoint(url, "us-east-1", "A", "S"))
    assert raised.value.where.startswith(url)


async def test_wrong_credentials_are_unavailable_and_point_to_the_permissions(start: Callable[..., EmbeddedSandbox]):
    with pytest.raises(ServiceError, match=r"permissions; .*/docs/reference/iam\.md") as raised:
        await ask(endpoint_of(start(), secret="wrong"))
    assert "wrong" not in raised.value.what
