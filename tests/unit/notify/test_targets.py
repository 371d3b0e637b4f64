"""Who is notified: the targets of mailrun.toml and of a campaign, and mistakes in them."""

from typing import Any

import pytest
from pydantic import ValidationError
from support.campaigns import parse_toml, refuse_toml

from engine.notify.desk import LONGEST_ASKED_SECONDS, LONGEST_WAIT_SECONDS, find_wait
from engine.notify.targets import find_targets
from engine.notify_targets.sections import NotifySettings, read_spec

HOOK = "https://hooks.acme.example/x"
OURS = NotifySettings.model_validate(
    {
        "targets": {
            "ops": {"kind": "slack", "url": HOOK},
            "boss": {"kind": "email", "from": "a@b.example", "to": "c@b.example"},
        },
        "link": "https://dash.acme.example/{campaign}",
    }
)


def test_campaign_adds_targets_and_replaces_those_of_the_same_name():
    text = '[notify]\nstalled_after = "2h"\n[notify.targets.ops]\nkind = "json"\n'
    text += 'url = "https://x.example/y"\non = ["guard"]\n'
    spec = parse_toml(text).notify
    assert spec is not None
    assert read_spec(spec.dump()) == spec
    found = find_targets(OURS, spec.dump())
    assert set(found.targets) == {"ops", "boss"}
    assert (found.targets["ops"].kind, found.targets["ops"].on) == ("json", ("guard",))
    assert (found.link, found.stalled_seconds) == (OURS.link, 7200.0)
    alone = parse_toml(
        text.replace("[notify]\n", '[notify]\ninherit = false\nlink = "https://own.example/{run}"\n')
    ).notify
    assert alone is not None
    found = find_targets(OURS, alone.dump())
    assert (set(found.targets), found.link) == ({"ops"}, "https://own.example/{run}")
    assert set(find_targets(OURS, None).targets) == {"ops", "boss"}


def test_target_is_notified_of_all_but_resumptions_by_default():
    assert OURS.targets["ops"].on == ("started", "paused", "guard", "finished", "stalled")


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ('kind = "slack"\nurl = "https://hooks.slack.com/services/T/B/x"', "MAILRUN_NOTIFY_URLS"),
        ('kind = "slak"', 'write "slack", "teams", "json", "email" or "sns"'),
        ('kind = "email"\nfrom = "a@b.example"', 'has no to with kind = "email"'),
        ('kind = "email"\nfrom = "a@b.example"\nto = ["nobody"]', "write it as user@example.com"),
        ('kind = "sns"\ntopic = "mailrun"', "is not the ARN of an SNS topic"),
        ('kind = "sns"', "has no topic"),
        ('kind = "json"\nurl = "ftp://x.example"', "is not the URL of a webhook"),
        ('kind = "json"\nsecret = "x"', "unknown key secret"),
        ('kind = "teams"\nsecret_file = "x"', "remove secret_file"),
        ('kind = "json"\non = []', "has an empty list on"),
        ('kind = "json"\non = ["stated"]', 'write "started", "resumed"'),
        ('kind = "json"\nurl = "https://x.example"\nurl_file = "x"', "has both url and url_file"),
    ],
)
def test_campaigns_mistake_is_reported_with_its_line(target: str, complaint: str):
    refused = refuse_toml(f"[notify.targets.ops]\n{target}\n")
    assert complaint in refused
    assert "campaign.toml" in refused or "[notify" in refused


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"link": "dash.acme.example"}, "is not a link"),
        ({"link": "https://dash.acme.example/{date}"}, "is not a link"),
        ({"stalled_after": "soon"}, "is not a duration"),
        ({"targets": "[]"}, "is not a JSON object"),
        ({"targets": {"o s": {"kind": "json"}}}, "is not a name for a target"),
        ({"targets": {"ops": {"kind": "teams", "url": "http://teams.example/x"}}}, "is not encrypted"),
        ({"secrets": {"ops": "short"}}, "at least 16 characters"),
    ],
)
def test_wrong_setting_is_refused(given: dict[str, Any], complaint: str):
    with pytest.raises(ValidationError, match=complaint):
        NotifySettings.model_validate(given)


def test_waits_grow_to_a_limit_and_follow_retry_after():
    waits = [find_wait(attempts, None, 0.0) for attempts in range(1, 12)]
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert waits[-1] == find_wait(10**6, None, 0.0) == LONGEST_WAIT_SECONDS
    assert find_wait(1, 90.0, 0.5) == 90.0
    assert find_wait(1, 1e9, 0.0) == LONGEST_ASKED_SECONDS
