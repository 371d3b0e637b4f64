"""Every command that mailrun suggests can be run as it is printed."""

import email
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.world import RUN, Finished, World, finish

from engine.ledger.journal import Outcome

PREFIX = "python -m engine "
UNANSWERED = (1, 64)  # a bug, and an unknown command line


def suggested(finished: Finished) -> Iterator[list[str]]:
    """Yield the arguments of every command in an output."""
    for command in re.findall(rf"{PREFIX}(.+?)(?:, then .*)?$", finished.stdout, re.MULTILINE):
        yield shlex.split(command)


def run_suggestions(world: World, finished: Finished, folder: Path | None = None) -> list[str]:
    """Run what an output suggests; returns the commands' names."""
    commands = list(suggested(finished))
    assert commands, finished.stdout
    for words in commands:
        if words[0] == "sandbox":
            server = world.start(*words, "--port", "0", folder=folder)
            assert server.stdout is not None
            assert "inbox" in server.stdout.readline()
            server.send_signal(signal.SIGTERM)
            assert finish(server).code == 0
        else:
            ended = world.run(*words, folder=folder)
            assert ended.code not in UNANSWERED, (words, ended.stderr)
    return [words[0] for words in commands]


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        (("plan", "hello", "--explain", "person1@example.com", "--export-excluded", "out.csv", "-v"), ["preview"]),
        (("preview", "hello", "--to", "person1@example.com", "--key", "k", "--limit", "3"), ["launch"]),
        (("check", "hello", "--audience", "audiences/people.csv", "--lenient"), ["launch"]),
        (("launch", "hello", "--sandbox", "--yes", "--workers", "1"), ["sandbox"]),
        (("status",), ["launch"]),
    ],
    ids=lambda value: value[0],
)
def test_suggestion_can_be_run(world: World, arguments: tuple[str, ...], commands: list[str]):
    world.write_people(5)
    assert run_suggestions(world, world.run(*arguments)) == commands


def test_suggestion_after_a_failed_preview_runs_it_again(world: World):
    world.write_people(2)
    world.write("campaigns/hello/body.txt.j2", "{{ 1 // 0 }}")
    failed = world.run("preview", "hello", "--to", "person1@example.com")
    assert failed.code == 65
    assert list(suggested(failed)) == [["preview", "hello", "--to", "person1@example.com"]]


def test_suggestion_keeps_global_options_before_the_command(world: World):
    world.write_people(5)
    elsewhere = world.folder.parent
    planned = world.run("--workspace", "workspace", "plan", "hello", "--store", "s", folder=elsewhere)
    assert list(suggested(planned)) == [["preview", "hello", "--workspace", "workspace", "--store", "s"]]
    assert run_suggestions(world, planned, elsewhere) == ["preview"]


def test_suggestion_names_the_workspace_that_the_campaign_was_in(world: World):
    world.write_people(5)
    elsewhere = world.folder.parent
    launched = world.run("launch", "workspace/campaigns/hello", "--sandbox", folder=elsewhere)
    assert run_suggestions(world, launched, elsewhere) == ["sandbox"]


def test_suggestion_of_a_paused_run_resumes_it(world: World):
    world.write_people(5)
    world.change_sandbox(max_24_hour_send=3.0)
    elsewhere = world.folder.parent
    paused = world.run("launch", "workspace/campaigns/hello", "--key", "test", folder=elsewhere)
    assert paused.code == 75
    world.change_sandbox(max_24_hour_send=-1.0)
    held = world.run("pause", RUN, "--reason", "a look")
    assert held.stdout.startswith(f"{RUN} is paused by ")
    resumed = world.run("resume", RUN, "--workspace", "workspace", folder=elsewhere)
    assert "None" not in resumed.stdout
    assert run_suggestions(world, paused, elsewhere) == ["launch"]
    assert check_invariants(world)[Outcome.SENT] == 5


def test_suggestion_of_a_run_in_doubt_names_resolve(world: World):
    """The report of a killed run shows how to resume it and how to settle recipients in doubt."""
    world.write_people(60)
    world.fault("no_answer", count=None, after=20)
    launch = world.start_launch()
    world.wait_for_accepted(21, launch)
    launch.kill()
    launch.communicate()
    world.forget_workers()
    world.clear_faults()
    for left in (world.run("status", RUN), world.run("status")):
        assert "no live worker; resume: " in left.stdout
        assert [words[0] for words in suggested(left)] == ["launch", "resolve"]
    assert world.run("status", RUN, "--json").json["workers"] == 0
    resumed = next(words for words in suggested(left) if words[0] == "launch")
    ended = world.run(*resumed)
    held, sent = (world.run("status", RUN, "--json").json[name] for name in ("in_doubt", "sent"))
    for told in (ended, world.run(*resumed), world.run("work", RUN), world.run("status", RUN), world.run("status")):
        recipients = "1 recipient is" if held == 1 else f"{held} recipients are"
        assert f"{recipients} in doubt. List and settle" in told.stdout
        assert f"Another --key sends to all recipients again, including the {sent} already sent." in told.stdout
        assert list(suggested(told)) == [["resolve", RUN]]
    assert run_suggestions(world, ended) == ["resolve"]
    assert check_invariants(world, in_doubt_at_most=held)[Outcome.IN_DOUBT] == held > 0


def test_suggestion_after_a_cancelled_run_warns_of_another_key(world: World):
    world.write_people(5)
    world.change_sandbox(max_24_hour_send=3.0)
    assert world.launch().code == 75
    assert world.run("cancel", RUN).code == 0
    again = world.run("launch", "hello", "--key", "test")
    assert f"{RUN} was already cancelled: nothing was sent now.\n" in again.stdout
    assert "Another --key sends to all recipients again, including the 3 already sent." in again.stdout


def test_suggestion_after_init_launches_the_sample(world: World, tmp_path: Path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    made = world.run("init", "my demo", folder=folder)
    assert run_suggestions(world, made, folder) == ["launch"]


def test_suggestion_after_a_damaged_event_imports_it_again(world: World):
    world.write("bad.json", "no JSON\n")
    imported = world.run("events", "import", "bad.json")
    assert imported.code == 65
    assert run_suggestions(world, imported) == ["events"]


def test_preview_writes_the_files_that_it_names(world: World):
    world.write_people(50)
    previewed = world.run("preview", "hello", "--to", "person7@example.com", "--to", "person8@example.com", "--json")
    samples = [email.message_from_bytes(Path(path).read_bytes()) for path in previewed.json["samples"]]
    assert [mail["To"] for mail in samples[-2:]] == ["person7@example.com", "person8@example.com"]
    named = re.search(r"samples: +(\S+)", world.run("preview", "hello", "--to", "person7@example.com").stdout)
    assert named is not None
    folder = Path(named[1]).parent
    assert len(list(folder.glob("*.eml"))) == 11
