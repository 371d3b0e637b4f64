"""Clicks name the position of their link, from the template to the events in the store."""

from collections import Counter

import polars as pl
from support.feedback import scan_events
from support.world import CAMPAIGN, RUN, World

from engine.feedback.events.agents import MACHINES
from engine.sandbox.events.readers import choose_links
from engine.store.folder import FolderStore

PEOPLE = [f"person{number}@example.com" for number in range(40)]
LINKS = ["https://acme.example/sale", "https://acme.example/about", "https://acme.example/sale"]


def test_pulled_clicks_have_the_positions_of_the_links(world: World) -> None:
    """Of three links two lead to one page; status tells people from machines, as the stored events do."""
    body = "".join(f'<p><a href="{link}">{{{{ first_name }}}}</a></p>' for link in LINKS)
    world.write("campaigns/hello/body.html.j2", body)
    campaign = CAMPAIGN.replace('text = "body.txt.j2"', 'html = "body.html.j2"')
    world.write("campaigns/hello/campaign.toml", f'{campaign}\n[delivery]\nconfiguration_set = "news"\n')
    world.write("audiences/people.csv", "email,first_name\n" + "".join(f"{one},N\n" for one in PEOPLE))
    world.change_behaviour({"default": {"click": 1}, "shuffle": 30, "duplicates": 0.3})
    world.settings["AWS_ENDPOINT_URL_SQS"] = world.server.url
    assert world.launch().json["sent"] == len(PEOPLE)
    assert all(message["html"].count("ses:tags=") == 3 for message in world.accepted())
    assert all("mailrun-link" not in message["text"] for message in world.accepted())
    pulled = world.run("events", "pull", "--queue", world.server.queue_url, "--json")
    assert (pulled.code, pulled.json["unmatched"]) == (0, {}), pulled.stderr

    events = scan_events(FolderStore(world.folder / ".mailrun")).collect()
    clicks = events.filter(pl.col("kind") == "Click")
    found = Counter(clicks.select("key", "position", "link").iter_rows())
    assert found == Counter((one, at + 1, LINKS[at]) for one in PEOPLE for at in choose_links(one, len(LINKS)))
    assert set(clicks["position"]) == {1, 2, 3}

    status = world.run("status", RUN, "--json").json
    by_people = ~pl.col("agent").is_in(sorted(MACHINES)).fill_null(value=False)
    opens = events.filter(pl.col("kind") == "Open")
    assert (status["opened"], status["clicked"]) == (len(PEOPLE), len(PEOPLE))
    assert status["opened_by_people"] == opens.filter(by_people)["row"].n_unique() < len(PEOPLE)
    assert status["clicked_by_people"] == clicks.filter(by_people)["row"].n_unique() < len(PEOPLE)
    assert "← opened by people" in world.run("status", RUN).stdout
