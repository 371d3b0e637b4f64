"""Compiled content is used again for copies of the same files, and for nothing else."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.campaign.content import compiled
from engine.campaign.content.compiled import compile_or_reuse
from engine.campaign.content.templates import CampaignContent, compile_content
from engine.campaign.render import Renderer
from engine.campaign.spec import Campaign, change_transport, load_campaign

TOML = """
from = "Shop <shop@acme.example>"
subject = "Hi {{ name }}"
kind = "transactional"

[audience]
source = "a.csv"
[content]
text = "body.txt.j2"
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    folder = tmp_path / "campaigns" / "welcome"
    folder.mkdir(parents=True)
    (folder / "campaign.toml").write_text(TOML)
    (folder / "body.txt.j2").write_text("{% include part %}")
    (folder / "a.txt").write_text("first {{ name }}")
    return load_campaign(folder)


@pytest.fixture(autouse=True)
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Count what is really compiled."""
    found: list[Path] = []

    def count(campaign: Campaign) -> CampaignContent:
        found.append(campaign.folder)
        return compile_content(campaign)

    monkeypatch.setattr(compiled, "_last", [])
    monkeypatch.setattr(compiled, "compile_content", count)
    return found


def copy(campaign: Campaign, folder: Path) -> Campaign:
    shutil.copytree(campaign.folder, folder)
    return replace(campaign, folder=folder)


def render(content: CampaignContent) -> str | None:
    renderer = Renderer(content, content.campaign, run_key="1", signer=None)
    return renderer.render({"name": "Ann", "part": "a.txt"}, 1, "ann@b.example").text


def test_copy_of_the_same_files_is_not_compiled_again(campaign: Campaign, compilations: list[Path], tmp_path: Path):
    compile_or_reuse(campaign)
    spec = change_transport(campaign.spec, "outbox")
    found = compile_or_reuse(replace(copy(campaign, tmp_path / "copy"), spec=spec))
    assert compilations == [campaign.folder]
    assert found.campaign.folder == tmp_path / "copy"
    assert found.campaign.spec is spec


def test_template_that_is_named_at_rendering_is_read_from_the_copy(campaign: Campaign, tmp_path: Path):
    compile_or_reuse(campaign)
    frozen = copy(campaign, tmp_path / "copy")
    content = compile_or_reuse(frozen)
    (campaign.folder / "a.txt").write_text("changed after the launch")
    assert render(content) == "first Ann"


@pytest.mark.parametrize("name", ["a.txt", "body.txt.j2", "body.vi.txt.j2"])
def test_changed_or_new_file_is_compiled(name: str, campaign: Campaign, compilations: list[Path]):
    compile_or_reuse(campaign)
    (campaign.folder / name).write_text("second")
    compile_or_reuse(campaign)
    assert len(compilations) == 2


def test_other_settings_are_compiled(campaign: Campaign, compilations: list[Path]):
    compile_or_reuse(campaign)
    spec = campaign.spec.model_copy(update={"subject": "Hello"})
    assert compile_or_reuse(replace(campaign, spec=spec)).campaign.spec.subject == "Hello"
    assert len(compilations) == 2
