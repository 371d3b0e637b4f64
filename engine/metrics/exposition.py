"""Samples in Prometheus' text format, through prometheus_client: served over HTTP, or as a text."""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread, Timer
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from engine.errors import ConfigurationError
from engine.http.guard import RequestGuard, is_loopback_name
from engine.metrics.catalogue import BOUNDS, Metric
from engine.metrics.samples import Distribution, Sample

MOST_SCRAPES = 16  # at once; further connections are closed
SCRAPE_SECONDS = 30.0  # after which a connection is ended, however slowly it still goes on

# What the guard looks at: WSGI's name of the field (PEP 3333) -> its own.
_GUARDED = {"HTTP_HOST": "Host", "HTTP_ORIGIN": "Origin", "HTTP_SEC_FETCH_SITE": "Sec-Fetch-Site"}
_Connection: TypeAlias = socket.socket | tuple[bytes, socket.socket]


class _Collector:
    """Makes the families of prometheus_client from samples, each time again."""

    def __init__(self, read: Callable[[], Iterable[Sample]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        families: dict[Metric, Family] = {}
        for sample in self._read():
            family = families.get(sample.metric)
            if family is None:
                family = families[sample.metric] = _make_family(sample.metric)
            _add(family, sample)
        return iter(families.values())

    def describe(self) -> list[Family]:
        return []  # nothing is read when the collector is registered


def _make_family(metric: Metric) -> Family:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name.removesuffix("_total"), metric.meaning, labels=metric.labels)
    if metric.kind == "histogram":
        return HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)


def _add(family: Family, sample: Sample) -> None:
    if isinstance(family, HistogramMetricFamily) and isinstance(sample.value, Distribution):
        total, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), sample.value.counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric(sample.labels, buckets, sum_value=sample.value.total)
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily) and not isinstance(sample.value, Distribution):
        family.add_metric(sample.labels, sample.value)


def _make_registry(read: Callable[[], Iterable[Sample]]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(read))
    return registry


def write_text(samples: Iterable[Sample]) -> bytes:
    """Return samples in Prometheus' text format."""
    return generate_latest(_make_registry(lambda: samples))


def serve(host: str, port: int, read: Callable[[], Iterable[Sample]]) -> WSGIServer:
    """Serve `/metrics` on threads of their own; the caller shuts the server down.

    Args:
        host: to listen on.
        port: 0 chooses a free one.
        read: called for each scrape.

    Raises:
        ConfigurationError: nothing can listen there.
    """
    app = _guard(make_wsgi_app(_make_registry(read)), RequestGuard(host, is_public=not is_loopback_name(host)))
    try:
        server = make_server(host, port, app, _SixServer if ":" in host else _Server, _Handler)
    except OSError as error:
        where, remedy = f"--metrics-listen {host}:{port}", "choose another port, or end the process that has it"
        what = f"the metrics cannot be served there: {error.strerror or error}"
        raise ConfigurationError(what, where=where, remedy=remedy) from None
    wait = {"poll_interval": 0.1}  # how long its end may take
    Thread(target=server.serve_forever, kwargs=wait, name="metrics", daemon=True).start()
    return server


class _Server(ThreadingMixIn, WSGIServer):
    """Answers at most MOST_SCRAPES requests at once: threads and open files are those of a command that sends."""

    daemon_threads = True  # a slow reader delays nothing at the end

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._room = BoundedSemaphore(MOST_SCRAPES)
        super().__init__(*arguments, **named)

    def verify_request(self, request: _Connection, client_address: Any) -> bool:  # noqa: ARG002 - of the library
        """Return whether there is room for the request; otherwise its connection is closed."""
        return self._room.acquire(blocking=False)

    def process_request(self, request: _Connection, client_address: Any) -> None:
        """Answer the request in a thread; make room again where that thread cannot start."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: _Connection, client_address: Any) -> None:
        """Answer the request within SCRAPE_SECONDS."""
        ending = Timer(SCRAPE_SECONDS, _end, (request,))
        ending.daemon = True
        try:
            ending.start()
            super().process_request_thread(request, client_address)
        finally:
            ending.cancel()
            self._room.release()

    def handle_error(self, request: _Connection, client_address: Any) -> None:
        """Say nothing: the connection ended, and the next scrape asks again."""


def _end(request: _Connection) -> None:
    """End a connection from outside; its thread notices."""
    with suppress(OSError):
        if isinstance(request, socket.socket):
            request.shutdown(socket.SHUT_RDWR)


class _SixServer(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds of silence

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library names it
        """Log nothing: scrapes are not worth it."""


def _guard(app: WSGIApplication, guard: RequestGuard) -> WSGIApplication:
    """Answer what the guard lets pass: on loopback, a page in a browser could read the metrics by DNS rebinding."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        named = CIMultiDict({field: environ[key] for key, field in _GUARDED.items() if key in environ})
        refusal = guard.find_refusal(CIMultiDictProxy(named))
        if not refusal:
            return app(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [refusal.encode()]

    return answer
