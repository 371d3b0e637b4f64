"""Pushes the metrics and traces of a command to a collector by OTLP over HTTP.

Endpoint, headers, certificates, compression, resource attributes and sampling follow the OTEL_* variables, as
OpenTelemetry defines them; the setting `[metrics] otlp` takes precedence over the endpoints among them.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import Any

from engine.errors import ConfigurationError
from engine.logs import get_logger
from engine.metrics.reading import SampleReader
from engine.on_demand import OnDemand
from engine.setting_sections import MetricsSettings

TIMEOUT_SECONDS = 2.0  # of one push, with its retries
# That the last push may delay the command's end: if the one before arrived, if it has not ended yet, and if it failed.
END_SECONDS = {True: 3.0, None: 1.0, False: 0.0}

_make_metric_exporter = OnDemand("opentelemetry.exporter.otlp.proto.http.metric_exporter:OTLPMetricExporter")
_make_span_exporter = OnDemand("opentelemetry.exporter.otlp.proto.http.trace_exporter:OTLPSpanExporter")
_make_resource = OnDemand("opentelemetry.sdk.resources:Resource")
_make_metrics_data = OnDemand("engine.metrics.otlp.points:make_metrics_data")
_write_spans = OnDemand("engine.metrics.otlp.traces:write_spans")
_METRICS, _TRACES = "METRICS", "TRACES"

log = get_logger()


@contextmanager
def open_push(reader: SampleReader, settings: MetricsSettings, environment: Mapping[str, str]) -> Iterator[None]:
    """Push metrics every some seconds and traces as they end, until the block ends; then the rest.

    Args:
        reader: has the samples.
        settings: with the collector, where one is named.
        environment: with the OTEL_* variables.

    Raises:
        ConfigurationError: the setting names a collector, and the packages of `mailrun[otel]` are missing.
    """
    try:
        _make_metric_exporter.load()
        _make_span_exporter.load()
    except ImportError as error:
        missing = describe_missing_extra(error)
        if settings.otlp:
            raise missing from None
        # OTEL_* may be set for other programs of the machine: sending goes on.
        log.warning("metrics.no_otlp", what=missing.what, do=missing.remedy, note=f"{missing.what}; {missing.remedy}")
        yield
        return
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a failure is logged here, once
    push = _Push(reader, settings, environment)
    with ExitStack() as stack:
        if push.is_wanted(_TRACES):
            stack.enter_context(push.trace())
        if push.is_wanted(_METRICS):
            stack.enter_context(push.push_metrics())
        yield


def describe_missing_extra(error: ImportError) -> ConfigurationError:
    """Describe that the packages for OTLP are not installed."""
    return ConfigurationError(
        f"pushing metrics and traces needs a package that is not installed: {error.name or error}",
        where="[metrics] otlp",
        remedy="install mailrun with the extra otel: uv tool install '.[otel]' in its checkout; or remove the setting",
    )


class _Push:
    def __init__(self, reader: SampleReader, settings: MetricsSettings, environment: Mapping[str, str]) -> None:
        self._reader = reader
        self._settings = settings
        self._environment = environment
        self._is_reached: bool | None = None  # whether the last push arrived; None before the first has ended
        command = reader.command
        given = {"service.name": environment.get("OTEL_SERVICE_NAME") or "mailrun", "service.version": command.version}
        self._resource: Any = _make_resource.load().create(given)

    def is_wanted(self, kind: str) -> bool:
        if self._environment.get(f"OTEL_{kind}_EXPORTER", "otlp").strip().lower() == "none":
            return False
        names = (f"OTEL_EXPORTER_OTLP_{kind}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        if not self._settings.otlp and not any(self._environment.get(name, "").strip() for name in names):
            return False
        protocol = self._environment.get(f"OTEL_EXPORTER_OTLP_{kind}_PROTOCOL") or self._environment.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL", ""
        )
        if protocol.strip() not in ("", "http/protobuf"):
            note = f"OTLP by {protocol} is not supported: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            log.warning("metrics.protocol", kind=kind.lower(), note=note)
            return False
        return True

    def _arguments(self, kind: str) -> dict[str, Any]:
        endpoint = f"{self._settings.otlp.rstrip('/')}/v1/{kind.lower()}" if self._settings.otlp else None
        return {"timeout": TIMEOUT_SECONDS, "endpoint": endpoint}

    @contextmanager
    def push_metrics(self) -> Iterator[None]:
        exporter = _make_metric_exporter(**self._arguments(_METRICS))
        ended = Event()

        def run() -> None:
            is_last = False
            while not is_last:
                self._push_once(exporter)
                is_last = ended.wait(self._settings.seconds)
            self._push_once(exporter)

        thread = Thread(target=run, name="metrics push", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            self._wait(thread)

    def _push_once(self, exporter: Any) -> None:
        command, reader = self._reader.command, self._reader
        data = _make_metrics_data(reader.read(), self._resource, begun_at=command.started_at, at=time.time())
        try:
            result = exporter.export(data)
        except Exception as error:  # noqa: BLE001 - of a library: monitoring never ends the work
            self._note(is_reached=False, why=str(error))
        else:
            self._note(is_reached=result.name == "SUCCESS", why="it refused the metrics or cannot be reached")

    def _note(self, *, is_reached: bool, why: str) -> None:
        if not is_reached and self._is_reached is not False:
            note = "metrics and traces do not arrive at the collector; sending continues"
            log.warning("metrics.unsent", what=why, collector=self._settings.otlp or "OTEL_EXPORTER_OTLP_*", note=note)
        self._is_reached = is_reached

    @contextmanager
    def trace(self) -> Iterator[None]:
        command = self._reader.command
        attributes = {"mailrun.command": command.name, "mailrun.campaign": command.campaign}
        exporter = _make_span_exporter(**self._arguments(_TRACES))
        with _write_spans(exporter, self._resource, f"mailrun {command.name}", attributes, flush=self._flush):
            yield

    def _flush(self, send: Callable[[], object]) -> None:
        """Send the rest of the spans."""
        thread = Thread(target=send, name="traces push", daemon=True)
        thread.start()
        self._wait(thread)

    def _wait(self, thread: Thread) -> None:
        """Wait for a last push; not where the one before failed."""
        thread.join(END_SECONDS[self._is_reached])
