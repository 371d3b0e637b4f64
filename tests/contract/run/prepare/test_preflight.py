"""Before a launch a campaign's own link is tried: one that is not answered, or fits into no header, stops it."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engine.audience.planning.plan_files import recipients_file
from engine.campaign.render_error import RenderError
from engine.campaign.unsubscribe_links import LONGEST_LINK
from engine.errors import ConfigurationError
from engine.run.prepare.preflight import check_link_lengths, find_longest_address


def offer_up_to(longest: int) -> Callable[[str], str]:
    def offer(address: str) -> str:
        if len(address.encode()) > longest:
            raise RenderError("[unsubscribe] url", None, "the link is too long")
        return f"<{address}>"

    return offer


@pytest.mark.parametrize("longest", [0, 1, 17, 319, 320])
def test_longest_address_is_the_last_whose_link_fits(longest: int) -> None:
    assert find_longest_address(offer_up_to(longest)) == longest


def write_plan(folder: Path, *addresses: str) -> Path:
    frame = pl.DataFrame({"address": addresses}).with_row_index("row", offset=1)
    frame.write_parquet(folder / recipients_file(0))
    return folder


def test_links_that_are_too_long_are_counted_over_the_whole_plan(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, "a@b.example", "anna@b.example", "ä@bb.example")
    found = check_link_lengths(offer_up_to(12), plan, "campaign.toml")
    (one,) = found
    assert (one.severity, found.counts[one], found.rows[one]) == ("error", 2, 2)
    assert f"longer than the {LONGEST_LINK} characters" in one.what
    assert not list(check_link_lengths(offer_up_to(14), plan, "campaign.toml"))


def test_links_that_are_too_long_for_every_row_stop_the_launch(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, "a@b.example", "anna@b.example")
    with pytest.raises(ConfigurationError, match=r"for every recipient \(campaign.toml, \[unsubscribe\]\); shorten"):
        check_link_lengths(offer_up_to(10), plan, "campaign.toml")
