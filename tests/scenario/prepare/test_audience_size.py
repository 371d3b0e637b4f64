"""A launch to too few people, or to many more or fewer than last time, is refused and leaves its key free."""

from support.invariants import check_invariants
from support.world import CAMPAIGN, World

from engine.ledger.journal import Outcome


def configure(world: World, line: str) -> None:
    world.write("campaigns/hello/campaign.toml", CAMPAIGN.replace("[audience]\n", f"[audience]\n{line}\n"))


def test_empty_audience_is_refused_everywhere_and_keeps_the_key(world: World):
    world.write("audiences/people.csv", "email,first_name\nbroken,B\n")
    refused = world.launch()
    assert refused.code == 65
    assert "no recipients (1 rows were read, excluded: invalid_address 1)" in refused.stderr
    assert "campaign.toml, [audience] min_recipients" in refused.stderr
    assert "set min_recipients = 0" in refused.stderr
    for command in ("plan", "preview", "check"):
        told = world.run(command, "hello", "--json")
        assert told.code == 65
        assert [finding["code"] for finding in told.json["findings"]] == ["audience_too_small"]
    assert world.run("plan", "hello").code == 65
    world.write_people(3)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 3}


def test_empty_audience_is_a_finished_run_when_the_campaign_allows_it(world: World):
    configure(world, "min_recipients = 0")
    world.write_people(0)
    empty = world.launch()
    assert empty.code == 0
    assert (empty.json["state"], empty.json["rows_read"], empty.json["accepted"]) == ("finished", 0, 0)
    again = world.run("launch", "hello", "--key", "again")
    assert (again.code, "there are no recipients" in again.stdout) == (0, True)
    assert world.accepted() == []


def test_campaign_sets_its_smallest_audience_and_a_limit_lowers_it(world: World):
    configure(world, "min_recipients = 10")
    world.write_people(9)
    refused = world.launch()
    assert (refused.code, "9 recipients, fewer than 10" in refused.stderr) == (65, True)
    assert world.run("launch", "hello", "--key", "trial", "--limit", "3").code == 0
    world.write_people(10)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 10}


def test_change_of_size_beyond_what_the_campaign_allows_is_refused(world: World):
    configure(world, 'max_change = "30%"')
    world.write_people(20)
    assert world.run("launch", "hello", "--key", "first").code == 0
    assert world.run("launch", "hello", "--key", "trial", "--limit", "3").code == 0  # no run to compare with
    for people in (13, 27):
        world.write_people(people)
        refused = world.launch()
        assert refused.code == 65
        assert f"{people} recipients and hello/first had 20" in refused.stderr
        assert "at most 30% is allowed" in refused.stderr
    assert world.run("plan", "hello", "--json").json["findings"][0]["code"] == "audience_changed"
    world.write_people(26)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 26}
