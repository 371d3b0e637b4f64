"""Opens and clicks by people and machines: flags, counts and Parquet say the same, in any order of events."""

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.feedback import RUN, Desk, make, open_desk, scan_events
from support.soak import choose

from engine.feedback.events.agents import MACHINES
from engine.feedback.events.event_files import EVENT_SCHEMA, EVENTS, LATER_COLUMNS, erase_from_events
from engine.feedback.events.files import read_file
from engine.ledger.event_flags import Flag

APPLE = "Mozilla/5.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
SCRIPT = "python-requests/2.32.3"
AGENTS = (APPLE, GMAIL, BROWSER, SCRIPT)
COUNTS = (Flag.OPENED, Flag.OPENED_BY_PEOPLE, Flag.CLICKED, Flag.CLICKED_BY_PEOPLE)


def at(minute: int) -> str:
    return f"2026-11-24T10:{minute:02d}:00.000Z"


def opened(row: int, agent: str, minute: int = 0) -> dict[str, Any]:
    return make("Open", row, userAgent=agent, timestamp=at(minute))


def clicked(row: int, agent: str, minute: int = 0, **details: Any) -> dict[str, Any]:
    return make("Click", row, userAgent=agent, timestamp=at(minute), **details)


def count(desk: Desk) -> tuple[int, ...]:
    sums = desk.read_state()["sums"][RUN]
    return tuple(sums[flag] for flag in COUNTS)


def count_stored(desk: Desk) -> tuple[int, ...]:
    """Count the recipients from the Parquet files alone."""
    events = scan_events(desk.store).filter(pl.col("run") == RUN).collect()
    by_people = ~pl.col("agent").is_in(sorted(MACHINES)).fill_null(value=False)
    sets = [events.filter(kind) for kind in (pl.col("kind") == "Open", pl.col("kind") == "Click")]
    return tuple(n for one in sets for n in (one["row"].n_unique(), one.filter(by_people)["row"].n_unique()))


@pytest.mark.parametrize("order", choose((0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (1, 0, 2), (2, 0, 1), short=3))
def test_counts_are_exact_in_any_order_of_events(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Row 1 is opened by Apple alone, row 2 by Apple and by a person, row 3 by a person through Gmail."""
    batches = [
        [opened(1, APPLE), opened(2, APPLE, 1)],
        [opened(2, BROWSER, 2), clicked(2, SCRIPT)],
        [opened(3, GMAIL), clicked(3, BROWSER), clicked(3, SCRIPT, 3)],
    ]
    with open_desk(tmp_path) as desk:
        for number in order:
            desk.take(batches[number])
            assert count(desk) == count_stored(desk)
        assert count(desk) == (3, 2, 2, 1)


def test_flags_and_parquet_say_the_same_of_any_events(tmp_path: Path) -> None:
    dice = random.Random(5)
    with open_desk(tmp_path) as desk:
        for _ in range(4):
            desk.take([
                dice.choice([opened, clicked])(dice.randint(1, 20), dice.choice(AGENTS), dice.randint(0, 59))
                for _ in range(12)
            ])  # fmt: skip
            assert count(desk) == count_stored(desk)
        assert 0 < count(desk)[1] < count(desk)[0]


def test_click_within_seconds_of_acceptance_is_not_a_persons(tmp_path: Path) -> None:
    """The position and link are kept anyway."""
    with open_desk(tmp_path) as desk:
        desk.take([
            make("Click", 1, userAgent=BROWSER, timestamp="2026-11-24T09:00:02Z", linkTags={"mailrun-link": ["2"]})
        ])  # fmt: skip
        assert count(desk) == (0, 0, 1, 0)
        (row,) = scan_events(desk.store).select("agent", "position", "link", "detail").collect().rows()
        assert row == ("security scanner", 2, "https://acme.example/", None)


def test_forgotten_click_keeps_its_agent_and_position(tmp_path: Path) -> None:
    event = clicked(1, SCRIPT, linkTags={"mailrun-link": ["2"]})
    with open_desk(tmp_path) as desk:
        desk.take([event])
        assert erase_from_events(desk.store, event["mail"]["destination"][0]) == 1
        (row,) = scan_events(desk.store).select("address", "link", "agent", "position").collect().rows()
        assert row == (None, None, "crawler or script", 2)


@pytest.mark.parametrize("is_rewritten", [False, True])
def test_files_of_earlier_versions_are_read_and_their_user_agents_named(tmp_path: Path, *, is_rewritten: bool) -> None:
    """They have the user agent as the detail: reading them again keeps the agent's name in its place.

    A file from which a person was erased since has the new columns, without values.
    """
    with open_desk(tmp_path / "old") as desk:
        desk.take([opened(1, APPLE), opened(2, BROWSER), clicked(3, SCRIPT), make("Bounce", 4)])
        for file in (tmp_path / "old" / "store" / EVENTS).rglob("day=*/*.parquet"):
            frame = pl.read_parquet(file).drop(LATER_COLUMNS)
            agents = pl.col("key").replace_strict(
                {"person1@big.example": APPLE, "person2@x.example": BROWSER, "person3@big.example": SCRIPT},
                default=pl.col("detail"),
            )
            frame.with_columns(agents.alias("detail")).write_parquet(file)
        kept = scan_events(desk.store).collect()
        assert (kept.schema, kept["agent"].null_count()) == (pl.Schema(EVENT_SCHEMA), 4)
        if is_rewritten:
            assert erase_from_events(desk.store, "person4@x.example") == 1
        (file,) = (tmp_path / "old" / "store" / EVENTS).rglob("day=*/*.parquet")
        documents = [item for batch in read_file(file, "kept", print) for item in batch]
    with open_desk(tmp_path / "new") as desk:
        desk.intake.take(documents, "kept")
        assert count(desk) == (2, 1, 1, 0)
        stored = scan_events(desk.store).sort("row", nulls_last=True).select("agent", "detail").collect()
        assert stored["agent"].to_list() == ["Apple Mail Privacy Protection", None, "crawler or script", None]
        assert stored["detail"].to_list()[:3] == [None, None, None]
        assert is_rewritten or stored["detail"].item(3).startswith("smtp;")
