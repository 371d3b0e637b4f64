"""What is served for Prometheus."""

import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from wsgiref.simple_server import WSGIServer

import pytest

from engine.errors import ConfigurationError
from engine.metrics import exposition
from engine.metrics.catalogue import BOUNDS, METRICS
from engine.metrics.exposition import serve, write_text
from engine.metrics.samples import Distribution, Sample

PROMTOOL = shutil.which("promtool")


def make_all() -> list[Sample]:
    """Make a sample of every metric."""
    distribution = Distribution((1,) * (len(BOUNDS) + 1), 9.0)
    return [
        Sample(metric, tuple(metric.labels), distribution if metric.kind == "histogram" else 2.0) for metric in METRICS
    ]


@pytest.fixture
def server() -> Iterator[WSGIServer]:
    opened = serve("127.0.0.1", 0, make_all)
    yield opened
    opened.shutdown()
    opened.server_close()


def get(server: WSGIServer, host: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/metrics", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        text: str = answer.read().decode()
        return text


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")
def test_every_metric_passes_promtool():
    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=write_text(make_all()), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_names_of_loopback_are_answered(server: WSGIServer, host: str):
    text = get(server, host)
    assert all(metric.name in text for metric in METRICS)


def test_other_names_are_refused_on_loopback(server: WSGIServer):
    """A page in a browser could read the metrics by DNS rebinding."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(server, "evil.example:80")
    assert refused.value.code == 403
    refused.value.close()


def test_port_that_is_taken_is_named(server: WSGIServer):
    with pytest.raises(ConfigurationError) as error:
        serve("127.0.0.1", server.server_port, make_all)
    assert str(server.server_port) in error.value.where


def test_hostile_labels_stay_labels():
    campaign = 'x"} 1\nmailrun_ledger_up 7\n#'
    text = write_text([Sample(next(m for m in METRICS if m.labels == ("campaign", "sandbox")), (campaign, "false"), 1)])
    assert len(text.decode().splitlines()) == 3


def test_connections_beyond_the_bound_are_closed_and_others_answered_later(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """A crowd takes neither the threads nor the files of the command that sends, and prints nothing."""
    monkeypatch.setattr(exposition, "SCRAPE_SECONDS", 0.5)
    opened, before = serve("127.0.0.1", 0, make_all), threading.active_count()
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", opened.server_port), timeout=10))
            for _ in range(3 * exposition.MOST_SCRAPES)
        ]
        for each in silent[exposition.MOST_SCRAPES :]:
            assert each.recv(1) == b""
        assert threading.active_count() <= before + 2 * exposition.MOST_SCRAPES
        for each in silent[: exposition.MOST_SCRAPES]:
            assert each.recv(1) == b""
    for _ in range(2 * exposition.MOST_SCRAPES):
        assert "mailrun_ledger_up" in get(opened, f"127.0.0.1:{opened.server_port}")
    opened.shutdown()
    opened.server_close()
    assert "Traceback" not in capfd.readouterr().err
