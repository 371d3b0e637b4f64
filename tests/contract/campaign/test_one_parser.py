"""campaign.toml has one parser: no other module reads TOML that a campaign may hold."""

from pathlib import Path

import engine

# Settings, the words of the unsubscribe pages, and lines of any TOML file for messages.
ALLOWED = {"campaign/spec_errors.py", "feedback/unsubscribe/pages.py", "setting_sources.py", "toml_lines.py"}


def test_campaign_toml_is_parsed_by_the_campaign_alone():
    root = Path(engine.__file__).parent
    readers = {file.relative_to(root).as_posix() for file in root.rglob("*.py") if "tomllib" in file.read_text("utf-8")}
    assert readers <= ALLOWED
