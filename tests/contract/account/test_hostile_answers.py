"""Whatever stands at the endpoint instead of AWS: a command gets an error of the service, never a bug."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from engine.account.client import Endpoint, open_account
from engine.account.overview import read_overview
from engine.account.quota import read_quota
from engine.account.services import open_services
from engine.errors import ServiceError

BODIES = [
    ("application/json", b"null"),
    ("application/json", b"[]"),
    ("application/json", b'"text"'),
    ("application/json", b'{"SendQuota": [1]}'),
    ("application/json", b'{"SendQuota": {"MaxSendRate": NaN}}'),
    ("application/json", b'{"EmailIdentities": [{}], "NextToken": "same"}'),
    ("text/html", b"<html>log in</html>"),
]


@asynccontextmanager
async def serve(media_type: str, body: bytes, status: int = 200) -> AsyncIterator[Endpoint]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=media_type, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}", "eu-west-1", "AKID", "SECRET")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("media_type", "body"), BODIES)
async def test_hostile_answer_is_an_error_of_the_service(media_type: str, body: bytes) -> None:
    async with serve(media_type, body) as endpoint, open_services(endpoint) as services:
        with pytest.raises(ServiceError, match="cannot be read"):
            await read_overview(services, lambda *_: None)


async def test_hostile_answer_to_a_launch_is_an_error_of_the_service() -> None:
    async with serve("application/json", b"null") as endpoint, open_account(endpoint) as account:
        with pytest.raises(ServiceError, match="cannot be read"):
            await read_quota(account.control_plane)


@pytest.mark.parametrize("service", ["sqs", "sns", "s3", "events", "iam", "firehose", "route53", "cloudwatch", "sts"])
async def test_hostile_answer_of_any_service_is_an_error_of_it(service: str) -> None:
    calls = {
        "sqs": "list_queues", "sns": "list_topics", "s3": "list_buckets", "events": "list_rules", "iam": "list_roles",
        "firehose": "list_delivery_streams", "route53": "list_hosted_zones", "cloudwatch": "list_metrics",
        "sts": "get_caller_identity",
    }  # fmt: skip
    async with serve("text/plain", b"{\x1b[31m") as endpoint, open_services(endpoint) as services:
        client = await services.open(service)
        with pytest.raises(ServiceError):
            await getattr(client, calls[service])()


async def test_refusal_shows_no_control_characters() -> None:
    body = b'{"__type": "Bad\\u001b[31mRequest", "message": "no\\u001b]0;x\\u0007\\n"}'
    async with serve("application/json", body, 400) as endpoint, open_services(endpoint) as services:
        with pytest.raises(ServiceError) as raised:
            await (await services.open("sesv2")).get_account()
    assert str(raised.value).isprintable()
