"""The folders of the project and of its tests."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
DOCS = ROOT / "docs"
CAMPAIGNS = ROOT / "campaigns"
