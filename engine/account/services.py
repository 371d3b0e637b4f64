"""Clients of AWS services: SES's control plane, SQS, SNS, EventBridge, Route 53, CloudWatch and so on.

A call runs in a thread, its error is translated and names the permission that it needs, and a call that AWS throttles
waits: most operations of SES are limited to one call a second for a whole account
(https://docs.aws.amazon.com/ses/latest/dg/quotas.html).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import botocore.exceptions
from botocore.config import Config
from botocore.session import Session

from engine.account.answers import call_and_read, refuse_other_text
from engine.account.client import (
    CONNECT_TIMEOUT_SECONDS,
    NO_PROXIES,
    READ_TIMEOUT_SECONDS,
    Endpoint,
    give_endpoint,
    is_of_aws,
    refuse_bad_endpoint,
    translate_aws_errors,
)
from engine.account.session import make_session
from engine.clock import Clock, SystemClock
from engine.stopping.abandonable import DaemonThread

GAP_SECONDS = 1.0  # between two calls of the same operation of SES
WAIT_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # after each throttled try of one call; then the error is raised
_SPACED = frozenset({"sesv2", "ses"})
_FAST = frozenset({"BatchGetMetricData", "GetEmailTemplate"})  # of SES: 16 and 50 calls a second
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "PriorRequestNotComplete"}
    | {"SlowDown", "RequestThrottled", "RequestThrottledException", "ThrottledException"}
)
_NAMES = {
    "sesv2": "SES", "ses": "SES", "sqs": "SQS", "sns": "SNS", "s3": "S3", "events": "EventBridge", "iam": "IAM",
    "firehose": "Firehose", "route53": "Route 53", "cloudwatch": "CloudWatch", "sts": "STS",
}  # fmt: skip
# PacedClient repeats throttled calls itself; botocore repeats those that found no server.
_CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    retries={"total_max_attempts": 2, "mode": "standard"},
)


class PacedClient:
    """A client of one service with asynchronous methods: `await client.get_account()`.

    Args:
        client: of botocore.
        service: as botocore names it.
        thread: where calls run.
        clock: for waits.

    Attributes:
        meta: the client's, with `region_name` and `endpoint_url`.
        exceptions: the client's error classes; a translated error has the original as its `__cause__`.
    """

    def __init__(self, client: Any, service: str, thread: DaemonThread, clock: Clock) -> None:
        self._client, self._service, self._thread, self._clock = client, service, thread, clock
        self._spaced = service in _SPACED and is_of_aws(client)
        self._last = dict[str, float]()  # operation to when it was last called
        self.meta = client.meta
        self.exceptions = client.exceptions

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        """Return the method of an operation, such as `get_account`.

        Raises:
            AttributeError: the service has no such operation.
            MailrunError: as translate_aws_errors and call_and_read say; a throttled call only after WAIT_SECONDS.
        """
        operation = self._client.meta.method_to_api_mapping.get(method)
        if operation is None:
            raise AttributeError(method)
        bound = getattr(self._client, method)

        async def call(**parameters: Any) -> Any:
            name = _NAMES[self._service]
            shape = self._client.meta.service_model.operation_model(operation).output_shape
            work = partial(call_and_read, bound, shape, f"{name} {operation}", parameters)
            with translate_aws_errors(name):
                return await self._call(operation, work)

        return call

    async def _call(self, operation: str, work: Callable[[], Any]) -> Any:
        for wait in (*WAIT_SECONDS, None):
            await self._keep_gap(operation)
            try:
                return await self._thread.run(work)
            except botocore.exceptions.ClientError as error:
                error.service = self._service  # for the policy line of a refused call
                if wait is None or error.response["Error"].get("Code") not in _THROTTLED:
                    raise
                await self._clock.sleep(wait)
        raise AssertionError(operation)

    async def _keep_gap(self, operation: str) -> None:
        if not self._spaced or operation in _FAST:
            return
        now = self._clock.monotonic()
        earliest = self._last.get(operation, now - GAP_SECONDS) + GAP_SECONDS
        self._last[operation] = max(now, earliest)
        if earliest > now:
            await self._clock.sleep(earliest - now)


class AwsServices:
    """Clients of any service, made once each.

    Args:
        session: of botocore.
        endpoint: replaces what botocore resolves, for every service; None for none.
        thread: where calls run.
        clock: for waits.

    Attributes:
        clock: as given.
    """

    def __init__(self, session: Session, endpoint: Endpoint | None, thread: DaemonThread, clock: Clock) -> None:
        self._session, self._endpoint, self._thread, self.clock = session, endpoint, thread, clock
        self._clients = dict[tuple[str, str | None], PacedClient]()

    async def open(self, service: str, region: str | None = None) -> PacedClient:
        """Return the client of a service.

        Args:
            service: as botocore names it: sesv2, sqs, sns, events, firehose, route53, s3, iam, cloudwatch, sts.
            region: another one than botocore resolves.

        Raises:
            ConfigurationError: no region or credentials, a profile that does not exist, an endpoint that is not a URL.
        """
        if (service, region) not in self._clients:
            with translate_aws_errors(_NAMES[service]):
                made = await self._thread.run(partial(self._make, service, region))
            self._clients[service, region] = PacedClient(made, service, self._thread, self.clock)
        return self._clients[service, region]

    def _make(self, service: str, region: str | None) -> Any:
        given: dict[str, Any] = {"region_name": region} if region else {}
        config = _CONFIG
        if self._endpoint is not None:
            given, config = give_endpoint(self._endpoint) | given, config.merge(NO_PROXIES)
        with refuse_bad_endpoint(service):
            client = self._session.create_client(service, config=config, **given)
        refuse_other_text(client)
        return client


@asynccontextmanager
async def open_services(endpoint: Endpoint | None = None, clock: Clock | None = None) -> AsyncIterator[AwsServices]:
    """Open the services of the account that botocore resolves: region, credentials, profile, endpoints, proxies.

    Args:
        endpoint: the embedded sandbox, which answers for every service; None for what botocore resolves.
        clock: for waits; None for the machine's.
    """
    with closing(DaemonThread("services")) as thread:
        with translate_aws_errors("AWS"):
            session = await thread.run(make_session)
        yield AwsServices(session, endpoint, thread, clock or SystemClock())
