"""What arrives at a collector by OTLP: a real HTTP server that decodes the protocol."""

import gzip
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from threading import enumerate as list_threads
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.world import wait_until

from engine.errors import ConfigurationError
from engine.logs import capture_logs
from engine.metrics.meter import Meter
from engine.metrics.monitoring import Monitored, monitor
from engine.progress import step
from engine.spans import record_span
from engine.workspace import open_workspace

THREADS = ("metrics push", "traces push", "OtelBatchSpanRecordProcessor")
CLOSED = "http://127.0.0.1:9"  # discard: nothing listens there


class Collector(ThreadingHTTPServer):
    """Keeps what it received."""

    daemon_threads = True

    def __init__(self) -> None:
        self.metrics: list[Any] = []
        self.spans: list[Any] = []
        self.headers: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Receiver)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def read_points(self, name: str) -> dict[tuple[tuple[str, str], ...], Any]:
        """Read the last points of a metric: labels -> point."""
        found = {}
        for request in self.metrics:
            for metric in request.resource_metrics[0].scope_metrics[0].metrics:
                if metric.name == name:
                    for point in getattr(metric, metric.WhichOneof("data")).data_points:
                        labels = tuple(sorted((one.key, one.value.string_value) for one in point.attributes))
                        found[labels] = point
        return found


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path == "/v1/metrics":
            self.server.metrics.append(ExportMetricsServiceRequest.FromString(body))
        elif self.path == "/v1/traces":
            request = ExportTraceServiceRequest.FromString(body)
            self.server.spans += request.resource_spans[0].scope_spans[0].spans
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def run_monitored(folder: Path, otlp: str, meter: Meter, **environment: str) -> float:
    """Do some work under monitoring; return how many seconds its end took."""
    (folder / "campaigns").mkdir(exist_ok=True)
    (folder / "mailrun.toml").write_text(f'[metrics]\notlp = "{otlp}"\n' if otlp else "")
    with open_workspace(folder) as workspace:
        monitored = Monitored(workspace=workspace, command="launch", meter=meter, campaign="news")
        with monitor(monitored, environment=environment):
            with step("reading the audience", "rows") as reading:
                reading.advance(3)
            meter.outcomes["sent"] += 7
            meter.begin("w").calls.observe([0.02] * 7)
            for _ in range(50):
                record_span("dispatch", time.monotonic(), calls=1, detail="to ann@example.com " + "x" * 500)
            began = time.monotonic()
        return time.monotonic() - began


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """A command that ends waits a bounded time for its last push; the next test must not see the rest of it."""
    yield
    for thread in list_threads():
        if thread.name in THREADS:
            thread.join(30)
            assert not thread.is_alive(), thread.name


def test_metrics_and_spans_arrive(collector: Collector, tmp_path: Path):
    run_monitored(tmp_path, collector.url, Meter())
    sent = collector.read_points("mailrun_recipients")
    labels = (("campaign", "news"), ("outcome", "sent"), ("sandbox", "false"))
    assert sent[labels].as_double == 7 or sent[labels].as_int == 7
    (calls,) = collector.read_points("mailrun_call_duration_seconds").values()
    assert (calls.count, calls.bucket_counts[2], len(calls.explicit_bounds)) == (7, 7, len(calls.bucket_counts) - 1)
    assert collector.read_points("mailrun_ledger_up")[()].as_int == 1
    names = [span.name for span in collector.spans]
    assert {"mailrun launch", "reading the audience", "dispatch"} <= set(names)
    (root,) = [span for span in collector.spans if span.name == "mailrun launch"]
    assert {span.parent_span_id for span in collector.spans if span is not root} == {root.span_id}


def test_spans_are_bounded_and_have_no_address(collector: Collector, tmp_path: Path):
    run_monitored(tmp_path, collector.url, Meter())
    dispatched = [span for span in collector.spans if span.name == "dispatch"]
    assert 10 <= len(dispatched) <= 20  # 50 within a second, or across the turn of one
    texts = [one.value.string_value for span in collector.spans for one in span.attributes]
    assert max(map(len, texts)) <= 200
    assert not [text for text in texts if "ann@example.com" in text]


def test_variables_of_opentelemetry_name_the_collector(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=acme",
        "OTEL_SERVICE_NAME": "night-mail",
        "OTEL_TRACES_EXPORTER": "none",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run_monitored(tmp_path, "", Meter(), **variables)
    assert collector.metrics
    assert not collector.spans
    resource = {one.key: one.value.string_value for one in collector.metrics[0].resource_metrics[0].resource.attributes}
    assert resource["service.name"] == "night-mail"
    assert {headers["x-tenant"] for headers in collector.headers} == {"acme"}


def test_switched_off_sdk_pushes_nothing(collector: Collector, tmp_path: Path):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SDK_DISABLED": "true"}
    run_monitored(tmp_path, "", Meter(), **variables)
    assert not collector.headers


def test_unreachable_collector_delays_no_end_and_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Once a push has failed, nothing is waited for; before that, a second for metrics and one for traces."""
    monkeypatch.setattr("engine.metrics.otlp.push.TIMEOUT_SECONDS", 0.2)
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "mailrun.toml").write_text(f'[metrics]\notlp = "{CLOSED}"\nseconds = 1\n')
    with capture_logs() as events, open_workspace(tmp_path) as workspace:
        with monitor(Monitored(workspace=workspace, command="launch", meter=Meter(), campaign="news"), environment={}):
            wait_until(lambda: any(event["event"] == "metrics.unsent" for event in events))
            began = time.monotonic()
        assert time.monotonic() - began < 0.5
    assert [event["event"] for event in events if event["event"].startswith("metrics.")] == ["metrics.unsent"]


def test_end_before_the_first_push_is_bounded(tmp_path: Path):
    with capture_logs():
        assert run_monitored(tmp_path, CLOSED, Meter()) < 2.5


def test_missing_extra_is_named_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(ConfigurationError) as error:
        run_monitored(tmp_path, CLOSED, Meter())
    assert "the extra otel" in error.value.remedy


def test_missing_extra_is_a_warning_where_only_variables_name_a_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They may be set for other programs of the machine."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with capture_logs() as events:
        run_monitored(tmp_path, "", Meter(), OTEL_EXPORTER_OTLP_ENDPOINT=CLOSED)
    assert "the extra otel" in next(event["note"] for event in events if event["event"] == "metrics.no_otlp")
