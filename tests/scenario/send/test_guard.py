"""Events during a run: they pause a run that does harm, and suppress recipients that were not sent to yet."""

from pathlib import Path

import polars as pl
import pytest
from support.invariants import check_invariants
from support.pulled import add_to_campaign, list_turns, open_feedback_world, pulling
from support.world import RUN, finish, wait_until

from engine.ledger.journal import Outcome

BAD_AUDIENCE = {"default": {"bounces": {"Permanent/General": 0.3}}}


def test_bad_audience_is_paused_by_bounces_until_a_person_resumes(tmp_path: Path, ledger_url: str):
    with open_feedback_world(tmp_path, BAD_AUDIENCE, ledger=ledger_url, max_send_rate=50.0) as world:
        world.write_people(3000)
        with pulling(world):
            paused = world.launch()
        assert (paused.code, paused.json["state"], paused.json["paused_by"]) == (75, "paused", "guard")
        assert "bounced: " in paused.json["reason"]
        assert "[guard] max_bounce_rate is 5.0%" in paused.json["reason"]
        assert "mailrun resume RUN" in paused.json["reason"]
        assert paused.json["sent"] < 2000
        counts = check_invariants(world)
        assert counts[Outcome.SENT] == paused.json["sent"] == len(world.accepted())
        told = world.run("status", RUN, "--json").json
        assert told["guard"][0]["level"] == "pause"
        assert (told["guard"][0]["rate"], told["guard"][0]["scope"]) == ("bounce", "the run")
        again = world.launch()  # over the same evidence
        assert (again.code, again.json["sent"]) == (75, paused.json["sent"])
        shown = world.run("launch", "hello", "--key", "test")
        assert f"resume {RUN}" in shown.stdout
        assert world.run("resume", RUN, "--json").json["state"] == "sending"
        (decision,) = world.run("status", RUN, "--json").json["decisions"]
        assert decision["what"] == "resume"
        assert decision["seen"]["runs"][RUN]["bounced"] >= 10
        assert world.run("status", RUN, "--json").json["guard"] == []
        world.change_sandbox(max_send_rate=10_000)
        finished = world.launch()  # events are not pulled: there is no new evidence
        assert (finished.code, finished.json["sent"]) == (0, 3000)
        check_invariants(world)


def test_complaints_stop_all_workers_of_a_run(tmp_path: Path):
    behaviour = {"default": {"complaints": {"abuse": 0.2}}}
    with open_feedback_world(tmp_path, behaviour, max_send_rate=50.0) as world:
        world.write_people(3000)
        with pulling(world):
            paused = world.launch("--workers", "2")
        assert (paused.code, paused.json["paused_by"], paused.json["workers"]) == (75, "guard", 0)
        assert "[guard] max_complaint_rate is 0.10%" in paused.json["reason"]
        assert paused.json["sent"] < 1500
        assert check_invariants(world)[Outcome.SENT] == paused.json["sent"]
        assert world.run("work", RUN, "--json").code == 75  # another worker does not go on either
        assert len(world.accepted()) == paused.json["sent"]


def test_new_run_is_paused_by_the_accounts_history_before_it_sends(tmp_path: Path):
    with open_feedback_world(tmp_path, BAD_AUDIENCE) as world:
        world.write_people(300)
        assert world.launch().code == 0
        world.run("events", "pull", "--queue", world.server.queue_url)
        world.write_people(200, domain="else.example")
        before = len(world.accepted())
        paused = world.run("launch", "hello", "--key", "next", "--json")
        assert (paused.code, paused.json["paused_by"], paused.json["sent"]) == (75, "guard", 0)
        assert "messages (the account) bounced" in paused.json["reason"]
        assert len(world.accepted()) == before
        world.run("resume", "hello/next")
        assert world.run("launch", "hello", "--key", "next", "--json").code == 0


def test_an_account_that_comes_under_review_while_a_run_sends_pauses_it(tmp_path: Path):
    with open_feedback_world(tmp_path, {}, max_send_rate=5.0) as world:
        world.write_people(400)
        world.constants = {"engine.run.send.rates.QUOTA_REFRESH_SECONDS": 1.0}
        process = world.start_launch()
        world.wait_for_accepted(5, process)
        world.change_sandbox(enforcement_status="PROBATION")
        paused = finish(process)
        assert (paused.code, paused.json["paused_by"]) == (75, "guard")
        assert "its EnforcementStatus is PROBATION" in paused.json["reason"]
        world.run("resume", RUN)
        world.change_sandbox(max_send_rate=10_000)
        finished = world.launch()  # it is under review still, and a person has resumed it
        assert (finished.code, finished.json["sent"]) == (0, 400)
        assert "PROBATION" in finished.stderr
        check_invariants(world)


def test_recipient_suppressed_before_their_turn_is_not_mailed(tmp_path: Path, ledger_url: str):
    with open_feedback_world(tmp_path, {}, ledger=ledger_url, max_send_rate=20.0) as world:
        world.write_people(500)
        add_to_campaign(world, '\n[suppression]\ntopic = "news"\n[guard]\nmax_failure_rate = 0.0\n')
        process = world.start_launch()
        world.wait_for_accepted(20, process)
        late = [address for _, address in list_turns(world)[-15:]]
        assert world.run("suppress", "add", *late[:12]).code == 0
        world.run("suppress", "add", late[12], "--topic", "news", "--reason", "unsubscribe")  # of a transactional run
        world.run("suppress", "add", late[13], "--topic", "other", "--reason", "unsubscribe")
        assert world.accepted_count() < 470, "their turn must not have come"
        world.change_sandbox(max_send_rate=10_000)
        process.communicate(timeout=120)
        assert process.returncode == 3
        assert check_invariants(world) == {Outcome.SENT: 488, Outcome.FAILED: 12}
        outcomes = pl.read_parquet(world.run_folder / "outcomes").filter(pl.col("outcome") == "failed")
        assert set(outcomes["address"]) == set(late[:12])
        assert set(outcomes["error"]) == {"suppressed during the run: manual"}
        assert not set(late[:12]) & {message["to"][0] for message in world.accepted()}
        assert world.run("status", RUN, "--json").json["state"] == "finished"  # and no guard counted them


@pytest.mark.parametrize("workers", [2])
def test_several_workers_apply_the_list_alike(tmp_path: Path, workers: int):
    with open_feedback_world(tmp_path, {}, max_send_rate=20.0) as world:
        world.write_people(300)
        process = world.start_launch("--workers", str(workers))
        world.wait_for_accepted(10, process)
        late = [address for _, address in list_turns(world)[-40:]]
        assert world.run("suppress", "add", *late).code == 0
        wait_until(lambda: process.poll() is not None)
        process.communicate()
        assert process.returncode == 3
        assert check_invariants(world) == {Outcome.SENT: 260, Outcome.FAILED: 40}
