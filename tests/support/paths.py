"""Where the project and its tests are, whatever folder a test is in."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
DOCS = ROOT / "docs"
CAMPAIGNS = ROOT / "campaigns"
