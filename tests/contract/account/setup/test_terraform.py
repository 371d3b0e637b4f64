"""The Terraform configuration: arguments that the provider has, references that exist."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import support
from support.aws import PLACE, SET
from support.setups import SETUPS

from engine.account.setup.resource import Place, Resource
from engine.account.setup.terraform import PLACE as ANYWHERE
from engine.account.setup.terraform import write_configuration
from engine.account.setup.wanted import TlsPolicy, WantedState
from engine.account.setup.whole.composition import list_resources

ARGUMENTS = json.loads((Path(support.__file__).parent / "terraform_arguments.json").read_bytes())["resources"]
_META = {"depends_on"}
_REFERENCE = re.compile(r"\$\{(?:data\.)?(aws_\w+)\.(\w+)")


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


@pytest.fixture(params=[("sqs", "inbound"), ("eventbridge",), ("firehose", "inbound")], ids="-".join)
def written(request: pytest.FixtureRequest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(write_configuration(make(request.param)))
    return document


def list_errors(block: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}.{name} is unknown" for name in block.keys() - _META - set(schema["arguments"]))
    yield from (f"{path}.{name} is missing" for name in set(schema.get("required", ())) - block.keys())
    for name, inner in schema.get("blocks", {}).items():
        if name in block:
            yield from list_errors(block[name], inner, f"{path}.{name}")


def test_every_argument_is_one_of_the_provider(written: dict[str, Any]):
    errors = [
        error
        for kind, blocks in written["resource"].items()
        for label, block in blocks.items()
        for error in list_errors(block, ARGUMENTS[kind], f"{kind}.{label}")
    ]
    assert errors == []


def test_arguments_that_the_provider_does_not_have_are_found():
    """So that the test above can fail."""
    schema = ARGUMENTS["aws_ses_receipt_rule"]
    block = {"name": "n", "s3_action": {"bucket": "b"}, "depends_on": []}
    assert set(list_errors(block, schema, "r")) == {
        "r.rule_set_name is missing", "r.s3_action.bucket is unknown", "r.s3_action.bucket_name is missing",
        "r.s3_action.position is missing",
    }  # fmt: skip


def test_every_reference_exists(written: dict[str, Any]):
    known = {f"{kind}.{label}" for kind, blocks in written["resource"].items() for label in blocks}
    known |= {f"{kind}.{label}" for kind, blocks in written["data"].items() for label in blocks}
    named = {".".join(found) for found in _REFERENCE.findall(json.dumps(written))}
    named |= {
        one
        for blocks in written["resource"].values()
        for block in blocks.values()
        for one in block.get("depends_on", ())
    }
    assert named
    assert named <= known


def test_policies_are_those_of_the_template_of_a_known_place():
    blocks = json.loads(write_configuration(make(("sqs", "inbound"), PLACE)))["resource"]
    policy = json.loads(blocks["aws_sqs_queue_policy"]["mailrun_events"]["policy"])
    queue = SETUPS["sqs"](PLACE)[1].to_cloudformation()["MailrunEventsQueuePolicy"]
    assert policy == queue["Properties"]["PolicyDocument"]


def test_file_names_neither_account_nor_region(written: dict[str, Any]):
    text = json.dumps(written)
    assert "123456789012" not in text
    assert "eu-west-1" not in text


def test_file_is_the_same_every_time():
    assert write_configuration(make(("sqs",))) == write_configuration(make(("sqs",)))


def test_active_rule_set_is_left_alone(written: dict[str, Any]):
    """Terraform would replace the one that is active, whose mail would stop."""
    assert "aws_ses_active_receipt_rule_set" not in written["resource"]
