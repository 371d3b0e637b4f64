"""The CloudFormation template: without findings of cfn-lint, and the same state as an apply."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.aws import PLACE, SET, TestAccount
from support.deployed_templates import deploy
from support.setups import SETUPS

from engine.account.setup.cloudformation import PLACE as ANYWHERE
from engine.account.setup.cloudformation import write_template
from engine.account.setup.receipt_rules import ActiveReceiptRuleSet
from engine.account.setup.resource import Action, Place, Resource
from engine.account.setup.sending.configuration_set import ConfigurationSetResource
from engine.account.setup.sending.identity import IdentityResource
from engine.account.setup.sending.mail_from import MailFromResource
from engine.account.setup.wanted import TlsPolicy, WantedState
from engine.account.setup.whole.composition import list_resources


def make(names: tuple[str, ...], place: Place = ANYWHERE) -> list[Resource]:
    """Make a whole set-up: an identity with its MAIL FROM domain and configuration set, too."""
    wanted = WantedState(
        domain="acme.example", mail_from="bounce.acme.example", configuration_set=SET, pool="news",
        tls=TlsPolicy.REQUIRE, tracking_domain="links.acme.example",
    )  # fmt: skip
    return [
        *list_resources(wanted, place, Path("unused")),
        *(resource for name in names for resource in SETUPS[name](place)),
    ]


CHOICES = (("sqs", "inbound"), ("eventbridge",), ("firehose", "inbound"))


@pytest.fixture(params=CHOICES, ids="-".join)
def names(request: pytest.FixtureRequest) -> tuple[str, ...]:
    chosen: tuple[str, ...] = request.param
    return chosen


def test_templates_have_no_findings_of_cfn_lint(tmp_path: Path):
    """In one process: it reads the schemas of every resource first."""
    files = [tmp_path / f"{'-'.join(names)}.json" for names in CHOICES]
    for file, names in zip(files, CHOICES, strict=True):
        file.write_text(write_template(make(names)))
    program = str(Path(sys.executable).with_name("cfn-lint"))
    command = [program, "--regions", "eu-west-1", "us-east-1", "--", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, "")


async def test_template_makes_what_apply_makes(account: TestAccount, names: tuple[str, ...]):
    """After the stack, a plan finds nothing to do but to activate the rule set, which CloudFormation cannot."""
    deploy(account, write_template(make(names)))
    left = []
    for resource in make(names, PLACE):
        if isinstance(resource, ConfigurationSetResource | IdentityResource | MailFromResource):
            continue  # moto makes nothing of SES for a template
        step = await resource.compare(account.services)
        if step.action is not Action.KEEP and not isinstance(resource, ActiveReceiptRuleSet):
            left.append(step)
    assert left == []


def test_template_is_the_same_every_time(names: tuple[str, ...]):
    assert write_template(make(names)) == write_template(make(names))


def test_template_names_neither_account_nor_region(names: tuple[str, ...]):
    """One file serves several accounts and regions."""
    text = write_template(make(names))
    assert "123456789012" not in text
    assert "eu-west-1" not in text


def test_template_of_a_known_place_needs_no_substitution(names: tuple[str, ...]):
    assert "Fn::Sub" not in json.dumps(json.loads(write_template(make(names, PLACE)))["Resources"])


def test_everything_that_a_part_depends_on_is_in_the_template(names: tuple[str, ...]):
    parts = json.loads(write_template(make(names)))["Resources"]
    assert {name for part in parts.values() for name in part.get("DependsOn", ())} <= parts.keys()


def test_outputs_name_queues_and_what_is_left_to_do():
    outputs = json.loads(write_template(make(("sqs", "inbound"))))["Outputs"]
    assert outputs["MailrunEventsQueueUrl"]["Value"] == {"Ref": "MailrunEventsQueue"}
    assert outputs["MailrunInboundReceiptRuleMx"]["Value"] == {
        "Fn::Sub": "reply.acme.example MX 10 inbound-smtp.${AWS::Region}.amazonaws.com"
    }
    assert outputs["MailrunInboundReceiptRuleActivation"]["Value"].startswith("aws ses set-active-receipt-rule-set")


def test_outputs_are_the_dns_records_of_the_identity():
    outputs = json.loads(write_template(make(())))["Outputs"]
    values = [output["Value"] for output in outputs.values()]
    assert {"Fn::Sub": "${EmailIdentity.DkimDNSTokenName1} CNAME ${EmailIdentity.DkimDNSTokenValue1}"} in values
    assert {"Fn::Sub": "bounce.acme.example MX 10 feedback-smtp.${AWS::Region}.amazonses.com"} in values
    assert 'bounce.acme.example TXT "v=spf1 include:amazonses.com ~all"' in values
    assert len(values) == 5


def test_event_destination_comes_after_its_configuration_set():
    parts = json.loads(write_template(make(("sqs",))))["Resources"]
    destination = parts["MailrunEventsEventDestination"]["Properties"]
    assert destination["ConfigurationSetName"] == {"Ref": "ConfigurationSet"}


def test_bucket_with_mail_outlives_its_stack():
    parts = json.loads(write_template(make(("inbound",))))["Resources"]
    assert parts["MailrunInboundBucket"]["DeletionPolicy"] == "Retain"
