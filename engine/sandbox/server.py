"""The sandbox: a local server that speaks the SES API v2 and behaves like an account."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from aiohttp import web

from engine.clock import Clock, SystemClock
from engine.errors import ConfigurationError
from engine.http.connections import stop_serving
from engine.http.guard import RequestGuard, is_loopback_name, make_server
from engine.sandbox.dedicated.addresses import DedicatedAddresses
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.envelopes import CERTIFICATE_PATH
from engine.sandbox.events.event_records import ACCOUNT_ID
from engine.sandbox.events.feedback import QUEUE_NAME, Feedback
from engine.sandbox.http.access import check_access, is_bearer, is_token, make_credentials, make_token
from engine.sandbox.http.control import Control, Latency, refuse
from engine.sandbox.http.faults import SandboxFaults
from engine.sandbox.http.inbox import PAGE_METHODS, PRIVATE, Inbox
from engine.sandbox.http.listening import explain_cannot_listen, make_request
from engine.sandbox.http.record import Record
from engine.sandbox.http.replies import ApiError, SandboxReply, bad_request
from engine.sandbox.http.signature import Verifier
from engine.sandbox.http.wire import deliver, respond
from engine.sandbox.reach.multi_region_endpoints import MultiRegionEndpoints
from engine.sandbox.reach.tenants import Tenants
from engine.sandbox.reputation.account_reputation import SandboxReputation
from engine.sandbox.reputation.cloudwatch import SIGNED_FOR, SandboxCloudWatch, cloudwatch_error
from engine.sandbox.reputation.cloudwatch import TARGET as CLOUDWATCH_TARGET
from engine.sandbox.reputation.sending_figures import SendingFigures
from engine.sandbox.ses.account import SandboxAccount
from engine.sandbox.ses.api import Api
from engine.sandbox.ses.configuration_sets import ConfigurationSets
from engine.sandbox.ses.identity.identities import Identities
from engine.sandbox.ses.import_jobs import ImportJobs, make_fetch
from engine.sandbox.ses.limits import RateBucket, RollingQuota
from engine.sandbox.ses.regions import SandboxRegions
from engine.sandbox.ses.sending import SandboxSending
from engine.sandbox.ses.simulator import is_simulator
from engine.sandbox.sqs.sqs import TARGET, queue_url, sqs_error

REGION = "us-east-1"
KEEPALIVE_SECONDS = 75.0
BACKLOG = 1024  # connections that may wait to be accepted: a sender opens hundreds at once
SIGNED = "AWS4-"  # what the Authorization header of a signed call starts with
ASK_FOR_THE_ADDRESS = (
    "The inbox has its own address, which contains a token. Open the address that mailrun sandbox printed when it"
    " started.\n"
)
DRAIN_SECONDS = 1.0  # how long calls in flight may take to end once the server stops


@dataclass(frozen=True)
class SandboxSettings:
    """How the sandbox and its account are set up.

    Attributes:
        record_folder: where the record of accepted messages is kept; created if it is missing.
        host: where to listen; loopback only.
        port: 0 selects a free one.
        max_send_rate: recipients a second.
        max_24_hour_send: recipients in 24 hours; -1 for no limit.
        production_access: False is an account in the SES sandbox, which may send to verified recipients only.
        identities: verified addresses and domains; None means that all are verified.
        configuration_sets: those that exist; None means that every name exists.
        dedicated_addresses: IPv4; they begin warmed up and in the default pool.
        multi_region_endpoints: ids of those that exist at first; None means that one of every id exists.
        tenants: names of those that exist at first, which may use everything; None means that every name exists.
        latency_seconds: how long each reply of the API is delayed.
        credentials: access key ids and their secrets; random by default.
        token: required by the inbox and the control endpoint; random by default.
        allowed_hosts: names that the server answers to in addition to those of loopback, without a port.
        seed: seed of the random draws for faults with a probability.
        behaviour: what happens to accepted mail, and how its events are delivered.
        firehose_folder: where events go as the files of a Firehose stream; None for nowhere.
        firehose_gzip: compress them.
        firehose_seconds: how often they are written; None: at the end, and at each request to the control endpoint.
        s3_endpoint: where the sources of import jobs are read, with the first of the credentials; None for nowhere.
    """

    record_folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    max_send_rate: float = 14.0
    max_24_hour_send: float = 50_000.0
    production_access: bool = True
    identities: tuple[str, ...] | None = None
    configuration_sets: tuple[str, ...] | None = None
    dedicated_addresses: tuple[str, ...] = ()
    multi_region_endpoints: tuple[str, ...] | None = ()
    tenants: tuple[str, ...] | None = ()
    latency_seconds: float = 0.0
    credentials: Mapping[str, str] = field(default_factory=make_credentials, repr=False)
    token: str = field(default_factory=make_token, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    seed: int = 0
    behaviour: Behaviour = field(default_factory=Behaviour)
    firehose_folder: Path | None = None
    firehose_gzip: bool = False
    firehose_seconds: float | None = None
    s3_endpoint: str | None = None


class Sandbox:
    """The server. Use it as an async context manager, or call `start` and `stop`.

    Args:
        settings: how it is set up.
        clock: time, for rates, quota, signatures and latency.
    """

    def __init__(self, settings: SandboxSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._verifier = Verifier(settings.credentials, self._clock)
        self._account = _account_of(settings, self._clock)  # of the region that is used first
        self._regions = SandboxRegions(self._account, lambda: _account_of(settings, self._clock))
        self._endpoints = MultiRegionEndpoints(settings.multi_region_endpoints, region=REGION, clock=self._clock)
        self._faults = SandboxFaults(settings.seed)
        self._latency = Latency(settings.latency_seconds)
        self._stopping = asyncio.Event()
        self._feedback: Feedback | None = None
        self._control: Control | None = None
        self._writing: asyncio.Task[None] | None = None
        self._runner: web.ServerRunner | None = None
        self._record: Record | None = None
        self._apis: dict[str, Api] = {}  # by region
        self._reputation: SandboxReputation | None = None
        self._cloudwatch: SandboxCloudWatch | None = None
        self._inbox: Inbox | None = None
        self._url = ""

    @property
    def queue_url(self) -> str:
        """The URL of the queue of events, once it is started."""
        return queue_url(self._url, QUEUE_NAME)

    @property
    def url(self) -> str:
        """The address of the API (an AWS endpoint URL) and of the control endpoint, once it is started."""
        return self._url

    @property
    def inbox_url(self) -> str:
        """The address of the inbox, with its token, once it is started."""
        return f"{self._url}/{self._settings.token}/"

    @property
    def routes(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Method and path of every operation, by kind, once it is started; of SQS, POST and the operation's name."""
        return {
            "ses": self._open_api(REGION).routes if self._record else (),
            "sqs": [("POST", name) for name in self._feedback.sqs.operations] if self._feedback else (),
            "cloudwatch": [("POST", name) for name in self._cloudwatch.operations] if self._cloudwatch else (),
            "control": self._control.routes if self._control else (),
        }

    async def start(self) -> None:
        """Open the record and listen.

        Raises:
            ConfigurationError: the host is not loopback, the port is in use, the credentials or the token cannot be
                used, or the record cannot be written.
        """
        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        if not is_loopback_name(settings.host):
            raise ConfigurationError(
                "the sandbox is a test server and listens on loopback only", where=where, remedy="use host 127.0.0.1"
            )
        check_access(settings.credentials, settings.token)
        self._record = Record(settings.record_folder)
        self._feedback = Feedback(
            settings.record_folder,
            settings.behaviour,
            clock=self._clock,
            matches=self._regions.publishes,
            firehose_folder=settings.firehose_folder,
            compress=settings.firehose_gzip,
            url=lambda: self._url,
        )
        self._inbox = Inbox(settings.record_folder, self._feedback.list_events, root=f"/{settings.token}")
        figures = SendingFigures(self._feedback.take_for_figures)
        self._reputation = SandboxReputation(self._account, figures, self._clock)
        reputation = self._reputation
        self._cloudwatch = SandboxCloudWatch(lambda region: reputation.of(self._regions.find(region)))
        self._control = Control(
            regions=self._regions,
            faults=self._faults,
            latency=self._latency,
            feedback=self._feedback,
        )
        try:
            self._url = await self._listen()
        except OSError as problem:
            await self.stop()
            raise explain_cannot_listen(problem, where) from problem
        if settings.firehose_folder is not None and settings.firehose_seconds is not None:
            self._writing = asyncio.create_task(self._write_files(settings.firehose_seconds), name="firehose")

    def _open_api(self, region: str) -> Api:
        """Return the operations of one region, which has an account of its own."""
        api = self._apis.get(region)
        if api is not None:
            return api
        assert self._record is not None  # noqa: S101 - nothing is served before `start` has set it
        assert self._reputation is not None  # noqa: S101 - as above
        account, settings = self._regions.find(region), self._settings
        tenants = Tenants(settings.tenants, arn=f"arn:aws:ses:{region}:{ACCOUNT_ID}", clock=self._clock)
        sending = SandboxSending(
            account=account,
            record=self._record,
            faults=self._faults,
            clock=self._clock,
            accepted=partial(self._note_accepted, account),
            checks=(self._endpoints.check_may_send, tenants.check_may_send),
        )
        access_key_id, secret = next(iter(settings.credentials.items()))
        jobs = ImportJobs(account.suppression, make_fetch(settings.s3_endpoint, access_key_id, secret))
        api = self._apis[region] = Api(
            account=account,
            sending=sending,
            clock=self._clock,
            jobs=jobs,
            faults=self._faults,
            reputation=self._reputation.of(account),
            more={**self._endpoints.operations(region), **tenants.operations},
        )
        return api

    async def _listen(self) -> str:
        """Listen, and return the URL."""
        server = make_server(
            self._serve,
            RequestGuard(self._settings.host, allowed_hosts=self._settings.allowed_hosts),
            request_factory=make_request,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=DRAIN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, self._settings.port, backlog=BACKLOG).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening, finish the calls in flight, close everything. A second stop does nothing."""
        self._stopping.set()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        if self._feedback is not None:
            self._feedback.stopping.set()
        if self._runner is not None:
            await stop_serving(self._runner)
            self._runner = None
        if self._feedback is not None:
            self._feedback.close()
            self._feedback = None
        if self._record is not None:
            self._record.close()
            self._record = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request that has passed the guard: a signed call, or one with the token."""
        path = request.raw_path
        if request.headers.get("X-Amz-Target", "").startswith(TARGET):
            return await self._serve_sqs(request)
        if request.headers.get("X-Amz-Target", "").startswith(CLOUDWATCH_TARGET):
            return await self._serve_cloudwatch(request)
        if path.startswith("/v2/") or request.headers.get("Authorization", "").startswith(SIGNED):
            return await self._serve_api(request)
        if path.startswith("/_sandbox/"):
            return await self._serve_control(request)
        if path == CERTIFICATE_PATH and self._feedback is not None:
            return web.Response(body=self._feedback.certificate, content_type="application/x-pem-file")
        return await self._serve_inbox(request)

    async def _serve_control(self, request: web.BaseRequest) -> web.Response:
        assert self._control is not None  # noqa: S101 - nothing is served before `start` has set it
        if not is_bearer(request, self._settings.token):
            return refuse("the header Authorization: Bearer TOKEN is missing, or the token is wrong")
        return self._control.answer(request.method, request.raw_path, await request.read())

    async def _serve_inbox(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._inbox is not None  # noqa: S101 - nothing is served before `start` has set it
        if request.method not in PAGE_METHODS:
            return await self._serve_api(request)  # which requires a signature
        if not is_token(request.path.strip("/").partition("/")[0], self._settings.token):
            return web.Response(status=403, text=ASK_FOR_THE_ADDRESS, headers=PRIVATE)
        return await self._inbox.answer(request)

    async def _serve_sqs(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._feedback is not None  # noqa: S101 - nothing is served before `start` has set it
        try:
            body, _ = await self._read_signed(request, "sqs")
        except ApiError as error:
            return respond(sqs_error(error))
        operation = request.headers["X-Amz-Target"].removeprefix(TARGET)
        return respond(await self._feedback.sqs.answer(operation, body, self._url))

    async def _serve_cloudwatch(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._cloudwatch is not None  # noqa: S101 - nothing is served before `start` has set it
        try:
            body, region = await self._read_signed(request, SIGNED_FOR)
        except ApiError as error:
            return respond(cloudwatch_error(error))
        operation = request.headers["X-Amz-Target"].removeprefix(CLOUDWATCH_TARGET)
        return respond(self._cloudwatch.answer(operation, body, region))

    async def _read_signed(self, request: web.BaseRequest, service: str) -> tuple[bytes, str]:
        """Read the body and the region of a call that is signed for a service."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise bad_request("The request is too large.") from None
        region = self._verifier.verify(
            method=request.method, target=request.raw_path, headers=request.headers, body=body, service=service
        )
        return body, region

    def _note_accepted(self, account: SandboxAccount, recipients: Sequence[str]) -> None:
        """Wake readers of events, and suppress the addresses that will bounce permanently or complain."""
        assert self._feedback is not None  # noqa: S101 - nothing is accepted before `start` has set it
        self._feedback.notice()
        behaviour = self._feedback.behaviour
        if behaviour.auto_suppress and not behaviour.is_quiet:
            for address in recipients:
                self._suppress(account, address, behaviour)

    def _suppress(self, account: SandboxAccount, address: str, behaviour: Behaviour) -> None:
        if is_simulator(address) or address.lower() in account.suppression.lowered:
            return
        fate = behaviour.fate_of(address)
        reason = (
            "BOUNCE"
            if fate.bounce is not None and fate.bounce[0] == "Permanent"
            else "COMPLAINT"
            if fate.complaint not in (None, "not-spam")
            else None
        )
        if reason is not None:
            account.suppression.put(address, reason, at=self._clock.now())

    async def _write_files(self, seconds: float) -> None:
        while self._feedback is not None:
            await self._clock.sleep(seconds)
            await asyncio.to_thread(self._feedback.write_files)

    async def _serve_api(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return respond(ApiError("RequestEntityTooLargeException", "Request size exceeded.", status=413).reply())
        reply = self._answer(request, body)
        if self._latency.seconds:
            await self._clock.sleep(self._latency.seconds)
        return await deliver(request, reply, stopping=self._stopping)

    def _answer(self, request: web.BaseRequest, body: bytes) -> SandboxReply:
        """Return the reply of one call of the API. It does not wait, so calls are decided one after the other."""
        method, target = request.method, request.raw_path
        try:
            region = self._verifier.verify(method=method, target=target, headers=request.headers, body=body)
            home = self._endpoints.choose_region(region, body, lambda one: self._regions.find(one).reachable)
            api = self._open_api(home)
            if not self._regions.find(home).reachable:
                return SandboxReply(200, b"", fault="drop_before")
            return api.answer(method=method, target=target, body=body, region=region)
        except ApiError as error:
            return error.reply()
        except OSError as problem:
            # The record cannot be written, so nothing was accepted.
            return ApiError("InternalFailure", f"The sandbox cannot write its record: {problem}", status=500).reply()


def _account_of(settings: SandboxSettings, clock: Clock) -> SandboxAccount:
    return SandboxAccount(
        bucket=RateBucket(settings.max_send_rate, clock),
        quota=RollingQuota(settings.max_24_hour_send, clock),
        identities=Identities(settings.identities),
        configuration_sets=ConfigurationSets(settings.configuration_sets),
        dedicated=DedicatedAddresses(settings.dedicated_addresses),
        production_access=settings.production_access,
        clock=clock,
    )
