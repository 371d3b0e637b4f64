"""plan, preview, status, audit, init, sandbox: what a person does around a launch."""

import email
import email.policy
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.invariants import check_invariants
from support.paths import ROOT
from support.world import RUN, World, finish, wait_until

from engine.ledger.journal import Outcome

MESSY = "email,first_name\nann@example.com,Ann\n,Nobody\nbroken,B\nANN@example.com,A\nbo@example.com,\n"


def test_plan_lists_the_recipients_and_sends_nothing(world: World):
    world.write("audiences/people.csv", MESSY)
    planned = world.run("plan", "hello", "--key", "test", "--json")
    assert planned.code == 0
    told = planned.json
    assert (told["run"], told["state"], told["rows_read"], told["accepted"], told["unsent"]) == (
        RUN,
        "planned",
        5,
        2,
        2,
    )
    assert told["excluded"] == {"missing_address": 1, "invalid_address": 1, "duplicate": 1}
    excluded = pl.read_parquet(Path(told["store"]) / "plan" / "excluded-*.parquet")
    assert excluded["line"].to_list() == [3, 4, 5]
    assert set(excluded["file"]) == {"audiences/people.csv"}
    assert world.accepted() == []
    assert world.run("status", "--json").json == {"runs": []}


def test_plan_and_preview_need_no_account(world: World):
    world.write_people(2)
    nothing = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_DEFAULT_REGION": None}
    assert world.run("plan", "hello", **nothing).code == 0
    assert world.run("preview", "hello", **nothing).code == 0


def test_preview_renders_everybody_and_leaves_samples_to_open(world: World):
    world.write_people(40)
    previewed = world.run("preview", "hello", "--json")
    assert previewed.code == 0
    assert (previewed.json["rendered"], previewed.json["sent"], previewed.json["unsent"]) == (40, 0, 40)
    samples = [Path(path) for path in previewed.json["samples"]]
    assert len(samples) == 10
    message = email.message_from_bytes(samples[0].read_bytes(), policy=email.policy.default)
    assert message["From"] == "Acme <news@acme.example>"
    assert message["Subject"].startswith("Hello Name ")
    assert world.accepted() == []


def test_preview_fails_where_a_message_cannot_be_made_and_says_why(world: World):
    world.write("audiences/people.csv", MESSY)
    previewed = world.run("preview", "hello", "--json")
    assert previewed.code == 65
    assert previewed.json["rendered"] == 1
    ((reason, rows),) = previewed.json["render_failures"].items()
    assert "first_name" in reason
    assert rows == 1


def test_status_shows_one_run_and_all_runs(world: World):
    world.write_people(3)
    world.launch()
    world.run("launch", "hello", "--key", "second")
    assert world.run("status", RUN, "--json").json["sent"] == 3
    assert [run["run"] for run in world.run("status", "--json").json["runs"]] == ["hello/second", RUN]
    shown = world.run("status")
    assert "hello/test    finished   3 of 3 sent" in shown.stdout


def test_status_of_an_active_run_shows_what_is_in_flight(world: World):
    world.write_people(30)
    world.fault("no_answer", count=None, after=20)
    process = world.start_launch()
    world.wait_for_accepted(30, process)

    def is_reported() -> bool:
        told = world.run("status", RUN, "--json").json
        return (told["state"], told["sent"], told["in_doubt"], told["in_flight"]) == ("sending", 20, 10, 10)

    wait_until(is_reported)
    process.kill()
    process.communicate()
    told = world.run("status", RUN, "--json").json
    assert (told["sent"], told["in_doubt"], told["in_flight"]) == (20, 10, 0)


def test_audit_proves_a_finished_run_and_finds_a_flipped_bit(world: World):
    world.write_people(600)
    world.launch()
    assert "proved from the files" in world.run("audit", RUN).stdout
    check_invariants(world)
    file = sorted((world.run_folder / "outcomes").iterdir())[1]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    audited = world.run("audit", RUN, "--json")
    assert audited.code == 65
    assert audited.json["balanced"] is False
    aside = world.run_folder / "damaged" / file.name
    assert audited.json["problems"] == [f"{file} was changed: its digest differs; it was set aside as {aside}"]
    assert aside.read_bytes() == data
    assert not file.exists()


def test_audit_names_every_damaged_file_of_the_plan(world: World):
    world.write_people(10)
    world.launch()
    (world.run_folder / "plan" / "recipients-0000.parquet").unlink()
    (world.run_folder / "campaign" / "body.txt.j2").write_text("other")
    audited = world.run("audit", RUN)
    assert audited.code == 65
    assert "recipients-0000.parquet is missing" in audited.stdout
    assert "body.txt.j2 was changed" in audited.stdout


def test_a_damaged_run_json_stops_a_resume_and_nothing_is_begun_again(world: World):
    world.write_people(30)
    world.fault("pause_account", after=10)
    world.launch()
    world.change_sandbox(sending_enabled=True)
    manifest = world.run_folder / "run.json"
    manifest.write_text(manifest.read_text()[:-20])
    resumed = world.launch()
    assert resumed.code == 65
    assert "run.json" in resumed.stderr
    assert len(world.accepted()) == 10


def test_workspace_made_by_init_runs_in_the_sandbox(world: World, tmp_path: Path):
    folder = tmp_path / "new"
    made = world.run("init", str(folder))
    assert made.code == 0
    assert f"next: python -m engine launch {folder}/campaigns/welcome --sandbox" in made.stdout
    for campaign in ("welcome", "service-notice"):
        launched = world.run("launch", str(folder / "campaigns" / campaign), "--sandbox", "--json")
        assert launched.code == 0
        assert launched.json["sent"] == launched.json["accepted"] > 300
    assert world.accepted() == []  # they went to the sandbox of their own workspace
    assert world.run("init", str(folder)).code == 64


def test_sample_campaign_accounts_for_every_row_of_its_audience(tmp_path: Path):
    command = [sys.executable, "-m", "engine", "launch", "welcome", "--sandbox", "--workspace", str(ROOT)]
    done = subprocess.run(
        [*command, "--store", str(tmp_path), "--key", "test", "--json"], check=True, capture_output=True, text=True
    )
    told = json.loads(done.stdout)
    assert told["balanced"] is True
    assert told["rows_read"] == told["accepted"] + sum(told["excluded"].values())
    assert told["sent"] == told["accepted"]
    assert set(told["excluded"]) >= {"invalid_address", "missing_address", "duplicate", "suppressed"}
    outcomes = pl.read_parquet(Path(told["store"]) / "outcomes" / "lease-*.parquet")
    assert outcomes.height == told["accepted"]
    assert outcomes["row"].n_unique() == told["accepted"]


def test_sandbox_serves_an_inbox_and_says_how_to_use_it(world: World):
    world.write_people(2)
    world.launch("--sandbox")
    process = world.start("sandbox", "--port", "0", "--json")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    with urllib.request.urlopen(told["inbox"], timeout=10) as page:  # noqa: S310 - loopback
        html = page.read().decode()
    assert "person0@example.com" in html
    assert "Hello Name 0" in html
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(told["url"] + "/", timeout=10)  # noqa: S310 - loopback
    refused.value.close()
    launched = world.run("launch", "hello", "--key", "via-environment", **told["environment"])
    assert launched.code == 0
    process.terminate()
    assert finish(process).code == 0
    assert world.accepted() == []


def test_the_sandbox_keeps_the_credentials_that_it_is_given(world: World):
    world.settings |= {"MAILRUN_SANDBOX_SECRET": "a-secret", "MAILRUN_SANDBOX_TOKEN": "0123456789abcdef"}
    process = world.start("sandbox", "--port", "0", "--access-key", "AKIDMINE", "--json")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    environment = told["environment"]
    assert (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]) == ("AKIDMINE", "a-secret")
    assert told["inbox"] == f"{told['url']}/0123456789abcdef/"
    process.terminate()
    assert finish(process).code == 0
    refused = world.run("sandbox", "--port", "0", "--json", MAILRUN_SANDBOX_TOKEN="short")
    assert (refused.code, refused.json["error"]["what"]) == (78, "the sandbox's token is invalid")


def test_every_outcome_of_a_sandbox_run_can_be_shown_in_words(world: World):
    world.write_people(30)
    world.fault("reject", match="person3@")
    world.fault("drop_after", match="person5@")
    launched = world.run("launch", "hello", "--key", "test")
    assert launched.code == 3
    for line in (f"{'  → sent':<30}{28:>16}", "refused", "in doubt", "balanced: 30 read"):
        assert line in launched.stdout
    check_invariants(world, in_doubt_at_most=1)
    assert Outcome.IN_DOUBT.replace("_", " ") in launched.stdout


def test_embedded_sandbox_is_reached_without_the_proxy(world: World):
    world.write_people(20)
    nowhere: Any = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    launched = world.run("launch", "hello", "--key", "test", "--sandbox", "--json", **nowhere)
    assert (launched.code, launched.json["sent"]) == (0, 20), launched.stderr
    assert "proxy" not in launched.stderr
    pulled = world.run("events", "pull", "--sandbox", "--json", **nowhere)
    assert pulled.code == 0, pulled.stderr
    refused = world.run("launch", "hello", "--key", "other", "--json", **nowhere)
    assert refused.code == 69
    assert "proxy http://127.0.0.1:9" in refused.stdout + refused.stderr
    assert "NO_PROXY" in refused.stdout + refused.stderr
