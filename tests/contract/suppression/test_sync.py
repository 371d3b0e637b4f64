"""The ledger's list and the account's, brought together: resumable, incremental, with case, and what differs."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from support.clock import START, VirtualClock
from support.s3 import BUCKET, environment, run_moto
from support.s3 import open_client as open_s3

from engine.account.async_client import CONTROL_PLANE, open_client
from engine.account.client import Endpoint, find_account_id
from engine.account.suppression_list import AccountSuppressionList
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.suppressed.suppressions import (
    Suppression,
    SuppressionProof,
    add_suppressions,
    find_suppressions,
    iterate_suppressions,
)
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.server import SandboxSettings
from engine.store.folder import FolderStore
from engine.suppression.sync import STATE_FILE, Sync


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    with run_in_thread(SandboxSettings(record_folder=tmp_path / "record")) as running:
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Iterator[Any]:
    with closing(ses_of(sandbox)) as client:
        yield client


def ses_of(sandbox: EmbeddedSandbox) -> Any:
    return boto3.client(
        "sesv2",
        endpoint_url=sandbox.url,
        region_name=sandbox.region,
        aws_access_key_id=sandbox.access_key_id,
        aws_secret_access_key=sandbox.secret_access_key,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
async def listing(sandbox: EmbeddedSandbox, clock: VirtualClock) -> AsyncIterator[AccountSuppressionList]:
    endpoint = Endpoint(sandbox.url, sandbox.region, sandbox.access_key_id, sandbox.secret_access_key)
    async with open_client(CONTROL_PLANE, endpoint) as client:
        yield AccountSuppressionList(client, clock)


@pytest.fixture
def make(ledger: Ledger, listing: AccountSuppressionList, clock: VirtualClock, tmp_path: Path) -> Any:
    def make_sync(**more: Any) -> Sync:
        given: dict[str, Any] = {
            "ledger": ledger,
            "store": FolderStore(tmp_path / "store"),
            "listing": listing,
            "clock": clock,
            "account": "test",
            "most_calls": 600,
        }
        return Sync(**(given | more))

    return make_sync


def put(ses: Any, *addresses: str, reason: str = "BOUNCE") -> None:
    for address in addresses:
        ses.put_suppressed_destination(EmailAddress=address, Reason=reason)


def listed(ses: Any) -> dict[str, str]:
    answer = ses.list_suppressed_destinations()
    return {one["EmailAddress"]: one["Reason"] for one in answer["SuppressedDestinationSummaries"]}


def add(ledger: Ledger, *entries: tuple[str, str, str], at: datetime = START) -> None:
    with ledger.write() as tx:
        add_suppressions(tx, [Suppression(key, topic, reason, "test", at) for key, topic, reason in entries])


def known(ledger: Ledger) -> dict[str, tuple[str, str | None]]:
    return {one.key: (one.reason, one.address) for block in iterate_suppressions(ledger) for one in block}


async def test_a_forgotten_person_does_not_come_back_from_the_account(make: Any, ses: Any, ledger: Ledger) -> None:
    put(ses, "Gone@Example.com", "ann@example.com", reason="COMPLAINT")

    def find(keys: pl.Series) -> pl.DataFrame:
        return pl.DataFrame({"key": keys.filter(keys == "gone@example.com")}).with_columns(source=pl.lit("forget"))

    synced = await make(find_forgotten=find).run(pull=True, push=True, full=True)
    assert (synced.listed, synced.added, synced.forgotten) == (2, 1, 1)
    assert set(known(ledger)) == {"ann@example.com"}
    assert (synced.only_there, "gone" in str(synced.to_json()).lower()) == (0, False)


async def test_both_directions_bring_bounces_and_complaints_with_their_case(
    make: Any, ses: Any, ledger: Ledger
) -> None:
    put(ses, "Ann.Lee@Example.com")
    put(ses, "bob@example.com", reason="COMPLAINT")
    add(ledger, ("c@b.example", "", "bounce"), ("d@b.example", "", "complaint"), ("e@b.example", "", "manual"))
    add(ledger, ("f@b.example", "news", "unsubscribe"))
    synced = await make().run(pull=True, push=True, full=True)
    assert (synced.listed, synced.added, synced.put, synced.waiting) == (2, 2, 2, 0)
    assert known(ledger)["ann.lee@example.com"] == ("bounce", "Ann.Lee@Example.com")
    assert known(ledger)["bob@example.com"][0] == "complaint"
    assert listed(ses) == {
        "Ann.Lee@Example.com": "BOUNCE",
        "bob@example.com": "COMPLAINT",
        "c@b.example": "BOUNCE",
        "d@b.example": "COMPLAINT",
    }


async def test_second_sync_reads_and_pushes_only_what_is_new(make: Any, ses: Any, ledger: Ledger) -> None:
    add(ledger, ("a@b.example", "", "bounce"))
    await make().run(pull=True, push=True, full=False)
    again = await make().run(pull=False, push=True, full=False)
    assert again.put == 0
    add(ledger, ("new@b.example", "", "bounce"), at=START + timedelta(hours=1))
    assert (await make().run(pull=False, push=True, full=False)).put == 1
    assert set(listed(ses)) == {"a@b.example", "new@b.example"}


async def test_what_an_earlier_version_pushed_is_not_pushed_again(make: Any, ledger: Ledger, tmp_path: Path) -> None:
    add(ledger, ("a@b.example", "", "bounce"))
    assert (await make().run(pull=False, push=True, full=False)).put == 1
    (written,) = (tmp_path / "store").glob("suppression-pushed-*.parquet")
    written.rename(written.parent / written.name.replace("-pushed-", "-told-"))  # its name in earlier versions
    add(ledger, ("b@b.example", "", "bounce"))
    assert (await make().run(pull=False, push=True, full=False)).put == 1
    assert written.exists()
    assert (await make().run(pull=False, push=True, full=False)).put == 0


async def test_there_is_a_second_between_two_calls(make: Any, ledger: Ledger, clock: VirtualClock, ses: Any) -> None:
    add(ledger, *((f"p{number}@b.example", "", "bounce") for number in range(20)))
    before = clock.monotonic()
    synced = await make().run(pull=True, push=True, full=False)
    assert synced.calls == 21
    assert clock.monotonic() - before >= 20
    assert len(listed(ses)) == 20


async def test_interrupted_listing_resumes_at_its_page(
    make: Any, ses: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, listing: AccountSuppressionList
) -> None:
    monkeypatch.setattr("engine.account.suppression_list.PAGE_SIZE", 2)
    put(ses, *(f"p{number}@b.example" for number in range(7)))
    real, tokens = listing.list_page, []

    async def break_at_the_third(*, start: Any, token: str | None) -> Any:
        tokens.append(token)
        if len(tokens) == 3:
            raise ConnectionError
        return await real(start=start, token=token)

    monkeypatch.setattr(listing, "list_page", break_at_the_third)
    with pytest.raises(ConnectionError):
        await make().run(pull=True, push=False, full=False)
    assert len(known(ledger)) == 4
    synced = await make().run(pull=True, push=False, full=False)
    assert (synced.listed, len(known(ledger))) == (3, 7)
    assert tokens[3] == tokens[2] is not None


async def test_an_expired_token_begins_the_listing_again(make: Any, ses: Any, tmp_path: Path) -> None:
    put(ses, "a@b.example")
    state = b'{"test": {"pull_began": "2026-11-24T08:00:00+00:00", "token": "not-ours!"}}'
    FolderStore(tmp_path / "store").write(STATE_FILE, state)
    synced = await make().run(pull=True, push=False, full=False)
    assert synced.added == 1


async def test_a_full_sync_reports_what_differs_and_removes_nothing(make: Any, ses: Any, ledger: Ledger) -> None:
    put(ses, "there@b.example")
    add(ledger, ("here@b.example", "", "bounce"))
    await make().run(pull=True, push=True, full=False)
    ses.delete_suppressed_destination(EmailAddress="here@b.example")
    synced = await make().run(pull=True, push=True, full=True)
    assert (synced.only_here, synced.only_there) == (1, 0)
    assert synced.drift == [{"address": "here@b.example", "only": "here"}]
    assert "here@b.example" in known(ledger)


async def test_more_than_the_most_calls_wait_for_the_next_sync(make: Any, ses: Any, ledger: Ledger) -> None:
    add(ledger, *((f"p{n}@b.example", "", "bounce") for n in range(5)))
    first = await make(most_calls=3).run(pull=False, push=True, full=False)
    assert (first.put, first.waiting) == (3, 2)
    assert len(listed(ses)) == 3
    second = await make(most_calls=3).run(pull=False, push=True, full=False)
    assert (second.put, second.waiting) == (2, 0)
    assert len(listed(ses)) == 5


async def test_entry_learnt_late_of_an_earlier_time_is_pushed(make: Any, ses: Any, ledger: Ledger) -> None:
    add(ledger, ("a@b.example", "", "bounce"), at=START)
    await make().run(pull=False, push=True, full=False)
    add(ledger, ("earlier@b.example", "", "bounce"), at=START - timedelta(days=3))
    await make().run(pull=False, push=True, full=False)
    assert set(listed(ses)) == {"a@b.example", "earlier@b.example"}


async def test_an_account_has_its_number_whatever_endpoint_it_shares(
    monkeypatch: pytest.MonkeyPatch, sandbox: EmbeddedSandbox
) -> None:
    with run_moto() as url:
        for name, value in (
            environment(url) | {"AWS_ENDPOINT_URL_STS": url, "AWS_DEFAULT_REGION": "eu-west-1"}
        ).items():
            monkeypatch.setenv(name, value)
        async with open_client(CONTROL_PLANE) as client:
            assert await find_account_id(client) == "123456789012"  # as STS returns it
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCOUNT_ID", "210987654321")
    async with open_client(CONTROL_PLANE) as client:
        assert await find_account_id(client) == "210987654321"
    endpoint = Endpoint(sandbox.url, sandbox.region, sandbox.access_key_id, sandbox.secret_access_key)
    async with open_client(CONTROL_PLANE, endpoint) as client:
        assert await find_account_id(client) == ""


async def test_address_that_ses_rejects_does_not_stop_others(make: Any, ses: Any, ledger: Ledger) -> None:
    add(ledger, ("no address", "", "bounce"))
    add(ledger, ("later@b.example", "", "bounce"), at=START + timedelta(days=1))
    synced = await make().run(pull=False, push=True, full=False)
    assert (synced.put, synced.refused, synced.refused_examples) == (1, 1, ["no address"])
    assert set(listed(ses)) == {"later@b.example"}
    again = await make().run(pull=False, push=True, full=False)
    assert (again.put, again.refused) == (0, 0)


async def test_domain_that_is_not_ascii_is_pushed_as_it_is_mailed(make: Any, ses: Any, ledger: Ledger) -> None:
    with ledger.write() as tx:
        add_suppressions(
            tx, [Suppression("k@xn--bcher-kva.example", "", "bounce", "x", START, None, "K@bücher.example")]
        )
    await make().run(pull=False, push=True, full=False)
    assert set(listed(ses)) == {"k@xn--bcher-kva.example"}


async def test_entry_that_an_import_job_rejected_stays_unpushed(
    ledger: Ledger, clock: VirtualClock, tmp_path: Path, make: Any
) -> None:
    with run_moto() as url, closing(open_s3(url)) as s3:
        settings = SandboxSettings(record_folder=tmp_path / "other", s3_endpoint=url)
        with run_in_thread(settings) as other, closing(ses_of(other)) as ses:
            endpoint = Endpoint(other.url, other.region, other.access_key_id, other.secret_access_key)
            add(ledger, *((f"p{n}@b.example", "", "bounce") for n in range(20)), ("no address", "", "bounce"))
            async with open_client(CONTROL_PLANE, endpoint) as client:
                given = {
                    "listing": AccountSuppressionList(client, clock),
                    "upload": lambda key, content: (
                        s3.put_object(Bucket=BUCKET, Key=key, Body=content) and f"s3://{BUCKET}/{key}"
                    ),
                    "most_calls": 10,
                }
                first = await make(**given).run(pull=False, push=True, full=False)
                second = await make(**given).run(pull=False, push=True, full=False)
            assert (first.imported, first.import_failed, first.waiting) == (20, 1, 1)
            assert (second.imported, second.put, second.refused) == (0, 0, 1)
            assert len(listed(ses)) == 20


async def test_many_are_pushed_by_import_jobs(ledger: Ledger, clock: VirtualClock, tmp_path: Path, make: Any) -> None:
    with run_moto() as url, closing(open_s3(url)) as s3:

        def upload(key: str, content: bytes) -> str:
            s3.put_object(Bucket=BUCKET, Key=key, Body=content)
            return f"s3://{BUCKET}/{key}"

        settings = SandboxSettings(record_folder=tmp_path / "other", s3_endpoint=url)
        with run_in_thread(settings) as other, closing(ses_of(other)) as ses:
            endpoint = Endpoint(other.url, other.region, other.access_key_id, other.secret_access_key)
            add(ledger, *((f"p{n}@b.example", "", "bounce") for n in range(50)), ("c@b.example", "", "complaint"))
            async with open_client(CONTROL_PLANE, endpoint) as client:
                listing = AccountSuppressionList(client, clock)
                synced = await make(listing=listing, upload=upload, most_calls=10).run(
                    pull=False, push=True, full=False
                )
            assert (synced.put, synced.imported, synced.import_failed) == (0, 51, 0)
            assert synced.calls < 6
            assert listed(ses)["c@b.example"] == "COMPLAINT"
            assert len(listed(ses)) == 51
            (job,) = ses.list_import_jobs()["ImportJobs"]
            assert job["JobStatus"] == "COMPLETED"


async def test_invalid_address_of_the_account_is_reported_not_added(
    make: Any, monkeypatch: pytest.MonkeyPatch, listing: AccountSuppressionList
) -> None:
    from engine.account.suppression_list import ListedAddress, SuppressionPage  # noqa: PLC0415 - here alone

    async def odd(**_: Any) -> SuppressionPage:
        return SuppressionPage(
            [ListedAddress("no address", "BOUNCE", START), ListedAddress("a@b.example", "BOUNCE", START)],
            None,
        )

    monkeypatch.setattr(listing, "list_page", odd)
    synced = await make().run(pull=True, push=False, full=False)
    assert (synced.invalid, synced.examples, synced.added) == (1, ["no address"], 1)


def test_entry_of_the_account_is_found_by_key(ledger: Ledger) -> None:
    add(ledger, ("a@b.example", "", "bounce"))
    with ledger.read() as tx:
        assert len(find_suppressions(tx, ["a@b.example", "x@b.example"])) == 1


async def test_nothing_from_a_mail_without_a_token_is_pushed(ledger: Ledger, ses: Any, make: Any, clock: VirtualClock):
    """Decided by the recorded proof: the source's text is the same."""
    with ledger.write() as tx:
        add_suppressions(
            tx,
            [
                Suppression(
                    f"{str(proof).lower()}@x.example", "", "complaint", "inbound mail", clock.now(), None, None, proof
                )
                for proof in (None, *SuppressionProof)
            ],
        )
    synced = await make().run(pull=False, push=True, full=False)
    listed = ses.list_suppressed_destinations()["SuppressedDestinationSummaries"]
    assert {entry["EmailAddress"] for entry in listed} == {"none@x.example", "token@x.example"}
    assert (synced.put, synced.waiting) == (2, 0)
