"""A running launch is seen by a real Prometheus, and its file outlives a crash."""

import gzip
import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from support.world import RUN, World, finish, open_world, wait_until

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool") or "promtool"  # of the same package
RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "rules.yaml"
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is missing: apt-get install prometheus")


def find_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def ask(url: str, query: str) -> dict[str, float]:
    """Ask Prometheus' HTTP API: the labels of each sample, as text -> its value."""
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=5) as answer:  # noqa: S310 - loopback
        found = json.load(answer)["data"]["result"]
    return {json.dumps(one["metric"], sort_keys=True): float(one["value"][1]) for one in found}


@contextmanager
def open_prometheus(folder: Path, target: int) -> Iterator[str]:
    """Run a Prometheus on loopback that reads one target each second, with our alerts."""
    folder.mkdir()
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "mailrun", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{find_port()}"
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(PROMETHEUS), *options, f"--web.listen-address={address}"], stderr=log)
    try:

        def is_ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(OSError):
                return bool(urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).status == 200)
            return False

        wait_until(is_ready)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def check_metrics(text: bytes) -> None:
    """Check what a command wrote as `promtool check metrics` does."""
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, check=False)
    assert b"mailrun_build_info" in text or b"mailrun_run_state" in text
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def read_files(folder: Path) -> dict[str, float]:
    """Read the files as node_exporter does: each sample once."""
    found: dict[str, float] = {}
    for path in sorted(folder.glob("*.prom")):
        for family in text_string_to_metric_families(path.read_text()):
            for sample in family.samples:
                key = f"{sample.name} {json.dumps(sample.labels, sort_keys=True)}"
                assert key not in found
                found[key] = sample.value
    return found


def start_monitored(world: World, key: str, folder: Path, *options: str) -> "subprocess.Popen[str]":
    return world.fork(
        *("launch", "hello", "--key", key, "--json", *options),
        MAILRUN_METRICS_FILE=str(folder),
        MAILRUN_METRICS_SECONDS="1",
    )


def test_prometheus_reads_a_running_launch_and_its_file_outlives_a_crash(tmp_path: Path):
    port, files = find_port(), tmp_path / "prom"
    files.mkdir()
    with (
        open_world(tmp_path, max_send_rate=120.0, max_24_hour_send=50_000.0) as world,
        open_prometheus(tmp_path / "p", port) as url,
    ):
        world.write_people(1_200)
        options = ("--workers", "2", "--metrics-listen", f"127.0.0.1:{port}")
        process = start_monitored(world, "test", files, *options)
        wait_until(lambda: 2 in ask(url, "mailrun_run_workers").values(), process)
        wait_until(lambda: sum(ask(url, 'mailrun_recipients_total{outcome="sent"}').values()) > 300, process)
        assert 100 <= sum(ask(url, "mailrun_rate_limit_recipients_per_second").values()) <= 130
        assert list(ask(url, "mailrun_ledger_up").values()) == [1.0]
        assert 48_000 <= min(ask(url, "mailrun_quota_left_recipients").values()) <= 50_000
        (calls,) = ask(url, "mailrun_call_duration_seconds_count").values()
        assert calls > 200  # of both processes
        assert list(ask(url, 'mailrun_run_state{state="sending",sandbox="false"}').values()) == [1.0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            check_metrics(answer.read())
        assert finish(process).json["sent"] == 1_200
        for path in files.glob("*.prom"):
            check_metrics(path.read_bytes())
        seen = read_files(files)
        last = 'mailrun_campaign_last_success_timestamp_seconds {"campaign": "hello", "sandbox": "false"}'
        done = '{"campaign": "hello", "outcome": "sent", "sandbox": "false"}'
        assert (seen[f"mailrun_run_recipients {done}"], seen[f"mailrun_recipients_total {done}"]) == (1_200, 1_200)
        ended = 'mailrun_command_end_timestamp_seconds {"command": "launch"}'
        assert {last, ended} <= seen.keys()
        assert not [name for name in seen if "example.com" in name or RUN in name]

        killed = start_monitored(world, "next", files)
        world.wait_for_accepted(1_300, killed)
        sending = 'mailrun_run_state {"campaign": "hello", "sandbox": "false", "state": "sending"}'
        wait_until(lambda: read_files(files)[sending] == 1)
        killed.kill()
        killed.communicate()
        after = read_files(files)
        assert after[last] == seen[last]
        assert ended not in after


class SpanReceiver(BaseHTTPRequestHandler):
    """A collector that keeps the spans it gets."""

    spans: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            for sent in ExportTraceServiceRequest.FromString(plain).resource_spans:
                self.spans.extend(span for scope in sent.scope_spans for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_spans_of_each_worker_process_are_in_the_trace(tmp_path: Path):
    with (
        open_world(tmp_path, max_send_rate=60.0) as world,
        ThreadingHTTPServer(("127.0.0.1", 0), SpanReceiver) as server,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        world.write_people(500)
        world.settings["MAILRUN_METRICS_OTLP"] = f"http://127.0.0.1:{server.server_port}"
        assert world.run("launch", "hello", "--key", "test", "--workers", "2", "--json").json["sent"] == 500
        server.shutdown()
    dispatched = [span for span in SpanReceiver.spans if span.name == "dispatch"]
    names = [{one.key for one in span.attributes} for span in dispatched]
    assert {"mailrun.process" in keys for keys in names} == {True, False}
    assert len({span.trace_id for span in SpanReceiver.spans}) == 1
