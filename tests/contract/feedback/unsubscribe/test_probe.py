"""The probe of an unsubscribe link, against real servers on loopback: what a receiver would see; nothing changes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import func, select
from support.certificates import make_certificate

from engine.authentication.resolver import Absence, Absent, Answer, Doubt, Records, Unknown
from engine.authentication.results import RuleResult, Verdict
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.feedback.unsubscribe import probe
from engine.feedback.unsubscribe.lambda_handler import make_lambda_handler
from engine.feedback.unsubscribe.opt_out import LedgerOptOuts
from engine.feedback.unsubscribe.pages import UnsubscribePages
from engine.feedback.unsubscribe.probe import probe_link
from engine.feedback.unsubscribe.server import LinkServer
from engine.feedback.unsubscribe.tokens import make_probe
from engine.ledger.schema import suppression_table
from engine.workspace import Workspace, open_workspace

KEY = "a-key-that-only-tests-use"
TOKEN = make_probe(TokenSigner([KEY.encode()]), "news")


@asynccontextmanager
async def serve(
    handle: Callable[[web.BaseRequest], object], context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"{'https' if context else 'http'}://localhost:{runner.addresses[0][1]}/u/{TOKEN}"
    await runner.cleanup()


class CannedDns:
    """Answers every question alike."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def query(self, name: str, kind: str) -> Answer:
        return self._answer if kind == "A" or not isinstance(self._answer, Records) else Absent(name, Absence.NODATA)


NO_DNS = CannedDns(Unknown("", Doubt.NO_RESOLVER))


async def probe_answer(status: int, headers: dict[str, str] | None = None) -> RuleResult:
    asked: list[tuple[str, str, str]] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        asked.append((request.method, await request.text(), request.headers["Content-Type"]))
        return web.Response(status=status, headers=headers)

    async with serve(handle) as url:
        found = await probe_link(url, may_be_local=True, resolver=NO_DNS)
    assert asked == [("POST", "List-Unsubscribe=One-Click", "application/x-www-form-urlencoded")]
    return found


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MAILRUN_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", KEY)
    (tmp_path / "campaigns").mkdir()
    return open_workspace(tmp_path)


def count_suppressed(workspace: Workspace) -> int:
    with workspace.ledger.read() as tx:
        return int(tx.execute(select(func.count()).select_from(suppression_table)).scalar_one())


async def test_probe_of_the_real_server_passes_and_records_nothing(workspace: Workspace) -> None:
    signer = TokenSigner(workspace.read_verifying_keys().all)
    server = LinkServer(signer, LedgerOptOuts(workspace), UnsubscribePages())
    async with serve(server.handle) as url:
        found = await probe_link(url, may_be_local=True, resolver=NO_DNS)
        assert (found.code, found.verdict) == ("one_click_answers", Verdict.PASS)
        assert count_suppressed(workspace) == 0
        await probe_link(url.replace(TOKEN, signer.sign("ann@b.example", "news")), may_be_local=True, resolver=NO_DNS)
        assert count_suppressed(workspace) == 1


async def test_probe_of_a_server_with_other_keys_fails(workspace: Workspace) -> None:
    server = LinkServer(TokenSigner([b"keys of another place"]), LedgerOptOuts(workspace), UnsubscribePages())
    async with serve(server.handle) as url:
        found = await probe_link(url, may_be_local=True, resolver=NO_DNS)
    assert (found.verdict, found.receivers) == (Verdict.FAIL, ("gmail", "yahoo"))
    assert "does not recognise the token" in found.what


def test_lambda_handler_answers_a_probe_and_records_nothing(workspace: Workspace, tmp_path: Path) -> None:
    event = {
        "rawPath": f"/u/{TOKEN}",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"http": {"method": "POST"}},
        "body": "List-Unsubscribe=One-Click",
    }
    assert make_lambda_handler(tmp_path)(event, None)["statusCode"] == 200
    assert count_suppressed(workspace) == 0


@pytest.mark.parametrize(
    ("status", "expected"), [(200, "pass"), (202, "pass"), (400, "fail"), (403, "fail"), (404, "fail"), (503, "fail")]
)
async def test_probe_judges_the_status(status: int, expected: str) -> None:
    assert (await probe_answer(status)).verdict == expected


async def test_probe_follows_no_redirect() -> None:
    found = await probe_answer(302, {"Location": "http://127.0.0.1:1/elsewhere"})
    assert found.verdict is Verdict.FAIL
    assert "redirect (302)" in found.what


async def test_probe_of_a_silent_server_is_unknown() -> None:
    async def handle(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serve(handle) as url:
        found = await probe_link(url, may_be_local=True, resolver=NO_DNS, seconds=0.3)
    assert found.verdict is Verdict.UNKNOWN


async def test_probe_fails_where_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = await probe_link(
            f"https://127.0.0.1:{free.getsockname()[1]}/u/{TOKEN}", may_be_local=True, resolver=NO_DNS
        )
    assert (found.verdict, "refuses the connection" in found.what) == (Verdict.FAIL, True)


async def test_probe_reads_no_more_of_an_answer_than_its_status() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with serve(endless) as url:
        assert (await probe_link(url, may_be_local=True, resolver=NO_DNS)).verdict is Verdict.PASS


async def test_probe_needs_a_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response()

    certificate, context = make_certificate(tmp_path)
    async with serve(handle, context) as url:
        assert (await probe_link(url, may_be_local=True, resolver=NO_DNS)).verdict is Verdict.FAIL
        trusting = ssl.create_default_context(cafile=certificate)
        monkeypatch.setattr(probe, "make_tls_context", lambda: trusting)
        assert (await probe_link(url, may_be_local=True, resolver=NO_DNS)).verdict is Verdict.PASS


@pytest.mark.parametrize("address", ["10.0.0.8", "192.168.1.1", "169.254.169.254", "[fd00::1]", "[::ffff:10.0.0.8]"])
async def test_probe_never_asks_a_private_network(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> int:
        raise AssertionError

    monkeypatch.setattr(probe, "_post", refuse)
    assert (
        await probe_link(f"https://{address}/u/{TOKEN}", may_be_local=True, resolver=NO_DNS)
    ).verdict is Verdict.UNKNOWN


async def test_link_to_this_machine_fails_when_real_mail_is_sent() -> None:
    found = await probe_link(f"https://localhost:1/u/{TOKEN}", may_be_local=False, resolver=NO_DNS)
    assert (found.verdict, "this machine" in found.what) == (Verdict.FAIL, True)


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (Absent("", Absence.NXDOMAIN), Verdict.FAIL, "does not exist"),
        (Unknown("", Doubt.SERVFAIL), Verdict.UNKNOWN, "could not be looked up"),
        (Unknown("", Doubt.TIMEOUT), Verdict.UNKNOWN, "could not be looked up"),
        (Records("", ("10.0.0.8",)), Verdict.UNKNOWN, "private network"),
    ],
)
async def test_host_is_missing_only_where_a_name_server_says_so(answer: Answer, verdict: Verdict, words: str) -> None:
    """Without a network, this machine resolves no name at all."""
    link = f"https://missing.invalid/u/{TOKEN}"
    found = await probe_link(link, may_be_local=True, resolver=CannedDns(answer))
    assert found.verdict is verdict
    assert words in found.what


async def test_link_without_tls_fails() -> None:
    found = await probe_link(f"http://93.184.216.34/u/{TOKEN}", may_be_local=True, resolver=NO_DNS)
    assert (found.verdict, found.what) == (Verdict.FAIL, "the link is not https")
