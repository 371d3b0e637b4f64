"""The page on audiences names everything that users can name."""

import pytest
from support.paths import DOCS

from engine.audience.exclusions import ExclusionReason
from engine.audience.reading.sources import SUFFIXES
from engine.audience.spec import AudienceSpec, CapSpec, ChecksSpec, SuppressionSpec

PAGE = (DOCS / "reference" / "audience-files.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("spec", [AudienceSpec, ChecksSpec, SuppressionSpec, CapSpec])
def test_every_key_is_on_the_page(spec: type[AudienceSpec]) -> None:
    assert [key for key in spec.model_fields if f"`{key}`" not in PAGE] == []


def test_every_reason_and_suffix_is_on_the_page() -> None:
    assert [word for word in (*ExclusionReason, *SUFFIXES) if f"`{word}`" not in PAGE] == []
