"""An account whose rates, as SES computes them, reach a limit: its runs pause until a person resumes them."""

from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.pulled import add_to_campaign
from support.world import RUN, World, finish, open_world

from engine.ledger.journal import Outcome

EVERY = "engine.run.guard.ses_rates.EVERY_SECONDS"


def watch(world: World) -> None:
    world.settings["AWS_ENDPOINT_URL_CLOUDWATCH"] = world.server.url


def test_an_account_over_a_limit_sends_nothing_until_a_person_resumes(tmp_path: Path):
    with open_world(tmp_path) as world:
        watch(world)
        world.write_people(50)
        world.change_sandbox(complaint_rate=0.002)
        paused = world.launch()
        assert (paused.code, paused.json["state"], paused.json["paused_by"]) == (75, "paused", "guard")
        assert "complaint rate as SES computes it is 0.20%" in paused.json["reason"]
        assert "[guard] max_ses_complaint_rate is 0.10%" in paused.json["reason"]
        assert (paused.json["sent"], world.accepted_count()) == (0, 0)
        assert world.launch().code == 75  # also without another look at the account
        assert world.run("resume", RUN, "--json").json["state"] == "sending"
        decisions = world.run("status", RUN, "--json").json["decisions"]
        assert [(one["what"], one.get("ses_rates")) for one in decisions] == [
            ("pause", {"complaint": 0.002}),
            ("resume", None),
        ]
        finished = world.launch()
        assert (finished.code, finished.json["sent"]) == (0, 50)
        assert "guard.warning" in finished.stderr
        assert check_invariants(world)[Outcome.SENT] == 50
        world.change_sandbox(complaint_rate=0.003)  # it has risen since
        assert world.run("launch", "hello", "--key", "next", "--json").code == 75


def test_a_rate_that_rises_while_a_run_sends_pauses_it(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=20.0) as world:
        watch(world)
        world.constants[EVERY] = 0.5
        world.write_people(1000)
        process = world.start_launch()
        world.wait_for_accepted(5, process)
        world.change_sandbox(bounce_rate=0.07)
        paused = finish(process)
        assert (paused.code, paused.json["paused_by"]) == (75, "guard")
        assert "bounce rate as SES computes it is 7.00%" in paused.json["reason"]
        assert 5 <= paused.json["sent"] < 1000
        assert check_invariants(world)[Outcome.SENT] == paused.json["sent"] == world.accepted_count()
        world.run("resume", RUN)
        world.change_sandbox(max_send_rate=10_000)
        finished = world.launch()
        assert (finished.code, finished.json["sent"]) == (0, 1000)
        check_invariants(world)


@pytest.mark.parametrize("how", ["switched off", "another endpoint", "unreachable"])
def test_a_run_that_has_no_rates_of_ses_sends(tmp_path: Path, how: str):
    with open_world(tmp_path) as world:
        world.write_people(20)
        world.change_sandbox(bounce_rate=0.5)
        if how == "switched off":
            watch(world)
            add_to_campaign(world, "[guard]\nmax_ses_bounce_rate = 1\nmax_ses_complaint_rate = 1\n")
        elif how == "unreachable":
            world.settings["AWS_ENDPOINT_URL_CLOUDWATCH"] = "http://127.0.0.1:9"
        finished = world.launch()
        assert (finished.code, finished.json["sent"]) == (0, 20)
        assert ("guard.ses_rates_unread" in finished.stderr) is (how == "unreachable")
