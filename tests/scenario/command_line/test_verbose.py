"""What takes time is named: every long command reports its steps with -v."""

import json

from support.world import RUN, Finished, World


def list_steps(finished: Finished) -> set[str]:
    assert finished.code == 0, finished.stderr
    logged = [json.loads(line) for line in finished.stderr.splitlines()]
    assert logged[0]["event"] == "workspace.open"
    assert logged[-1]["event"] == "command.end"
    return {line["step"] for line in logged if line["event"] == "step.end"}


def test_verbose_names_the_steps_of_every_long_command(world: World):
    world.write_people(50)
    world.write("optouts.csv", "email\nnobody@example.com\n")
    planning = {"planning", "reading the audience", "writing the plan", "hashing the plan"}
    assert list_steps(world.run("plan", "hello", "-v")) >= planning
    assert list_steps(world.run("preview", "hello", "-v")) >= planning | {"rendering", "writing samples"}
    launched = list_steps(world.launch("-v"))
    assert launched >= planning | {"checking the content", "freezing the run", "sending"}
    assert "auditing" in list_steps(world.run("audit", RUN, "-v"))
    assert "importing suppressions" in list_steps(world.run("suppress", "import", "optouts.csv", "-v"))
    world.write("events.json", "[]")
    assert "importing events" in list_steps(world.run("events", "import", "events.json", "-v"))
