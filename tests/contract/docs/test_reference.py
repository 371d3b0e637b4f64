"""The reference is made from the code, and names everything that users can name."""

import re
import subprocess
import sys

import pytest
from support.paths import DOCS, ROOT

from engine.audience.exclusions import ExclusionReason
from engine.errors import ExitCode
from engine.ledger.schema import RunState, metadata
from tools.reference.campaign_toml import walk_sections
from tools.reference.commands import walk_commands
from tools.reference.pages import BLOCKS, fill_blocks, find_stale
from tools.reference.schemas import list_models

REFERENCE = DOCS / "reference"


def read(page: str) -> str:
    return (REFERENCE / page).read_text(encoding="utf-8")


def test_generated_pages_are_current():
    assert [path.name for path in find_stale()] == [], "run: make reference"


def test_every_generator_has_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    assert sorted(re.findall(r"<!-- generated: (.*) -->", text)) == sorted(BLOCKS)


def test_stale_block_is_replaced_and_the_rest_kept():
    text = "before\n<!-- generated: event rules -->\nstale text\n<!-- end generated -->\nafter\n"
    filled = fill_blocks(text)
    assert "stale text" not in filled
    assert "| Bounce | `Permanent` | `bounced` | suppressed at once | `bounce` |" in filled
    assert filled.startswith("before\n")
    assert filled.endswith("<!-- end generated -->\nafter\n")
    assert fill_blocks(filled) == filled


def test_every_command_has_a_section_with_its_options():
    page = read("cli.md")
    for name, command in walk_commands():
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
        assert section is not None, name
        for option in command.params:
            for flag in option.opts if option.param_type_name == "option" else ():
                assert flag in page


def test_every_key_of_campaign_toml_has_a_meaning():
    missing = [
        (section, key)
        for section, model in walk_sections()
        for key, field in model.model_fields.items()
        if not field.description and not any(list_models(field))
    ]
    assert missing == []


def test_every_column_of_the_ledger_has_a_meaning():
    assert [str(column) for table in metadata.tables.values() for column in table.columns if not column.doc] == []


def test_exit_codes_are_those_of_the_code():
    found = re.findall(r"^\| (\d+) \| `(\w+)` \|", read("exit-codes.md"), flags=re.MULTILINE)
    assert found == [(str(int(code)), code.name) for code in ExitCode]


def test_exclusion_reasons_are_those_of_the_code_in_their_order():
    found = re.findall(r"^\| `(\w+)` \|", read("exclusion-reasons.md"), flags=re.MULTILINE)
    assert found == [str(reason) for reason in ExclusionReason]


@pytest.mark.parametrize("state", list(RunState))
def test_every_state_of_a_run_is_in_the_reference(state: RunState):
    assert f"`{state}`" in read("json.md")


def test_check_exits_with_zero_when_pages_are_current():
    """As `make lint` runs it."""
    checked = subprocess.run(
        [sys.executable, "-m", "tools.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
