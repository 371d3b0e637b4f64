"""What `mailrun ses setup` says at its end."""

import tomllib

from msgspec.structs import replace

from engine.account.setup.dns.dns_records import DnsRecord
from engine.account.setup.resource import Action, SetupStep
from engine.account.setup.whole.overall import SetupResult
from engine.cli.commands.ses.setup_output import describe_result, to_json

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/mailrun-events"
DONE = SetupResult(
    domain="acme.example",
    region="eu-west-1",
    applied=True,
    steps=(SetupStep(kind="identity", name="acme.example", action=Action.CREATE),),
    records=(DnsRecord(name="bounce.acme.example", type="TXT", value="v=spf1 -all", purpose="SPF"),),
    has_dkim=True,
    configuration_set="marketing",
    settings={"events": {"queue": QUEUE}},
    production=False,
)


def describe(result: SetupResult) -> str:
    return "\n".join(describe_result(result))


def list_tasks(result: SetupResult) -> list[str]:
    """Return the numbered tasks, with the lines below each."""
    parts = describe(result).partition("What remains:\n")[2].split("\n  ")
    tasks: list[str] = []
    for line in ("\n  " + part for part in parts):
        if line.strip()[:1].isdigit():
            tasks.append("")
        tasks[-1] += line
    return tasks


def read_toml(task: str) -> dict[str, object]:
    return tomllib.loads(task.partition(":\n")[2])


def test_end_lists_records_access_settings_and_the_next_command():
    records, access, settings, campaign, verify = list_tasks(DONE)
    assert "bounce.acme.example TXT" in records
    assert "production access" in access
    assert read_toml(settings) == {"events": {"queue": QUEUE}}
    assert read_toml(campaign) == {
        "from": "News <news@acme.example>",
        "delivery": {"configuration_set": "marketing"},
    }
    assert verify.endswith("mailrun ses verify acme.example")


def test_end_leaves_out_what_is_done_or_unknown():
    for production in (True, None):
        result = replace(DONE, settings={}, production=production, in_route53=())
        first, last = list_tasks(result)
        assert "campaign.toml" in first
        assert "mailrun ses verify" in last


def test_plan_asks_for_apply_and_lists_no_tasks():
    shown = describe(replace(DONE, applied=False))
    assert "--apply" in shown
    assert "What remains" not in shown


def test_document_has_the_settings_and_the_access():
    document = to_json(DONE)
    assert document["mailrun_toml"] == {"events": {"queue": QUEUE}}
    assert document["campaign_toml"] == {"delivery": {"configuration_set": "marketing"}}
    assert document["production_access"] is False
