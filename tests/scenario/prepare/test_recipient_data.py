"""What recipients read of their own data: fields before methods, nothing of Python, and zones as people write them."""

import json
from collections.abc import Sequence

from support.invariants import check_invariants
from support.world import CAMPAIGN, World

from engine.ledger.journal import Outcome

ORDERS = [
    {"email": f"p{n}@example.com", "name": f"ann {n}", "order": {"copy": f"{n} prints", "items": None, "note": note}}
    for n, note in enumerate([" ", "gift", "NULL", "N/A"] * 10)
]
BODY = """\
Dear {{ name|title }},
{{ order.copy }}{% if order.items %} of {{ order.items }}{% endif %}{% if order.note %} ({{ order.note }}){% endif %}.
"""
WINDOW = '[window]\nfrom = "00:00"\nto = "23:59"\ntimezone = "column:tz"\n'


def write_zones(world: World, zones: Sequence[str]) -> None:
    rows = "".join(f"p{n}@example.com,Ann,{zone}\n" for n, zone in enumerate(zones))
    world.write("audiences/people.csv", "email,first_name,tz\n" + rows)


def test_recipients_read_their_data_and_nothing_of_python(world: World):
    world.write("audiences/people.ndjson", "".join(f"{json.dumps(row)}\n" for row in ORDERS))
    toml = CAMPAIGN.replace("people.csv", "people.ndjson").replace("{{ first_name }}", "{{ name }}")
    world.write("campaigns/hello/campaign.toml", toml)
    world.write("campaigns/hello/body.txt.j2", BODY.replace("name|title", "name.title"))
    preview = world.run("preview", "hello", "--json")
    assert preview.code == 65
    assert list(preview.json["render_failures"]) == ["body.txt.j2:1: name.title is a function; write name|title"]

    world.write("campaigns/hello/body.txt.j2", BODY)
    preview = world.run("preview", "hello", "--json")
    assert preview.code == 0
    found = {(one["what"], one["messages"]) for one in preview.json["findings"] if one["code"] == "null_text"}
    assert found == {
        (f'order.note has the text "{text}" as its value, which means an empty value in most exports', 10)
        for text in ("NULL", "N/A")
    }
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 40}
    texts = {one["to"][0]: one["text"] for one in world.accepted()}
    assert texts["p0@example.com"] == "Dear Ann 0,\n0 prints.\n"
    assert texts["p1@example.com"] == "Dear Ann 1,\n1 prints (gift).\n"


def test_unknown_zones_are_reported_and_fail_their_recipients_alone(world: World):
    zones = ["Europe/Berlin", "europe/berlin", " Asia/Tokyo ", "W. Europe Standard Time", "America/New York"] * 40
    zones[7] = "UTC+2"
    write_zones(world, zones)
    world.write("campaigns/hello/campaign.toml", CAMPAIGN + WINDOW)
    for command in ("preview", "check"):
        told = world.run(command, "hello", "--json")
        assert told.code == 65
        (finding,) = [one for one in told.json["findings"] if one["severity"] == "error"]
        assert finding["what"] == 'tz has "UTC+2", which is not a time zone'
        assert (finding["messages"], finding["first_row"]) == (1, 8)
    launched = world.launch()
    assert (launched.code, launched.json["sent"], launched.json["failed"]) == (3, 199, 1)
    assert '"first_row": 8' in launched.stderr
    assert check_invariants(world) == {Outcome.SENT: 199, Outcome.FAILED: 1}


def test_launch_with_many_unknown_zones_keeps_its_key(world: World):
    zones = ["Europe/Berlin", "Asia/Tokyo", "UTC+2", "Berlin", "", "CEST time", "+02:00", "local", "x", "UTC", "UTC"]
    world.write("campaigns/hello/campaign.toml", CAMPAIGN + WINDOW)
    write_zones(world, zones)
    refused = world.launch()
    assert refused.code == 65
    what = refused.json["error"]["what"]
    assert what.startswith("7 of 11 recipients would fail, and [guard] max_failure_rate allows 0.02:")
    assert 'tz has "UTC+2", which is not a time zone (1 recipient)' in what
    assert world.run("status", "--json").json == {"runs": []}
    assert world.accepted() == []

    write_zones(world, [zone if "/" in zone else "UTC" for zone in zones])
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 11}


def test_launch_with_links_too_long_for_a_header_keeps_its_key(world: World):
    url = f"https://acme.example/{'u' * 940}/{{{{ token }}}}"
    toml = CAMPAIGN.replace('kind = "transactional"\n', "")
    world.write("campaigns/hello/body.txt.j2", "Dear {{ first_name }}\n\n{{ unsubscribe_url }}\n")
    world.write("campaigns/hello/campaign.toml", f'{toml}\n[unsubscribe]\nurl = "{url}"\n')
    world.write_people(3)
    for command in ("launch", "check"):
        refused = world.run(command, "hello", *(["--key", "test"] if command == "launch" else []), "--json")
        assert refused.code == 78
        assert "the unsubscribe link is longer than the 980 characters that SES accepts" in refused.stderr
    assert world.run("status", "--json").json == {"runs": []}
    world.write("campaigns/hello/campaign.toml", f'{toml}\n[unsubscribe]\nurl = "{url.replace("u" * 940, "u")}"\n')
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 3}


def test_links_that_run_fail_their_recipients_alone_and_are_known_before(world: World):
    link = "https://acme.example/"
    toml = CAMPAIGN.replace('text = "body.txt.j2"', 'html = "body.html.j2"')
    world.write("campaigns/hello/campaign.toml", toml)
    world.write("campaigns/hello/body.html.j2", '<p>Dear {{ first_name }}, <a href="{{ link }}">read</a></p>')
    rows = [f"p{n}@example.com,Ann,{'javascript:other()' if n == 97 else link}\n" for n in range(100)]
    world.write("audiences/people.csv", "email,first_name,link\n" + "".join(rows))
    checked = world.run("check", "hello", "--json")
    assert checked.code == 65
    (finding,) = [one for one in checked.json["findings"] if one["severity"] == "error"]
    assert finding["what"] == "link is a javascript: link, which is not allowed in data"
    assert (finding["messages"], finding["first_row"]) == (1, 98)
    assert finding["where"].endswith("body.html.j2:1")
    launched = world.launch()
    assert (launched.code, launched.json["sent"], launched.json["failed"]) == (3, 99, 1)
    assert check_invariants(world) == {Outcome.SENT: 99, Outcome.FAILED: 1}
