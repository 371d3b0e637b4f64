"""The pages on audiences name everything that users can name."""

import pytest
from support.paths import DOCS

from engine.audience.exclusions import ExclusionReason
from engine.audience.reading.sources import SUFFIXES
from engine.audience.spec import AudienceSpec, CapSpec, ChecksSpec, SuppressionSpec

REFERENCE = DOCS / "reference"


@pytest.mark.parametrize("spec", [AudienceSpec, ChecksSpec, SuppressionSpec, CapSpec])
def test_every_key_is_on_the_page(spec: type[AudienceSpec]) -> None:
    page = (REFERENCE / "campaign-toml.md").read_text(encoding="utf-8")
    assert [key for key in spec.model_fields if f"`{key}`" not in page and key != "checks"] == []


def test_every_suffix_is_on_the_page() -> None:
    page = (REFERENCE / "audience-files.md").read_text(encoding="utf-8")
    assert [word for word in SUFFIXES if f"`{word}`" not in page] == []


def test_every_reason_is_on_the_page() -> None:
    page = (REFERENCE / "exclusion-reasons.md").read_text(encoding="utf-8")
    assert [word for word in ExclusionReason if f"`{word}`" not in page] == []
