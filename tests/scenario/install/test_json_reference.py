"""docs/reference/json.md lists every key that a command prints, with its type."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.dns import Zone, serve_dns
from support.doubt import leave_in_doubt
from support.paths import DOCS
from support.world import World, open_world, wait_until

from tools.reference.commands import walk_commands

PAGE = (DOCS / "reference" / "json.md").read_text(encoding="utf-8")
RUN, CANARY = "hello/test", "hello/canary"
_TYPES: dict[str, tuple[type[Any], ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "any": (object,),
    "decision": (dict,),
    "object": (dict,),
}


@dataclass
class Section:
    """A heading of the page: key -> type, of its table and of the accounts where it includes them."""

    fields: dict[str, str] = field(default_factory=dict)


def read_sections() -> dict[str, Section]:
    found = {}
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        rows = re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \|", text, flags=re.MULTILINE)
        found[heading] = Section(dict(rows))
    accounts = found["Accounts"].fields
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        if text.strip().startswith("The [accounts](#accounts)"):
            found[heading].fields = accounts | found[heading].fields
    return found


SECTIONS = read_sections()


def find_section(command: str) -> Section:
    """Find the section of a command: `mailrun events pull, import` is that of both."""
    for heading, section in SECTIONS.items():
        names = re.sub(r"^mailrun ", "", heading).split(", ")
        group = names[0].rpartition(" ")[0]
        if command in (names[0], *(f"{group} {name}".strip() for name in names[1:])):
            return section
    raise KeyError(command)


def list_faults(document: dict[str, Any], section: Section, prefix: str = "") -> Iterator[str]:
    """Yield the keys of a document that the page does not list, or lists with another type."""
    for key, value in document.items():
        name = f"{prefix}{key}"
        if name not in section.fields:
            yield f"{name} is not listed"
        else:
            yield from _list_misfits(value, section.fields[name], name, section)


def _list_misfits(value: Any, kind: str, name: str, section: Section) -> Iterator[str]:
    kinds = kind.split(" or ")
    if value is None or len(kinds) > 1:
        kinds = [one for one in kinds if (one == "null") == (value is None)] or kinds
    kind = kinds[0]
    if (found := re.fullmatch(r"array of (.*)", kind)) and isinstance(value, list):
        for item in value:
            yield from _list_misfits(item, found[1], name, section)
    elif (found := re.fullmatch(r"map of (.*)", kind)) and isinstance(value, dict):
        for item in value.values():
            yield from _list_misfits(item, found[1], name, section)
    elif (found := re.fullmatch(r"\[(.*)\]\(#.*\)", kind)) and isinstance(value, dict):
        yield from list_faults(value, SECTIONS[found[1].capitalize()])
    elif kind not in _TYPES or not isinstance(value, _TYPES[kind]) or (kind != "boolean" and value is True):
        yield f"{name} is not {kind}: {value!r}"
    elif kind == "object":
        yield from list_faults(dict(value), section, f"{name}.")


def check(command: str, document: dict[str, Any]) -> None:
    section = SECTIONS["Error"] if document.keys() == {"error"} else find_section(command)
    assert list(list_faults(document, section)) == []


def test_every_command_that_prints_json_has_a_section():
    names = [
        name.removeprefix("mailrun ") for name, one in walk_commands() if any(p.name == "as_json" for p in one.params)
    ]
    assert names
    for name in names:
        assert find_section(name).fields, name


def test_undocumented_key_and_wrong_type_are_found():
    section = Section({"a": "integer or null", "b": "array of object", "b.c": "text"})
    assert list(list_faults({"a": None, "b": [{"c": "x"}]}, section)) == []
    assert list(list_faults({"a": "1"}, section)) == ["a is not integer: '1'"]
    assert list(list_faults({"b": [{"c": "x", "d": 1}]}, section)) == ["b.d is not listed"]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A run with recipients in doubt, one with a canary that waits, and files for the other commands."""
    with open_world(tmp_path_factory.mktemp("json")) as world:
        leave_in_doubt(world)
        given = (world.campaign / "campaign.toml").read_text(encoding="utf-8")
        world.write("campaigns/hello/campaign.toml", given + '\n[canary]\nrecipients = 10\nwait = "1s"\n')
        canary = world.run("launch", "hello", "--key", "canary", "--json")
        check("launch", canary.json)
        world.write("campaigns/hello/campaign.toml", given)
        (world.folder / "mails").mkdir()
        mail = "From: a@b.example\nTo: u@acme.example\nSubject: unsubscribe\n\nplease\n"
        world.write("mails/1.eml", mail)
        world.write("event.json", "{}\n")
        world.write("list.csv", "email\nann@example.com\nnobody\n")
        yield world


COMMANDS = [
    "plan hello --explain person1@example.com --export-excluded out.csv",
    "preview hello",
    "check hello",
    "test hello --to me@acme.example",
    "status",
    f"status {RUN}",
    f"status {CANARY}",
    f"report {RUN}",
    f"report {CANARY}",
    f"work {RUN}",
    f"audit {RUN}",
    f"audit {RUN} --against RECORD",
    f"resolve {RUN}",
    f"pause {CANARY}",
    f"resume {CANARY}",
    "events pull --queue QUEUE",
    "events import event.json",
    "inbound import mails",
    "suppress import list.csv",
    "suppress add bob@example.com",
    "suppress check bob@example.com --account",
    "suppress list",
    "suppress export all.csv",
    "suppress remove bob@example.com --yes",
    "suppress sync --full",
    f"cancel {CANARY}",
    "forget person5@example.com",
    "prune --older-than 1d --yes",
    "notify send",
    "config",
    "doctor",
    "status no/run",
    "audit no/run",
]


def test_every_key_that_is_printed_is_listed(sent: World):
    """In this order: each command finds what the ones before it left."""
    queue = f"{sent.server.url}/123456789012/mailrun-events"
    for line in COMMANDS:
        words = line.replace("RECORD", str(sent.record_folder / "accepted.jsonl")).replace("QUEUE", queue).split()
        done = sent.run(*words, "--json", AWS_ENDPOINT_URL_SQS=sent.server.url)
        command = " ".join(words[:2]) if words[0] in ("events", "inbound", "suppress", "notify") else words[0]
        shown = "status RUN" if command == "status" and len(words) > 1 else command
        check(shown, done.json)


SES_COMMANDS = [
    "ses status",
    "ses setup acme.example",
    "ses setup acme.example --apply",
    "ses setup acme.example",
    "ses verify acme.example",
    "ses verify --message mails/1.eml",
    "ses pools create marketing",
    "ses pools list",
    "ses reputation",
]


def test_every_key_about_the_account_is_listed(sent: World):
    """In this order, after the runs: each command finds what the ones before it left."""
    with serve_dns(Zone()) as server:
        for line in SES_COMMANDS:
            done = sent.run(*line.split(), "--json", AWS_ENDPOINT_URL=sent.server.url, MAILRUN_DNS_NAMESERVERS=server)
            words = line.split()
            command = " ".join(words[: 3 if "pools" in words or "--message" in words else 2])
            assert "error" not in done.json or command == "ses status", done.stderr
            check(command, done.json)


def test_every_key_of_a_worker_that_sends_is_listed(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=50.0) as world:
        world.write_people(2000)
        process = world.start_launch()
        world.wait_for_accepted(150, process)
        wait_until(lambda: bool(world.run("status", RUN, "--json").json["vitals"]))
        shown = world.run("status", RUN, "--json").json
        process.kill()
        process.communicate()
    assert shown["vitals"]
    check("status RUN", shown)


@pytest.mark.parametrize("command", ["sandbox --port 0", "unsubscribe-server --port 0", "dashboard --bind 127.0.0.1:0"])
def test_every_key_of_a_server_is_listed(sent: World, command: str):
    process: subprocess.Popen[str] = sent.start(*command.split(), "--json")
    assert process.stdout is not None
    document = json.loads(process.stdout.readline())
    process.terminate()
    process.communicate(timeout=30)
    check(command.split(maxsplit=1)[0], document)
