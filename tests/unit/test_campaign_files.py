"""Which files are part of a campaign."""

from pathlib import Path

import pytest
from support.campaigns import TOML, render, write_campaign

from engine.campaign.files import is_part, list_files, resolve_file
from engine.campaign.spec import parse_spec
from engine.campaign.templates import compile_content
from engine.errors import ConfigurationError, DataError
from engine.run.manifest import digest_campaign

FILES = {
    "campaign.toml": TOML + 'text = "body.txt.j2"\n',
    "body.txt.j2": "Hi {% include 'img/part.j2' %}",
    "img/part.j2": "x",
}


def mount(folder: Path, stamp: str) -> Path:
    """Mount FILES as the kubelet does, again over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        path = folder / f"..{stamp}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    data = folder / "..data"
    before = data.readlink() if data.is_symlink() else None
    aside = folder / "..data_tmp"
    aside.symlink_to(f"..{stamp}")
    aside.rename(data)
    for name in {name.split("/")[0] for name in FILES}:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    if before is not None:
        for path in sorted((folder / before).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (folder / before).rmdir()
    return folder


def test_volume_of_kubernetes_mounted_again_is_the_same_campaign(tmp_path: Path) -> None:
    folder = mount(tmp_path / "campaigns" / "welcome", "2026_11_28_01")
    first = digest_campaign(folder)
    assert list(first) == sorted(FILES)
    assert digest_campaign(mount(folder, "2026_11_29_02")) == first
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("..")) == ["..2026_11_29_02", "..data"]


@pytest.mark.parametrize(
    "name",
    [".env", ".git/config", "..data/body.j2", "body.j2~", "#body.j2#", ".#body.j2", ".body.j2.swp", "body.j2.bak",
     "~$terms.docx", ".~lock.terms.odt#", "Thumbs.db", ".DS_Store", "desktop.ini", "4913", "img/.hidden.png", "x.orig",
     "__pycache__/x.pyc", "body.j2___jb_tmp___"],
)  # fmt: skip
def test_files_that_programs_leave_behind_are_not_part_of_a_campaign(tmp_path: Path, name: str) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    before = digest_campaign(campaign.folder)
    path = campaign.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("left over", encoding="utf-8")
    assert digest_campaign(campaign.folder) == before
    assert not is_part(name)
    assert resolve_file(campaign.folder, name) is None
    with pytest.raises(ConfigurationError, match="hidden, backup or lock"):
        parse_spec(f'{TOML}text = "b.j2"\nattachments = ["{name}"]\n', file="campaign.toml")
    write_campaign(tmp_path, {"b.j2": f"{{% include '{name}' %}}"}, 'text = "b.j2"')
    with pytest.raises(DataError, match="rename it"):
        compile_content(campaign)


def test_links_to_folders_are_followed_inside_the_campaign_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("x", encoding="utf-8")
    campaign = write_campaign(tmp_path, {"b.j2": "{% include 'two/a.j2' %}", "one/a.j2": "A"}, 'text = "b.j2"')
    (campaign.folder / "two").symlink_to("one")
    (campaign.folder / "one" / "around").symlink_to("..")
    (campaign.folder / "out").symlink_to(outside)
    (campaign.folder / "secret.txt").symlink_to(outside / "secret.txt")
    assert list(list_files(campaign.folder)) == ["b.j2", "campaign.toml", "one/a.j2", "two/a.j2"]
    assert render(campaign).text == "A"
