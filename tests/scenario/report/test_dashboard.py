"""The dashboard beside a launch: it shows the progress, and pauses, resumes and approves the run."""

import http.client
import json
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.dashboard import act, ask
from support.invariants import check_invariants
from support.pulled import add_to_campaign
from support.world import RUN, World, finish, open_world

from engine.ledger.journal import Outcome

PEOPLE = 240
STOP_SECONDS = 10.0


@contextmanager
def watch(url: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Open the live page of the run; yields its figures as they come."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        connection.request("GET", f"/runs/{RUN}/live")
        reply = connection.getresponse()
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        yield read_figures(reply)


def read_figures(reply: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    kind = ""
    while line := reply.readline().decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        kind = value if name == "event" else kind
        if name == "data" and kind == "figures":
            yield json.loads(value)
        if name == "data":
            assert reply.readline() == b"\n"


def start_dashboard(world: World) -> tuple[Any, str]:
    server = world.fork("dashboard", "--bind", "127.0.0.1:0", "--json")
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["url"]


def test_dashboard_shows_a_launch_and_controls_it(tmp_path: Path) -> None:
    """The launch waits after its canary and while it is paused; it ends by itself once it was approved."""
    with open_world(tmp_path, max_send_rate=200.0) as world:
        world.write_people(PEOPLE)
        add_to_campaign(world, '\n[canary]\nrecipients = 60\nwait = "1h"\n')
        launch = world.start_launch()
        world.wait_for_accepted(1, launch)
        server, url = start_dashboard(world)
        with watch(url) as figures:
            canary_sent = next(found for found in figures if found["done"] == 60)
            assert (canary_sent["state"], canary_sent["figures"]["workers"]) == ("sending", 1)
            assert act(url, f"/runs/{RUN}/pause", reason="a look").headers["location"] == f"/runs/{RUN}"
            assert next(found for found in figures if found["state"] == "paused")["done"] == 60
            assert "paused by dashboard" in ask(url, f"/runs/{RUN}").text
            assert act(url, f"/runs/{RUN}/resume").status == 303
            assert act(url, f"/runs/{RUN}/approve").status == 303
            done = [found["done"] for found in figures]  # ends with the run
        assert done == sorted(done)
        assert done[-1] == PEOPLE
        assert finish(launch).code == 0
        assert "finished" in ask(url, "/").text
        status = world.run("status", RUN, "--json").json
        told = [(one["what"], one["who"].partition(" ")[0]) for one in status["decisions"] if one["who"] != "mailrun"]
        assert told == [("pause", "dashboard"), ("resume", "dashboard"), ("approve", "dashboard")]
        server.send_signal(signal.SIGTERM)
        assert finish(server).code == 0
        assert check_invariants(world) == {Outcome.SENT: PEOPLE}


def test_dashboard_ends_at_once_while_live_pages_are_open(world: World) -> None:
    world.write_people(5)
    world.fault("throttle")
    launch = world.start_launch()
    world.wait_for_workers(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        server, url = start_dashboard(world)
        with watch(url) as figures, watch(url) as others:
            assert next(figures)["accepted"] == next(others)["accepted"] == 5
            begun = time.monotonic()
            server.send_signal(number)
            assert list(figures) == []
            stopped = finish(server)
        assert stopped.code == 0
        assert time.monotonic() - begun < STOP_SECONDS
        assert "Traceback" not in stopped.stderr
    launch.send_signal(signal.SIGTERM)
    finish(launch)


def test_dashboard_beyond_loopback_needs_a_token(world: World) -> None:
    for arguments in (("--bind", "0.0.0.0:0"), ("--allow-host", "m.example.com"), ("--token", "short")):
        refused = world.run("dashboard", *arguments)
        assert refused.code == 78, refused.stderr
        assert "token" in refused.stderr
    assert world.run("dashboard", "--bind", "nonsense").code == 64
    secret = "a-secret-of-the-environment-123"
    server = world.fork("dashboard", "--bind", "127.0.0.1:0", "--json", MAILRUN_DASHBOARD_TOKEN=secret)
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]
    assert ask(url, "/").status == 303
    assert ask(url, "/", Authorization=f"Bearer {secret}").status == 200
    server.send_signal(signal.SIGTERM)
    stopped = finish(server)
    assert stopped.code == 0
    assert secret not in stopped.stderr
