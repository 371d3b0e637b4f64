"""The published JSON Schemas accept what mailrun accepts, and refuse what editors should underline."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from support.paths import CAMPAIGNS, DOCS

from engine.campaign.spec import CampaignSpec
from engine.cli.commands.init import copy_samples

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
