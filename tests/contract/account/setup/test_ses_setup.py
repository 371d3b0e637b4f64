"""A set-up against servers: planned, carried out, interrupted, resumed.

moto 5.2.5 has CreateEmailIdentity, GetEmailIdentity, CreateConfigurationSet and GetConfigurationSet of SES's API v2,
and Route 53. It has none of PutEmailIdentity...Attributes and PutConfigurationSet...Options, so what changes a resource
that exists, and the MAIL FROM domain, is tested with the sandbox alone. Neither of them checks policies: the sandbox
refuses by a fault.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from support.aws import PLACE, TestAccount
from support.clock import VirtualClock
from support.credentials import CREDENTIALS, bearer

from engine.account.services import AwsServices, open_services
from engine.account.setup.dns.hosted_zones import Presence
from engine.account.setup.sending.configuration_set import ConfigurationSetResource
from engine.account.setup.sending.identity import IdentityResource
from engine.account.setup.wanted import EventsService, TlsPolicy, WantedState
from engine.account.setup.whole.composition import find_place, list_resources
from engine.account.setup.whole.overall import Setup, SetupResult
from engine.cli.commands.ses.setup_output import describe_result
from engine.errors import ConfigurationError, MailrunError
from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.server import SandboxSettings

DOMAIN = "acme.example"
WANTED = WantedState(domain=DOMAIN, mail_from="bounce.acme.example", tls=TlsPolicy.REQUIRE)
READS = ("get_", "list_")


@pytest.fixture
def sandbox(account: TestAccount, aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    """A sandbox for SES, in which nothing exists; moto for the other services."""
    del account
    settings = SandboxSettings(
        record_folder=tmp_path / "empty", credentials=CREDENTIALS, identities=(), configuration_sets=()
    )
    with run_in_thread(settings) as running:
        aws.setenv("AWS_ENDPOINT_URL_SESV2", running.url)
        yield running


@pytest.fixture
def ses(sandbox: EmbeddedSandbox) -> Any:
    del sandbox
    return open_boto("sesv2")


def open_boto(service: str) -> Any:
    """An independent client, with the endpoints of the environment."""
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}))


def make_setup(folder: Path, wanted: WantedState = WANTED, *, route53: bool = False) -> Setup:
    key_file = folder / "dkim" / "key.pem"
    return Setup(wanted=wanted, resources=list_resources(wanted, PLACE, key_file), key_file=key_file, route53=route53)


async def carry_out(services: Any, setup: Setup, *, apply: bool = True) -> SetupResult:
    return await (setup.carry_out(services, lambda _: None) if apply else setup.plan(services))


def run(setup: Setup, *, apply: bool) -> SetupResult:
    async def work() -> SetupResult:
        async with open_services(clock=VirtualClock()) as services:
            return await carry_out(services, setup, apply=apply)

    return asyncio.run(work())


def actions(result: SetupResult) -> list[str]:
    return [step.action.value for step in result.steps]


class BrokenError(Exception):
    """The set-up is interrupted."""


class Watched:
    """Services that note every call, and fail at one of them: before AWS gets it, or after it answered."""

    def __init__(self, services: AwsServices, *, at: int = -1, answered: bool = False) -> None:
        self._services, self.at, self.answered, self.calls = services, at, answered, list[str]()
        self.clock = services.clock

    async def open(self, service: str, region: str | None = None) -> Any:
        return WatchedClient(await self._services.open(service, region), self)


class WatchedClient:
    def __init__(self, client: Any, owner: Watched) -> None:
        self._client, self._owner, self.meta = client, owner, client.meta

    def __getattr__(self, name: str) -> Any:
        async def call(**parameters: Any) -> Any:
            owner = self._owner
            owner.calls.append(name)
            strikes = len(owner.calls) - 1 == owner.at
            if strikes and not owner.answered:
                raise BrokenError
            found = await getattr(self._client, name)(**parameters)
            if strikes:
                raise BrokenError
            return found

        return call


async def watch(
    services: AwsServices, setup: Setup, *, apply: bool = True, at: int = -1, answered: bool = False
) -> list[str]:
    """Run a set-up, with an interruption at a call; return the calls."""
    watched = Watched(services, at=at, answered=answered)
    with suppress(BrokenError):
        await carry_out(watched, setup, apply=apply)
    return watched.calls


def read_state(ses: Any) -> tuple[dict[str, Any], ...]:
    found = ses.get_email_identity(EmailIdentity=DOMAIN), ses.get_configuration_set(ConfigurationSetName="mailrun")
    return tuple({**document, "ResponseMetadata": None} for document in found)


def clear(ses: Any) -> None:
    with suppress(ses.exceptions.NotFoundException):
        ses.delete_email_identity(EmailIdentity=DOMAIN)
    with suppress(ses.exceptions.NotFoundException):
        ses.delete_configuration_set(ConfigurationSetName="mailrun")


def put_faults(sandbox: EmbeddedSandbox, **fault: Any) -> None:
    httpx.post(f"{sandbox.url}/_sandbox/faults", json=fault, headers=bearer(sandbox)).raise_for_status()


def test_set_up_is_created_once_and_kept_afterwards(ses: Any, tmp_path: Path):
    setup = make_setup(tmp_path)
    assert actions(run(setup, apply=False)) == ["create"] * 3
    assert actions(run(setup, apply=True)) == ["create"] * 3
    before = read_state(ses)
    assert before[0]["DkimAttributes"]["NextSigningKeyLength"] == "RSA_2048_BIT"
    assert before[0]["MailFromAttributes"]["MailFromDomain"] == "bounce.acme.example"
    assert before[0]["ConfigurationSetName"] == "mailrun"
    assert before[1]["DeliveryOptions"]["TlsPolicy"] == "REQUIRE"
    assert before[1]["SuppressionOptions"]["SuppressedReasons"] == ["BOUNCE", "COMPLAINT"]
    assert actions(run(setup, apply=True)) == ["keep"] * 3
    assert read_state(ses) == before


def test_a_plan_calls_nothing_that_changes(ses: Any, tmp_path: Path):
    setup = make_setup(tmp_path, WantedState(domain=DOMAIN, mail_from="bounce.acme.example", dkim_selector="s1"))

    async def list_calls() -> list[str]:
        async with open_services(clock=VirtualClock()) as services:
            return await watch(services, setup, apply=False)

    for _ in range(2):  # of an empty account, and of one with other settings
        calls = asyncio.run(list_calls())
        assert calls
        assert [name for name in calls if not name.startswith(READS)] == []
        assert not (tmp_path / "dkim").exists()
        clear(ses)
        ses.create_email_identity(EmailIdentity=DOMAIN, DkimSigningAttributes={"NextSigningKeyLength": "RSA_1024_BIT"})
        ses.create_configuration_set(ConfigurationSetName="mailrun")


def test_an_account_with_other_settings_is_changed_to_the_wanted_state(ses: Any, tmp_path: Path):
    run(make_setup(tmp_path), apply=True)
    wanted = read_state(ses)
    clear(ses)
    ses.create_configuration_set(ConfigurationSetName="mailrun", SuppressionOptions={"SuppressedReasons": []})
    ses.create_email_identity(EmailIdentity=DOMAIN, DkimSigningAttributes={"NextSigningKeyLength": "RSA_1024_BIT"})
    ses.put_email_identity_dkim_attributes(EmailIdentity=DOMAIN, SigningEnabled=False)
    assert actions(run(make_setup(tmp_path), apply=True)) == ["change", "change", "create"]
    assert read_state(ses) == wanted


@pytest.mark.parametrize(("selector", "existing"), [("", True), ("s1", False)])
@pytest.mark.parametrize("answered", [False, True])
def test_an_apply_resumes_after_a_failure_at_any_call(
    ses: Any,
    tmp_path: Path,
    selector: str,
    answered: bool,  # noqa: FBT001 - a case
    existing: bool,  # noqa: FBT001 - a case
):
    def start() -> Setup:
        clear(ses)
        if existing:
            ses.create_configuration_set(ConfigurationSetName="mailrun")
            length = {"NextSigningKeyLength": "RSA_1024_BIT"}
            ses.create_email_identity(EmailIdentity=DOMAIN, DkimSigningAttributes=length)
            ses.put_email_identity_dkim_attributes(EmailIdentity=DOMAIN, SigningEnabled=False)
        return make_setup(tmp_path, WantedState(domain=DOMAIN, mail_from="bounce.acme.example", dkim_selector=selector))

    async def prove() -> None:
        async with open_services(clock=VirtualClock()) as services:
            calls = await watch(services, start())
            wanted = read_state(ses)
            assert sum(not name.startswith(READS) for name in calls) >= 3
            records = None
            for at, name in enumerate(calls):
                if answered and name.startswith(READS):
                    continue  # nothing was changed: as if it had not been answered
                setup = start()
                await watch(services, setup, at=at, answered=answered)
                resumed = await carry_out(services, setup)
                assert read_state(ses) == wanted
                assert resumed.records == (records := records or resumed.records)
                assert actions(await carry_out(services, setup, apply=False)) == ["keep"] * 3

    asyncio.run(prove())


def test_key_of_ones_own_is_private_and_never_replaced(ses: Any, tmp_path: Path):
    setup = make_setup(tmp_path, WantedState(domain=DOMAIN, mail_from="bounce.acme.example", dkim_selector="s1"))
    (record,) = [one for one in run(setup, apply=True).records if one.purpose == "DKIM"]
    written = setup.key_file.read_bytes()
    assert record.name == "s1._domainkey.acme.example"
    assert setup.key_file.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in setup.key_file.parent.iterdir()] == [setup.key_file.name]
    clear(ses)
    run(setup, apply=True)
    assert setup.key_file.read_bytes() == written
    assert ses.get_email_identity(EmailIdentity=DOMAIN)["DkimAttributes"]["Tokens"] == ["s1"]


def test_a_file_that_is_not_a_key_stops_the_set_up_and_stays(ses: Any, tmp_path: Path):
    del ses
    setup = make_setup(tmp_path, WantedState(domain=DOMAIN, mail_from="bounce.acme.example", dkim_selector="s1"))
    setup.key_file.parent.mkdir()
    setup.key_file.write_text("not a key")
    with pytest.raises(ConfigurationError, match="not an RSA key"):
        run(setup, apply=True)
    assert setup.key_file.read_text() == "not a key"


def test_a_key_that_other_users_may_read_stops_the_set_up(ses: Any, tmp_path: Path):
    del ses
    setup = make_setup(tmp_path, WantedState(domain=DOMAIN, mail_from="bounce.acme.example", dkim_selector="s1"))
    run(setup, apply=True)
    setup.key_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="other users"):
        run(setup, apply=True)


def test_a_missing_permission_is_named_with_its_policy_line(sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path):
    put_faults(sandbox, kind="deny_call", match="/mail-from")
    with pytest.raises(MailrunError) as refused:
        run(make_setup(tmp_path), apply=True)
    action = "ses:PutEmailIdentityMailFromAttributes"
    assert f'{{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}' in refused.value.remedy
    assert actions(run(make_setup(tmp_path), apply=True)) == ["keep", "keep", "create"]
    del ses


def test_throttled_calls_are_waited_for(sandbox: EmbeddedSandbox, ses: Any, tmp_path: Path):
    put_faults(sandbox, kind="throttle_call", match="POST /v2/email/identities", count=3)
    assert actions(run(make_setup(tmp_path), apply=True)) == ["create"] * 3
    assert read_state(ses)


def test_a_pool_that_does_not_exist_stops_the_set_up_before_any_change(ses: Any, tmp_path: Path):
    state = WantedState(domain=DOMAIN, mail_from="bounce.acme.example", pool="marketing")
    with pytest.raises(ConfigurationError, match="no pool marketing"):
        run(make_setup(tmp_path, state), apply=True)
    assert ses.list_configuration_sets()["ConfigurationSets"] == []


@pytest.mark.parametrize("server", ["sandbox", "moto"])
def test_set_and_identity_are_created_on_every_server(
    sandbox: EmbeddedSandbox, aws: pytest.MonkeyPatch, tmp_path: Path, server: str
):
    del sandbox
    if server == "moto":
        aws.delenv("AWS_ENDPOINT_URL_SESV2")
    key_file = tmp_path / "key.pem"
    resources = (ConfigurationSetResource(WANTED), IdentityResource(WANTED, key_file))
    setup = Setup(wanted=WANTED, resources=resources, key_file=key_file)
    assert actions(run(setup, apply=True)) == ["create", "create"]
    assert actions(run(setup, apply=True)) == ["keep", "keep"]


@pytest.mark.parametrize("events", EventsService)
def test_events_and_inbound_mail_are_part_of_the_set_up(ses: Any, tmp_path: Path, events: EventsService):
    state = WantedState(
        domain=DOMAIN, mail_from="bounce.acme.example", events=events, inbound_domain="inbound.acme.example"
    )

    async def work(*, apply: bool) -> SetupResult:
        async with open_services(clock=VirtualClock()) as services:
            place = await find_place(services, state)
            key_file = tmp_path / "key.pem"
            setup = Setup(wanted=state, resources=list_resources(state, place, key_file), key_file=key_file)
            return await carry_out(services, setup, apply=apply)

    assert set(actions(asyncio.run(work(apply=False)))) == {"create"}
    done = asyncio.run(work(apply=True))
    assert set(actions(done)) == {"create"}
    assert set(actions(asyncio.run(work(apply=False)))) == {"keep"}
    (destination,) = ses.get_configuration_set_event_destinations(ConfigurationSetName="mailrun")["EventDestinations"]
    assert len(destination["MatchingEventTypes"]) == 10
    assert any("rewrites links" in note for note in done.notes)
    assert any("inbound pull --queue https://" in note for note in done.notes)
    assert [record.name for record in done.records if record.purpose == "inbound mail"] == ["inbound.acme.example"]


def open_zone(name: str = "acme.example.", **more: Any) -> tuple[Any, str]:
    client = open_boto("route53")
    zone = client.create_hosted_zone(Name=name, CallerReference=name + str(more), **more)["HostedZone"]["Id"]
    return client, zone


def list_sets(client: Any, zone: str) -> dict[tuple[str, str], list[str]]:
    return {
        (one["Name"], one["Type"]): [value["Value"] for value in one["ResourceRecords"]]
        for one in client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        if one["Type"] not in ("SOA", "NS")
    }


def put_set(client: Any, zone: str, name: str, kind: str, value: str) -> None:
    changed = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": changed}]}
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def test_route_53_gets_missing_records_once(ses: Any, tmp_path: Path):
    del ses
    client, zone = open_zone()
    run(make_setup(tmp_path), apply=True)
    setup = make_setup(tmp_path, route53=True)
    planned = run(setup, apply=False)
    assert {state.presence for state in planned.in_route53 or ()} == {Presence.MISSING}
    described = "\n".join(describe_result(planned))  # the records are all that is left to do
    assert f"; {len(planned.records)} DNS records to create in Route 53" in described
    assert "run the same command with --apply" in described
    assert "as wanted." not in described
    assert list_sets(client, zone) == {}
    done = run(setup, apply=True)
    assert done.to_publish == ()
    sets = list_sets(client, zone)
    assert sets["bounce.acme.example.", "MX"] == ["10 feedback-smtp.eu-west-1.amazonses.com."]
    assert sets["bounce.acme.example.", "TXT"] == ['"v=spf1 include:amazonses.com ~all"']
    assert sum(kind == "CNAME" for _, kind in sets) == 3
    run(setup, apply=True)
    assert list_sets(client, zone) == sets


def test_route_53_keeps_what_is_there_and_reports_it(ses: Any, tmp_path: Path):
    del ses
    client, zone = open_zone()
    put_set(client, zone, "bounce.acme.example.", "TXT", '"site-verification=1"')
    put_set(client, zone, "_dmarc.acme.example.", "TXT", '"v=DMARC1; p=reject"')
    done = run(make_setup(tmp_path, route53=True), apply=True)
    sets = list_sets(client, zone)
    assert sets["bounce.acme.example.", "TXT"] == ['"site-verification=1"']
    assert sets["_dmarc.acme.example.", "TXT"] == ['"v=DMARC1; p=reject"']
    assert ("bounce.acme.example.", "MX") in sets
    (conflict,) = done.conflicts
    assert "bounce.acme.example TXT" in conflict
    assert [(one.name, one.type) for one in done.to_publish] == [("bounce.acme.example", "TXT")]


def test_route_53_without_the_zone_leaves_all_records_to_publish(ses: Any, tmp_path: Path):
    del ses
    open_zone("other.example.")
    done = run(make_setup(tmp_path, route53=True), apply=True)
    assert {state.presence for state in done.in_route53 or ()} == {Presence.NO_ZONE}
    assert done.to_publish == done.records


def test_route_53_records_are_resumed_after_a_failure(ses: Any, tmp_path: Path):
    del ses
    client, zone = open_zone()
    setup = make_setup(tmp_path, route53=True)

    async def prove() -> None:
        async with open_services(clock=VirtualClock()) as services:
            calls = await watch(services, setup)
            wanted = list_sets(client, zone)
            assert calls.count("change_resource_record_sets") == 1
            for at in (calls.index("list_hosted_zones"), calls.index("change_resource_record_sets"), len(calls) - 1):
                for answered in (False, True):
                    _empty_zone(client, zone)
                    await watch(services, setup, at=at, answered=answered)
                    await carry_out(services, setup)
                    assert list_sets(client, zone) == wanted

    asyncio.run(prove())


def _empty_zone(client: Any, zone: str) -> None:
    sets = [
        one
        for one in client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        if one["Type"] not in ("SOA", "NS")
    ]
    changes = [{"Action": "DELETE", "ResourceRecordSet": one} for one in sets]
    if changes:
        client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
