"""Every route of the sandbox answers its clients and its own pages, and no other user or page."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.credentials import ACCESS_KEY_ID, CREDENTIALS, SECRET_ACCESS_KEY

from engine.errors import ConfigurationError
from engine.http.guard import OTHER_PAGE, WRONG_HOST
from engine.sandbox.events.envelopes import CERTIFICATE_PATH
from engine.sandbox.http.access import make_access_key_id, make_secret, make_token
from engine.sandbox.http.record import read_record
from engine.sandbox.reputation import cloudwatch
from engine.sandbox.server import REGION, Sandbox, SandboxSettings
from engine.sandbox.sqs.sqs import TARGET

TOKEN = "a-token-that-only-tests-use"
WORD = "ann@secret.example"
MAIL = (
    b'{"FromEmailAddress":"a@acme.example","Destination":{"ToAddresses":["ann@secret.example"]},'
    b'"Content":{"Simple":{"Subject":{"Data":"x"},"Body":{"Text":{"Data":"x"}}}}}'
)
PAGES = ["/", "/inbox.css", "/messages/0", "/messages/0/html", "/messages/0/source", "/nowhere"]
KINDS = ("ses", "sqs", "cloudwatch", "control")
TARGETS = {"sqs": TARGET, cloudwatch.SIGNED_FOR: cloudwatch.TARGET}  # service -> prefix of its operations
FOREIGN = [
    ({"Host": "evil.example"}, WRONG_HOST),
    ({"Host": "127.0.0.1.evil.example"}, WRONG_HOST),
    ({"Origin": "https://evil.example"}, OTHER_PAGE),
    ({"Origin": "null"}, OTHER_PAGE),
    ({"Sec-Fetch-Site": "cross-site"}, OTHER_PAGE),
    ({"Sec-Fetch-Site": "same-site"}, OTHER_PAGE),  # another port of this machine
]


@dataclass(frozen=True)
class Route:
    method: str
    target: str
    service: str = ""  # what the call is signed for

    def write_headers(self, url: str, *, secret: str = SECRET_ACCESS_KEY, key: str = ACCESS_KEY_ID) -> dict[str, str]:
        """Return everything that the route requires of a client."""
        if self.target.startswith("/_sandbox/"):
            return {"Authorization": f"Bearer {TOKEN}"}
        if not self.service:
            return {}
        headers = self.name_operation()
        request = AWSRequest(self.method, url + self.path, data=self.body, headers=headers)
        SigV4Auth(Credentials(key, secret), self.service, REGION).add_auth(request)
        return dict(request.headers.items())

    def name_operation(self) -> dict[str, str]:
        prefix = TARGETS.get(self.service)
        return {} if prefix is None else {"X-Amz-Target": prefix + self.target.strip("/")}

    @property
    def path(self) -> str:
        return "/" if self.service in TARGETS else self.target

    @property
    def body(self) -> bytes:
        return MAIL if self.target.endswith("outbound-emails") else b"{}" if self.method != "GET" else b""


def list_routes(sandbox: Sandbox) -> Iterator[Route]:
    """List every route that the server's own tables have, with its pages, and one that it does not have."""
    assert sandbox.routes
    yield from (Route(method, path.replace("*", "name"), "ses") for method, path in sandbox.routes["ses"])
    yield from (Route("POST", f"/{operation}", "sqs") for _, operation in sandbox.routes["sqs"])
    of_cloudwatch = sandbox.routes["cloudwatch"]
    yield from (Route("POST", f"/{operation}", cloudwatch.SIGNED_FOR) for _, operation in of_cloudwatch)
    yield from (Route(method, path) for method, path in sandbox.routes["control"])
    yield from (Route(method, f"/{TOKEN}{page}") for page in PAGES for method in ("GET", "HEAD"))
    yield from (Route(method, "/nowhere") for method in ("GET", "OPTIONS", "PUT"))
    yield Route("GET", CERTIFICATE_PATH)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    settings = SandboxSettings(record_folder=tmp_path, credentials=CREDENTIALS, token=TOKEN, max_send_rate=1000)
    async with Sandbox(settings) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def ask(client: ClientSession, sandbox: Sandbox, route: Route, headers: dict[str, str]) -> tuple[int, str]:
    async with client.request(route.method, sandbox.url + route.path, data=route.body, headers=headers) as reply:
        return reply.status, await reply.text(errors="replace")


def test_the_tables_name_every_kind_of_route(tmp_path: Path) -> None:
    routes = Sandbox(SandboxSettings(record_folder=tmp_path)).routes
    assert {kind: len(table) > 0 for kind, table in routes.items()} == dict.fromkeys(KINDS, False)


async def test_every_route_refuses_a_page_elsewhere_whatever_it_knows(
    sandbox: Sandbox, client: ClientSession, tmp_path: Path
) -> None:
    """Also with valid credentials and the token: the guard comes before everything else."""
    routes = list(list_routes(sandbox))
    assert len(routes) > 50
    for route in routes:
        for foreign, why in FOREIGN:
            status, text = await ask(client, sandbox, route, route.write_headers(sandbox.url) | foreign)
            assert (status, text) == (403, "" if route.method == "HEAD" else why), (route, foreign)
    assert list(read_record(tmp_path)) == []


async def test_every_route_refuses_a_client_without_its_secret(sandbox: Sandbox, client: ClientSession) -> None:
    """Another user of the machine reaches loopback, and gets only the public certificate."""
    send = Route("POST", "/v2/email/outbound-emails", "ses")
    assert (await ask(client, sandbox, send, send.write_headers(sandbox.url)))[0] == 200
    for route in list_routes(sandbox):
        if route.target == CERTIFICATE_PATH:
            continue
        if route.target.startswith(f"/{TOKEN}"):
            route = Route(route.method, route.target.replace(TOKEN, TOKEN[:-1]))  # noqa: PLW2901 - another token
        headers = route.name_operation()
        for given in ({}, {"Authorization": "Bearer another-token"}, {"Authorization": "Basic eDp5"}):
            status, text = await ask(client, sandbox, route, headers | given)
            assert status in (401, 403), (route, given, text)
            assert WORD not in text


async def test_every_route_answers_a_client_with_its_secret(sandbox: Sandbox, client: ClientSession) -> None:
    for route in list_routes(sandbox):
        status, text = await ask(client, sandbox, route, route.write_headers(sandbox.url))
        if route.target != "/nowhere":
            assert status not in (401, 403), (route, text)
    async with client.get(sandbox.inbox_url, headers={"Sec-Fetch-Site": "none"}) as reply:
        assert (reply.status, WORD in await reply.text()) == (200, True)


@pytest.mark.parametrize("service", ["ses", "sqs"])
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"key": "AKIDSOMEBODYELSE0000"}, "UnrecognizedClientException"),
        ({"secret": "another-secret"}, "InvalidSignatureException"),
    ],
    ids=["key", "secret"],
)
async def test_wrong_credentials_get_the_error_of_aws(
    sandbox: Sandbox, client: ClientSession, service: str, given: dict[str, str], code: str
) -> None:
    route = Route("POST", "/v2/email/outbound-emails" if service == "ses" else "/ListQueues", service)
    headers = route.write_headers(sandbox.url, **given)
    async with client.request("POST", sandbox.url + route.path, data=route.body, headers=headers) as reply:
        assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (403, code)


async def test_a_name_that_is_allowed_is_answered(tmp_path: Path, client: ClientSession) -> None:
    async with Sandbox(SandboxSettings(record_folder=tmp_path, allowed_hosts=("host.docker.internal",))) as sandbox:
        for host, status in (("host.docker.internal:8025", 200), ("evil.example", 403)):
            async with client.get(sandbox.inbox_url, headers={"Host": host, "Origin": f"http://{host}"}) as reply:
                assert reply.status == status


def test_credentials_and_token_are_new_at_each_start(tmp_path: Path) -> None:
    first, second = SandboxSettings(record_folder=tmp_path), SandboxSettings(record_folder=tmp_path)
    assert not {*first.credentials, *first.credentials.values(), first.token} & {
        *second.credentials,
        *second.credentials.values(),
        second.token,
    }
    for make, shape in (
        (make_access_key_id, r"[A-Z0-9]{20}"),
        (make_secret, r"[0-9a-f]{40}"),
        (make_token, r"[0-9a-f]{32}"),
    ):
        assert re.fullmatch(shape, make())
    assert not any(secret in repr(first) for secret in (*first.credentials.values(), first.token))


@pytest.mark.parametrize(
    "given",
    [
        {"credentials": {"a/b": "secret"}},
        {"credentials": {"": "secret"}},
        {"credentials": {"AKID": "two words"}},
        {"credentials": {"AKID": ""}},
        {"token": "short"},
        {"token": "with/a/slash/in/the/middle"},
    ],
)
async def test_credentials_that_no_client_can_use_are_refused(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"(credentials are|token is) invalid.*random at each start"):
        await Sandbox(SandboxSettings(record_folder=tmp_path, **given)).start()  # type: ignore[arg-type] # as given
