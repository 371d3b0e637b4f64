"""The tutorials as a reader follows them: their commands in order, with the files that they show."""

import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
from support.dns import Zone, serve_dns
from support.invariants import count_received
from support.pages import list_blocks, put_mailrun_on_path
from support.paths import DOCS
from support.sending_domain import make_key
from support.sqs import run_moto_sqs
from support.world import World, open_world

APPEND = "cat >> {} <<'END'\n{}END\n"
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"}
WITHOUT_LINK = "sed -i '/^url = /d' campaigns/welcome/campaign.toml\n"  # as the page says for a first trial
CHECK, CHECK_FAILS = "check campaigns/welcome\n", "check campaigns/welcome || test $? = 65\n"
RUN_PYTHON = "cat > script.py <<'END'\n{}END\npython script.py\n"


def make_script(name: str, *, without: tuple[str, ...]) -> str:
    """Return the blocks of a tutorial as one shell script, without the lines that begin with a text of `without`."""
    parts = [make_step(kind, text) for kind, text in list_blocks(DOCS / "tutorials" / name)]
    return "\n".join(line for line in "".join(parts).splitlines() if not line.startswith(without))


def make_step(kind: str, text: str) -> str:
    """Return what a reader does with a block: lines of TOML go into the file that a comment names, or the campaign."""
    match kind:
        case "toml":
            return APPEND.format(
                "mailrun.toml" if "# mailrun.toml" in text else "campaigns/welcome/campaign.toml", text
            )
        case "python":
            return RUN_PYTHON.format(text)
    return text


def publish(zone: Zone, route53: Any) -> None:
    """Answer DNS questions from what a hosted zone of Route 53 has, and of SES's side of DKIM and SPF."""
    (hosted,) = route53.list_hosted_zones()["HostedZones"]
    for one in route53.list_resource_record_sets(HostedZoneId=hosted["Id"])["ResourceRecordSets"]:
        name, kind = one["Name"].removesuffix("."), one["Type"]
        if kind in ("CNAME", "MX", "TXT"):
            zone.add(name, kind, *(record["Value"].strip('"').removesuffix(".") for record in one["ResourceRecords"]))
        if kind == "CNAME":
            zone.add(one["ResourceRecords"][0]["Value"].removesuffix("."), "TXT", f"p={make_key()}")
    zone.add("amazonses.com", "TXT", "v=spf1 ip4:199.255.192.0/22 -all")


def follow(world: World, script: str, folder: Path) -> str:
    path = put_mailrun_on_path(folder / "tools")
    shown = subprocess.run(
        ["/bin/bash", "-eu", "-c", script],
        cwd=folder,
        env=world.environment() | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout[-4000:] + shown.stderr
    return shown.stdout


def test_first_campaign_is_sent_and_proved(world: World, tmp_path: Path):
    """At a higher rate than on the page, without stopping the run; neither the inbox nor the dashboard is opened."""
    script = make_script("first-campaign.md", without=("mailrun sandbox", "mailrun dashboard")).replace(
        "max_rate = 50 ", "max_rate = 5000 "
    )
    shown = follow(world, script, tmp_path)
    assert "proved" in shown
    assert "invalid" in shown
    assert list((tmp_path / "news" / ".mailrun" / "runs" / "welcome" / "second" / "outcomes").glob("*.parquet"))


def test_bare_account_sends_its_first_ses_campaign(tmp_path: Path):
    """SES is the sandbox here; moto has the other services, among them the hosted zone, which a name server serves."""
    zone = Zone({("acme.example", "MX"): "10 mail.acme.example"})
    with (
        open_world(tmp_path, identities=(), configuration_sets=()) as world,
        run_moto_sqs(tmp_path) as moto,
        serve_dns(zone) as server,
        closing(boto3.client("route53", endpoint_url=moto, region_name="us-east-1", **KEYS)) as route53,
    ):
        route53.create_hosted_zone(Name="acme.example.", CallerReference="acme")
        world.settings |= {"AWS_ENDPOINT_URL": moto, "MAILRUN_DNS_NAMESERVERS": server}
        before, verify, after = (
            make_script("first-ses-campaign.md", without=("export AWS_",))
            .replace("eu-west-1", world.server.region)
            .partition("mailrun ses verify acme.example\n")
        )
        shown = follow(world, before, tmp_path)
        assert "What remains:" in shown
        publish(zone, route53)
        shown = follow(world, f"cd news\n{WITHOUT_LINK}{verify}{after.replace(CHECK, CHECK_FAILS)}", tmp_path)
        assert "check CAMPAIGN" in shown
        assert [line.split()[1] for line in shown.splitlines() if "ERROR" in line] == ["one_click_headers:"]
        assert "proved" in shown
        assert set(count_received(world, "welcome/first").values()) == {1}
