#!/usr/bin/env bash
# uvloop: `loop.time()` counts whole milliseconds; asyncio's own counts nanoseconds.
#
# Guess before the run: both loops return `time.monotonic()`, as asyncio's documentation describes for `loop.time()`.
# Behaviour: of 200 readings, taken a fraction of a millisecond apart, every one of uvloop's is a whole number of
#   milliseconds, so that neighbours are mostly equal. A token bucket or a latency measurement built on `loop.time()` loses
#   its resolution when uvloop is switched on: at 5,000 messages a second, five of them have the same time.
# Versions: uvloop 0.23.0, Python 3.11.
# Output seen:
#   asyncio: 200 of 200 readings differ
#   uvloop: every reading is a whole number of milliseconds
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check uvloop==0.23.0
cat > read.py <<'PY'
import asyncio
import time

import uvloop


async def read_times() -> list[float]:
    loop, found = asyncio.get_running_loop(), []
    for _ in range(200):
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.0002:
            pass
        found.append(loop.time())
        await asyncio.sleep(0)
    return found


def is_whole(seconds: float) -> bool:
    return abs(seconds * 1000 - round(seconds * 1000)) < 1e-4


own, other = asyncio.run(read_times()), uvloop.run(read_times())
print(f"asyncio: {len(set(own))} of {len(own)} readings differ")
print(f"uvloop: {'every reading is' if all(map(is_whole, other)) else 'not every reading is'} a whole number of milliseconds")
raise SystemExit(not (len(set(own)) == 200 and all(map(is_whole, other)) and len(set(other)) < 200))
PY
venv/bin/python read.py
