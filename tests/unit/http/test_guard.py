"""Which requests a local server answers: the rules of the guard, and that every server of ours has it."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

import engine
from engine.http.guard import OTHER_PAGE, WRONG_HOST, RequestGuard, make_server

LOCAL = RequestGuard("127.0.0.1")
NAMED = RequestGuard("127.0.0.1", allowed_hosts=("Box.example", "10.0.0.5"))
PUBLIC_LOCAL = RequestGuard("localhost", is_public=True)
PUBLIC_LOCAL_NAMED = RequestGuard("localhost", allowed_hosts=("links.acme.example",), is_public=True)
PUBLIC = RequestGuard("0.0.0.0", is_public=True)  # noqa: S104 - not listened on
PUBLIC_NAMED = RequestGuard("0.0.0.0", allowed_hosts=("links.acme.example",), is_public=True)  # noqa: S104 - as above
WITHIN = RequestGuard("10.0.0.5")


def headers_of(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


OWN_NAMES = ["127.0.0.1", "127.0.0.1:8025", "127.9.9.9", "localhost", "LocalHost:1", "[::1]", "[::1]:8025"]
FOREIGN_NAMES = [
    "",
    "evil.example",
    "evil.example:8025",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "evil.example@127.0.0.1",
    "127.0.0.1/",
    "127.0.0.1?",
    "127.0.0.1#",
    "127.0.0.1 evil.example",
    "127.0.0.1:",
    "127.0.0.1:80:80",
    "localhost.",
    "localhost.evil.example",
    "::1",
    "[::1",
    "0.0.0.0",  # noqa: S104 - not listened on
    "2130706433",
    "0x7f000001",
    "127.1",
    "\uff11\uff12\uff17.0.0.1",  # digits of full width
    "\udcff",
]


@pytest.mark.parametrize("guard", [LOCAL, NAMED], ids=["local", "named"])
@pytest.mark.parametrize("host", OWN_NAMES)
def test_a_server_on_loopback_answers_to_the_names_of_loopback(guard: RequestGuard, host: str) -> None:
    assert guard.find_refusal(headers_of(("Host", host))) == ""


@pytest.mark.parametrize("guard", [LOCAL, NAMED, PUBLIC_LOCAL_NAMED], ids=["local", "named", "public"])
@pytest.mark.parametrize("host", FOREIGN_NAMES)
def test_a_server_on_loopback_refuses_every_other_name(guard: RequestGuard, host: str) -> None:
    assert guard.find_refusal(headers_of(("Host", host))) == WRONG_HOST


def test_no_host_and_two_hosts_are_refused() -> None:
    assert LOCAL.find_refusal(headers_of()) == WRONG_HOST
    assert LOCAL.find_refusal(headers_of(("Host", "localhost"), ("Host", "localhost"))) == WRONG_HOST
    assert PUBLIC_LOCAL_NAMED.find_refusal(headers_of(("Host", "localhost"), ("Host", "evil.example"))) == WRONG_HOST


@pytest.mark.parametrize(
    ("guard", "host", "is_answered"),
    [
        (NAMED, "box.example:8025", True),
        (NAMED, "10.0.0.5", True),
        (NAMED, "10.0.0.6", False),
        (WITHIN, "10.0.0.5:80", True),
        (WITHIN, "10.0.0.6", True),  # no page elsewhere can have an address as its name
        (WITHIN, "evil.example", False),
        (PUBLIC, "any.example", True),
        (PUBLIC_LOCAL, "any.example", True),  # a proxy on this machine passes the name of the links on
        (PUBLIC_LOCAL_NAMED, "links.acme.example", True),
        (PUBLIC_LOCAL_NAMED, "localhost:8026", True),
        (PUBLIC_NAMED, "links.acme.example", True),
        (PUBLIC_NAMED, "10.0.0.6:8026", True),
        (PUBLIC_NAMED, "any.example", False),
    ],
)
def test_a_server_answers_to_the_names_that_it_is_given(guard: RequestGuard, host: str, *, is_answered: bool) -> None:
    assert guard.find_refusal(headers_of(("Host", host))) == ("" if is_answered else WRONG_HOST)


def test_a_load_balancer_that_sends_no_host_reaches_a_public_server() -> None:
    assert PUBLIC_NAMED.find_refusal(headers_of()) == ""


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Origin", "http://127.0.0.1:1")],
        [("Origin", "http://127.0.0.1:8025"), ("Origin", "http://evil.example")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "")],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://127.0.0.1:8025")],
    ],
)
def test_a_request_of_another_page_is_refused(headers: list[tuple[str, str]]) -> None:
    assert LOCAL.find_refusal(headers_of(("Host", "127.0.0.1:8025"), *headers)) == OTHER_PAGE


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", "http://127.0.0.1:8025")],
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
        [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://127.0.0.1:8025")],
    ],
)
def test_a_request_of_an_own_page_or_a_person_is_answered(headers: list[tuple[str, str]]) -> None:
    assert LOCAL.find_refusal(headers_of(("Host", "127.0.0.1:8025"), *headers)) == ""


async def test_a_refused_request_reaches_nothing_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[web.BaseRequest] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        reached.append(request)
        return web.Response()

    made: list[Any] = []
    monkeypatch.setattr("aiohttp.web.Server", lambda answer, **_: made.append(answer))
    make_server(handle, LOCAL)
    for name, status in (("evil.example", 403), ("localhost", 200)):
        request = cast("web.BaseRequest", SimpleNamespace(headers=headers_of(("Host", name))))
        assert (await made[0](request)).status == status
    assert len(reached) == 1


def test_every_server_of_ours_is_made_with_the_guard() -> None:
    """Nothing else in the package makes an HTTP server or listens: `make_server` is the one way."""
    makers = {"Server", "Application", "start_server", "start_unix_server", "create_server", "create_unix_server"}
    makers |= {"BoundedServer", "HTTPServer", "ThreadingHTTPServer", "TCPServer", "run_app"}
    root = Path(engine.__file__).parent
    found, of_standard_library = set(), set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("wsgiref", "socketserver"):
                of_standard_library.add(str(path.relative_to(root)))
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in makers:
                    found.add((str(path.relative_to(root)), name))
    assert found == {("http/guard.py", "Server"), ("http/guard.py", "BoundedServer")}
    assert of_standard_library == {"metrics/exposition.py"}  # asks the guard, too: tests/contract/metrics
