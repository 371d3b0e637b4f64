"""`mailrun report`: what it writes and prints, and what becomes of it."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.world import RUN, World, open_world

from engine.ledger.event_flags import SHOWN

_COUNTS = ("rows_read", "accepted", "sent", "refused", "failed", "in_doubt", "unsent")


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A finished run whose launch wrote a report, and whose events came afterwards."""
    with open_world(tmp_path_factory.mktemp("report")) as world:
        world.write_people(40)
        with (world.folder / "audiences/people.csv").open("a") as file:
            file.write("bounce@simulator.amazonses.com,Bo\ncomplaint@simulator.amazonses.com,Cy\nnobody,Di\n")
        launched = world.run("launch", "hello", "--yes", "--key", "test", MAILRUN_REPORT_AT_END="true")
        assert launched.code == 0, launched.stderr
        assert f"report: {world.run_folder}/report/report.html" in launched.stdout.splitlines()
        assert "no events have been processed" in (world.run_folder / "report/report.html").read_text()
        queue = f"{world.server.url}/123456789012/mailrun-events"
        pulled = world.run("events", "pull", "--queue", queue, AWS_ENDPOINT_URL_SQS=world.server.url)
        assert pulled.code == 0, pulled.stderr
        assert "no events have been processed" not in (world.run_folder / "report/report.html").read_text()
        yield world


def test_report_has_the_figures_of_status_and_audit(sent: World):
    figures = sent.run("report", RUN, "--json").json
    status, audit = sent.run("status", RUN, "--json").json, sent.run("audit", RUN, "--json").json
    assert {name: figures["accounts"][name] for name in _COUNTS} == {name: status[name] for name in _COUNTS}
    assert {name: figures["accounts"][name] for name in _COUNTS} == {name: audit[name] for name in _COUNTS}
    assert figures["feedback"] == {name: status[name] for name in SHOWN}
    assert figures["feedback"]["bounced"] == 1
    assert audit["problems"] == []
    text = re.sub(r"<[^>]+>", " ", Path(figures["report"]).read_text(encoding="utf-8"))
    text = re.sub(r"\s+", " ", text)
    assert "43 rows read: 42 accepted, 1 excluded. 42 messages sent" in text
    assert f"{status['delivered']} deliveries confirmed, 1 bounced" in text


def test_report_is_private_and_has_no_whole_address(sent: World):
    done = sent.run("report", RUN)
    path = sent.run_folder / "report" / "report.html"
    assert done.stdout.splitlines()[-1] == f"report: {path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    html = path.read_text(encoding="utf-8")
    assert "simulator.amazonses.com" in html  # a receiver's domain
    assert not re.search(r"(person\d+|bounce|complaint)@", html)


def test_out_writes_a_private_file_and_open_does_no_harm_without_a_screen(sent: World):
    done = sent.run("report", RUN, "--out", "mine.html", "--open", DISPLAY="", WAYLAND_DISPLAY="", BROWSER="")
    assert done.code == 0, done.stderr
    mine = sent.folder / "mine.html"
    assert done.stdout.splitlines()[-1] == f"report: {mine}"
    assert "no browser can be opened on this machine" in done.stderr
    assert stat.S_IMODE(mine.stat().st_mode) == 0o600
    assert mine.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_out_that_cannot_be_written_is_an_error_that_names_it(sent: World):
    sent.write("mails.csv", "")
    done = sent.run("report", RUN, "--out", "mails.csv/report.html")
    assert done.code == 78
    assert "the report cannot be written there" in done.stderr
    assert "Traceback" not in done.stderr


def test_report_of_an_unknown_run_is_refused(sent: World):
    done = sent.run("report", "hello/tost")
    assert done.code == 64
    assert "there is no run hello/tost" in done.stderr


def test_forget_and_prune_remove_the_report(world: World):
    """A report that shows a person is removed with the person, and counted again afterwards."""
    world.write_people(8)
    assert world.launch().code == 0
    folder = world.run_folder / "report"
    assert world.run("report", RUN).code == 0
    assert {path.name for path in folder.iterdir()} == {"figures.json", "report.html"}
    assert world.run("forget", "stranger@example.com").code == 0
    assert (folder / "report.html").exists()
    assert world.run("forget", "person7@example.com").code == 0
    assert not (folder / "report.html").exists()
    assert world.run("report", RUN).code == 0
    assert world.run("prune", "--older-than", "0d", "--yes").code == 0
    assert not folder.exists()
    assert world.run("report", RUN).code == 64
