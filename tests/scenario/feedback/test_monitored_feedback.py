"""Commands that process feedback show how far they are, and serve the figures of the ledger between runs."""

import json
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from support.pulled import open_feedback_world
from support.world import finish


def read(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples: name and the values of the labels, ordered by the labels' names -> value."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, *(value for _, value in sorted(one.labels.items()))): one.value for one in samples}


def test_events_pull_and_unsubscribe_server_are_monitored(tmp_path: Path):
    with open_feedback_world(tmp_path, {}) as world:
        world.write_people(30)
        assert world.launch().code == 0
        file = world.folder / "mailrun.prom"
        pulled = world.run(
            "events", "pull", "--queue", world.server.queue_url, "--json", MAILRUN_METRICS_FILE="mailrun.prom"
        )
        assert pulled.code == 0, pulled.stderr
        seen = read(file.read_text())
        kinds = {
            labels[0]: value for (name, *labels), value in seen.items() if name == "mailrun_events_processed_total"
        }
        assert kinds == pulled.json["kinds"]
        launched = seen["mailrun_run_start_timestamp_seconds", "hello", "false"]
        assert abs(seen["mailrun_events_newest_timestamp_seconds",] - launched) < 120
        assert seen["mailrun_queue_messages", "events"] >= 0
        assert seen["mailrun_run_event_recipients", "hello", "delivered", "false"] == 30
        assert (
            seen["mailrun_receiver_recipients", "delivered", "other", "false"] == 30
        )  # too few for a value of their own

        (world.folder / "mailrun.toml").write_text('unsubscribe_keys = ["0123456789abcdef0123"]\n')
        server = world.fork("unsubscribe-server", "--port", "0", "--json", "--metrics-listen", "127.0.0.1:0")
        assert server.stderr is not None
        lines = (json.loads(line) for line in server.stderr if line.startswith("{"))
        url = next(line["url"] for line in lines if line["event"] == "metrics.listening")
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
            served = read(answer.read().decode())
        assert served["mailrun_campaign_last_success_timestamp_seconds", "hello", "false"] >= launched
        server.terminate()
        assert finish(server).code == 0
