"""What a command does for monitoring while it works: serve its metrics, write them to a file, push them.

Without such a setting nothing is imported and nothing runs. What goes wrong later is logged once, and never delays or
fails the work.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread
from typing import Any

from msgspec import Struct

from engine.errors import MailrunError
from engine.locations import expand_home
from engine.logs import get_logger
from engine.metrics.meter import Meter
from engine.on_demand import OnDemand
from engine.setting_sections import parse_listen
from engine.workspace import Workspace

END_SECONDS = 5.0  # that the last file and the last push may take together with everything else

_serve = OnDemand("engine.metrics.exposition:serve")
_write_metrics = OnDemand("engine.metrics.textfile:write_metrics")
_make_reader = OnDemand("engine.metrics.reading:SampleReader")
_make_command = OnDemand("engine.metrics.samples:MonitoredCommand")
_open_push = OnDemand("engine.metrics.otlp.push:open_push")

log = get_logger()


class Monitored(Struct, frozen=True, kw_only=True):
    """What is monitored.

    Attributes:
        workspace: whose ledger is read.
        command: its name, such as `launch`.
        meter: what the command measures.
        campaign: that it sends; empty for none.
        sandbox: whether it sends to the embedded sandbox.
        listen: HOST:PORT of `--metrics-listen`; None for the setting.
    """

    workspace: Workspace
    command: str
    meter: Meter
    campaign: str = ""
    sandbox: bool = False
    listen: str | None = None


@contextmanager
def monitor(
    monitored: Monitored, *, environment: Mapping[str, str] = os.environ, announce: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Serve, write and push the metrics of a command until the block ends, as far as options and settings say.

    Args:
        monitored: the command.
        environment: with the OTEL_* variables.
        announce: receives the URL of the metrics; None logs it.

    Raises:
        ConfigurationError: an address is taken, a file cannot be written, or the extra `mailrun[otel]` is missing.
    """
    settings = monitored.workspace.settings.metrics
    listen, otlp = monitored.listen or settings.listen, bool(settings.otlp) or _names_collector(environment)
    if not listen and not settings.file and not otlp:
        yield
        return
    monitored.meter.is_read = True
    workspace = monitored.workspace
    command = _make_command(
        name=monitored.command,
        campaign=monitored.campaign,
        sandbox=monitored.sandbox,
        version=version("mailrun"),
        started_at=workspace.clock.now().timestamp(),
    )
    reader = _make_reader(command, monitored.meter, workspace.ledger, workspace.clock)
    with ExitStack() as stack:
        if otlp:
            stack.enter_context(_open_push(reader, settings, environment))
        if settings.file:
            stack.enter_context(_write_regularly(reader, _find_file(settings.file, workspace), settings.seconds))
        if listen:
            stack.enter_context(_listen(reader, listen, announce or _log_url))
        try:
            yield
        finally:
            reader.end()


def _names_collector(environment: Mapping[str, str]) -> bool:
    """Return whether the variables of OpenTelemetry name a collector, and do not switch it off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    kinds = ("", "METRICS_", "TRACES_")
    return any(environment.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT", "").strip() for kind in kinds)


def _find_file(name: str, workspace: Workspace) -> Path:
    return workspace.settings.workspace / expand_home(name, "[metrics] file")


def _log_url(url: str) -> None:
    log.info("metrics.listening", url=url, note=f"metrics: {url}")


@contextmanager
def _listen(reader: Any, listen: str, announce: Callable[[str], None]) -> Iterator[None]:
    host, port = parse_listen(listen)
    server = _serve(host, port, reader.read)
    name = f"[{host}]" if ":" in host else host
    announce(f"http://{name}:{server.server_port}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _write_regularly(reader: Any, place: Path, seconds: float) -> Iterator[None]:
    """Write the file now, every some seconds, and at the end, in a thread of its own."""

    def write() -> None:
        _write_metrics(place, reader.read(), campaign=reader.command.campaign)

    write()  # a place that cannot be written is reported before anything is sent
    with repeat(write, seconds, name="metrics file"):
        yield


@contextmanager
def repeat(work: Callable[[], None], seconds: float, *, name: str) -> Iterator[None]:
    """Do some work every some seconds until the block ends, and once more then, for END_SECONDS at most.

    An error is logged once; the work is tried again.
    """
    ended = Event()

    def run() -> None:
        is_logged = False
        while True:
            is_last = ended.wait(seconds)
            try:
                work()
            except MailrunError as error:
                if not is_logged:
                    is_logged = True
                    log.warning("metrics.failed", what=error.what, where=error.where, do=error.remedy)
            if is_last:
                return

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(END_SECONDS)
