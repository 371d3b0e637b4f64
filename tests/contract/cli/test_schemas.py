"""The published JSON Schemas accept what mailrun accepts, and refuse what editors should underline."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import ValidationError
from support.paths import CAMPAIGNS, DOCS

from engine.campaign.spec import CampaignSpec
from engine.cli.commands.init import copy_samples
from engine.errors import ConfigurationError
from engine.settings import list_settings, load_settings

TAPLO = Path(sys.executable).with_name("taplo")


def read_schema(name: str) -> Any:
    return json.loads((DOCS / "reference" / name).read_text(encoding="utf-8"))


def accepts(schema: Any, document: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(document))


WHOLE: dict[str, Any] = {
    "kind": "transactional",
    "from": "a@acme.example",
    "subject": "s",
    "content": {"text": "t"},
    "audience": {"source": "a.csv"},
}
FORMS: list[dict[str, Any]] = [
    {},
    {"audience": {"source": ["a.csv", "b.csv"]}},
    {"audience": {"source": "a.csv", "has_header": False, "columns": ["email", "name"]}},
    {"audience": {"source": "a.csv", "columns": {"email": "E-Mail"}}},
    {"audience": {"source": "a.csv", "date_format": "dd.mm.yyyy", "decimal": {"price": ","}}},
    {"delivery": {"feedback_id": "spring"}},
    {"delivery": {"feedback_id": ["spring", "acme"]}},
    {"delivery": {"call": "bulk", "max_rate": 20}},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_schema_accepts_each_form_of_a_key(form: dict[str, Any]) -> None:
    document = WHOLE | form
    CampaignSpec.model_validate(document)
    assert accepts(read_schema("campaign.schema.json"), document)


@pytest.mark.parametrize(
    "wrong", [{"subjekt": "s"}, {"delivery": {"call": "mass"}}, {"audience": {"source": 3}}], ids=str
)
def test_schema_refuses_a_mistake(wrong: dict[str, Any]) -> None:
    assert not accepts(read_schema("campaign.schema.json"), WHOLE | wrong)


def is_valid(read: Callable[[], object]) -> bool:
    try:
        read()
    except (ValidationError, ConfigurationError):
        return False
    return True


NOTIFIED = [  # a part of a file, and whether it is valid
    ('link = "https://acme.example/{run}"', True),
    ('link = "ftp://acme.example"', False),
    ('stalled_after = "90s"', True),
    ('stalled_after = "soon"', False),
    ("stalled_after = 90", False),
    ('[notify.targets.a]\nkind = "slack"', True),
    ('[notify.targets."a b"]\nkind = "slack"', False),
    ('[notify.targets.a]\nkind = "slak"', False),
    ('[notify.targets.a]\nkind = "slack"\non = "guard"', True),
    ('[notify.targets.a]\nkind = "slack"\non = ["guard", "stalled"]', True),
    ('[notify.targets.a]\nkind = "slack"\non = ["gard"]', False),
    ('[notify.targets.a]\nkind = "slack"\non = []', False),
    ('[notify.targets.a]\nkind = "email"\nfrom = "a@b.example"\nto = "c@d.example"', True),
    ('[notify.targets.a]\nkind = "email"\nfrom = "a@b.example"\nto = ["c@d.example"]', True),
    ('[notify.targets.a]\nkind = "email"\nsender = "a@b.example"\nto = ["c@d.example"]', False),
    ('[notify.targets.a]\nkind = "email"\nto = ["c@d.example"]', False),
    ('[notify.targets.a]\nkind = "sns"', False),
    ('[notify.targets.a]\nkind = "sns"\ntopic = "mailrun"', False),
    ('[notify.targets.a]\nkind = "sns"\ntopic = "arn:aws:sns:eu-west-1:123456789012:mailrun"', True),
    ('[notify.targets.a]\nkind = "json"\nsecert_file = "x"', False),
]


@pytest.mark.parametrize(("text", "verdict"), NOTIFIED, ids=[text for text, _ in NOTIFIED])
def test_schemas_and_parsers_agree_on_notifications(text: str, tmp_path: Path, *, verdict: bool) -> None:
    document = tomllib.loads(f"[notify]\n{text}\n")
    (tmp_path / "mailrun.toml").write_text(f"[notify]\n{text}\n")
    assert is_valid(lambda: load_settings(tmp_path)) is verdict
    assert accepts(read_schema("mailrun.schema.json"), document) is verdict
    assert is_valid(lambda: CampaignSpec.model_validate(WHOLE | document)) is verdict
    assert accepts(read_schema("campaign.schema.json"), WHOLE | document) is verdict


def list_keys(schema: Any, node: Any, above: str = "") -> Iterator[str]:
    """List the keys that a schema offers, those of tables as `events.queue`."""
    found = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    for name, value in found.get("properties", {}).items():
        yield f"{above}{name}"
        yield from list_keys(schema, value, f"{above}{name}.")


def test_schema_of_settings_has_every_setting() -> None:
    schema = read_schema("mailrun.schema.json")
    assert set(list_settings()) <= set(list_keys(schema, schema))


@pytest.mark.parametrize("path", sorted(CAMPAIGNS.glob("*/campaign.toml")), ids=lambda path: path.parent.name)
def test_schema_accepts_the_samples(path: Path) -> None:
    assert accepts(read_schema("campaign.schema.json"), tomllib.loads(path.read_text(encoding="utf-8")))


def test_schema_of_settings_takes_lists_and_texts() -> None:
    schema = read_schema("mailrun.schema.json")
    for text in ("", '[dns]\nnameservers = "192.0.2.53"', '[dns]\nnameservers = ["192.0.2.53"]', 'store = "s3://b/p"'):
        assert accepts(schema, tomllib.loads(text)), text
    for text in ('workspace = "."', "[dns]\nnameserver = []", "store = 3"):
        assert not accepts(schema, tomllib.loads(text)), text


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TAPLO, "lint", path], capture_output=True, text=True, check=False, cwd=path.parent)


def test_taplo_checks_a_new_workspace_by_its_own_schemas(tmp_path: Path) -> None:
    copy_samples(tmp_path)
    for path in (tmp_path / "mailrun.toml", *tmp_path.glob("campaigns/*/campaign.toml")):
        assert lint(path).returncode == 0, path
    campaign = tmp_path / "campaigns" / "welcome" / "campaign.toml"
    campaign.write_text(campaign.read_text().replace("subject", "subjekt", 1))
    checked = lint(campaign)
    assert (checked.returncode, "subjekt" in checked.stderr) == (1, True)
