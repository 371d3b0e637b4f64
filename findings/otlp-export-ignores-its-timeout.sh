#!/usr/bin/env bash
# OpenTelemetry for Python: `OTLPMetricExporter.export(data, timeout_millis=…)` ignores its argument.
#
# Guess before the run: an export to a collector that accepts connections and never answers is given up after
#   timeout_millis, as the documentation of MetricExporter.export says ("the maximum time").
# Behaviour: the call takes as long as the constructor's `timeout` says, 10 seconds where nothing is given. A program
#   that pushes its last figures before it exits, and passes half a second to be quick, waits for ten. Only
#   `OTLPMetricExporter(timeout=…)` or OTEL_EXPORTER_OTLP_TIMEOUT bounds it.
# Versions: opentelemetry-sdk 1.45.2, opentelemetry-exporter-otlp-proto-http 1.45.2.
# Output seen:
#   asked for 0.2 s, constructed with 3 s: took about 3 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2
cat > check.py <<'PY'
import logging
import socket
import threading
import time

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricsData

logging.disable(logging.CRITICAL)
listener = socket.create_server(("127.0.0.1", 0))
held = []


def accept() -> None:
    while True:
        held.append(listener.accept()[0])


threading.Thread(target=accept, daemon=True).start()
exporter = OTLPMetricExporter(endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}/v1/metrics", timeout=3)
began = time.monotonic()
exporter.export(MetricsData(resource_metrics=[]), timeout_millis=200)
took = time.monotonic() - began
print(f"asked for 0.2 s, constructed with 3 s: took about {took:.0f} s")
raise SystemExit(not 2.5 < took < 10)
PY
venv/bin/python check.py
