"""Spans of one command as OpenTelemetry's traces: one root span, and the command's steps and groups of calls in it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, set_span_in_context

from engine.masking import mask_value
from engine.metrics.otlp.points import SCOPE
from engine.progress import Step, listen
from engine.spans import listen_to_spans

SPANS_A_SECOND = 10  # of one name; the others are only counted: a fast run has hundreds of commits a second
TEXT_LIMIT = 200  # characters of an attribute


class SpanWriter:
    """Turns mailrun's spans and steps into OpenTelemetry's, within a root span.

    Args:
        provider: sends them.
        name: of the root span.
        attributes: of the root span.
        monotonic: monotonic time.
        wall: Unix time.
    """

    def __init__(
        self,
        provider: TracerProvider,
        name: str,
        attributes: dict[str, str],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._tracer = provider.get_tracer(SCOPE)
        self._offset = wall() - monotonic()
        self._monotonic = monotonic
        self._root: Span = self._tracer.start_span(name, attributes=_shorten(dict(attributes)))
        self._context = set_span_in_context(self._root)
        self._seconds: dict[str, tuple[int, int]] = {}  # name -> a second, and its spans
        self._left_out: dict[str, int] = defaultdict(int)

    def add(self, name: str, began: float, ended: float, attributes: dict[str, str | int | float]) -> None:
        """Take a span, at most SPANS_A_SECOND of its name; the next one names how many were left out before it."""
        second, spans = self._seconds.get(name, (0, 0))
        if second != int(ended):
            second, spans = int(ended), 0
        self._seconds[name] = second, spans + 1
        if spans >= SPANS_A_SECOND:
            self._left_out[name] += 1 + int(attributes.get("left_out", 0))
            return
        left_out = self._left_out.pop(name, 0) + int(attributes.get("left_out", 0))  # a worker process left some out
        more = {"mailrun.left_out": left_out} if left_out else {}
        self._write(name, began, ended, {f"mailrun.{key}": value for key, value in attributes.items()} | more)

    def begin(self, step: Step) -> None:
        """A step of the command has begun."""

    def end(self, step: Step) -> None:
        """It has ended."""
        counted: dict[str, str | int | float] = {"mailrun.done": step.done, "mailrun.unit": step.unit}
        self._write(step.name, step.began, self._monotonic(), counted if step.unit else {})

    def finish(self, attributes: dict[str, str | int | float]) -> None:
        """End the root span."""
        self._root.set_attributes(_shorten(attributes))
        self._root.end()

    def _write(self, name: str, began: float, ended: float, attributes: dict[str, str | int | float]) -> None:
        start, end = (int((at + self._offset) * 1e9) for at in (began, ended))
        found = self._tracer.start_span(
            name[:TEXT_LIMIT], self._context, attributes=_shorten(attributes), start_time=start
        )
        found.end(end)


def _shorten(attributes: dict[str, str | int | float]) -> dict[str, str | int | float]:
    masked = {name: mask_value(value) if isinstance(value, str) else value for name, value in attributes.items()}
    return {name: value[:TEXT_LIMIT] if isinstance(value, str) else value for name, value in masked.items()}


@contextmanager
def write_spans(
    exporter: SpanExporter,
    resource: Resource,
    name: str,
    attributes: dict[str, str],
    *,
    flush: Callable[[Callable[[], object]], None],
) -> Iterator[None]:
    """Trace a block as one root span with all spans and steps in it.

    Args:
        exporter: sends them, in a thread of its own.
        resource: which process they are from.
        name: of the root span.
        attributes: of the root span.
        flush: calls a function that sends the rest, within a bounded time, or not at all.
    """
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=2_000))
    writer = SpanWriter(provider, name, attributes)
    try:
        with listen(writer), listen_to_spans(writer):
            yield
    finally:
        writer.finish({})
        flush(provider.shutdown)
