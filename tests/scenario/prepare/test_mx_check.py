"""`[audience.checks] mx` asks the name servers of `[dns] nameservers`, and this machine's only where none are named."""

from support.dns import Zone, serve_dns
from support.world import CAMPAIGN, World

CHECKED = CAMPAIGN + '\n[audience.checks]\nmx = "exclude"\n'


def test_mx_check_asks_the_name_servers_of_the_settings(world: World) -> None:
    world.write("campaigns/hello/campaign.toml", CHECKED)
    world.write("audiences/people.csv", "email,first_name\nann@mail.example,Ann\nbob@null.example,B\neve@x.example,E\n")
    zone = Zone({("mail.example", "MX"): "10 mx.mail.example", ("null.example", "MX"): "0 ."})
    zone.fail("x.example", "SERVFAIL")
    with serve_dns(zone) as server:
        planned = world.run("plan", "hello", "--json", MAILRUN_DNS_NAMESERVERS=server)
    assert planned.code == 0, planned.stderr
    assert (planned.json["accepted"], planned.json["excluded"]) == (2, {"invalid_address": 1})
    assert planned.json["notes"] == ["not resolved in DNS, and treated as valid: 1 domain"]
    assert {name for name, _, _ in zone.asked} == {"mail.example", "null.example", "x.example"}
