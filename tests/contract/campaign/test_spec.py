"""campaign.toml: what it accepts, and its errors for everything else."""

from pathlib import Path

import pytest
from support.campaigns import TOML

from engine.campaign.spec import load_campaign
from engine.errors import ConfigurationError, UsageError


def test_a_campaign_is_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "welcome").mkdir()
    (tmp_path / "welcome" / "campaign.toml").write_text("\ufeff" + TOML + 'text = "b"\n', encoding="utf-8")
    campaign = load_campaign(tmp_path / "welcome")
    assert (campaign.name, campaign.folder) == ("welcome", tmp_path / "welcome")
    assert campaign.spec.subject == "Hi"


def test_missing_campaign_names_the_nearest_one(tmp_path: Path) -> None:
    for name in ("welcome", "service-notice", "not-a-campaign"):
        (tmp_path / name).mkdir()
    for name in ("welcome", "service-notice"):
        (tmp_path / name / "campaign.toml").touch()
    with pytest.raises(UsageError) as caught:
        load_campaign(tmp_path / "welcom")
    assert caught.value.what == "there is no campaign welcom"
    assert caught.value.remedy == "did you mean welcome? Available: service-notice, welcome"


def test_folder_without_campaign_toml_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the campaign folder has no campaign"):
        load_campaign(_folder(tmp_path, "empty"))


def test_a_folder_whose_name_cannot_be_a_tag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='"my campaign" is not a valid campaign name'):
        load_campaign(_folder(tmp_path, "my campaign"))


def test_a_campaign_toml_in_another_encoding_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "latin")
    (folder / "campaign.toml").write_bytes('from = "Ç"'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"campaign.toml is not UTF-8 \(byte 8\)"):
        load_campaign(folder)


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
