"""What each outgoing IP address sent of a run, from the events in the store."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.events import make_event, make_mail
from support.feedback import NEXT_RUN, NOW, PEOPLE, RUN, Desk, open_desk

from engine.feedback.events.event_files import EVENTS
from engine.feedback.events.files import read_file
from engine.report.outgoing_addresses import OutgoingAddress, describe_outgoing
from engine.report.outgoing_counts import count_outgoing

FIRST, SECOND = "198.51.100.21", "198.51.100.22"
IP = "ses:outgoing-ip"


def make_own(kind: str, row: int, ip: str | None = None, run: str = RUN, **details: Any) -> dict[str, Any]:
    """An event of a row of a run; it names the address that the message left from, where one is given."""
    campaign, _, key = run.partition("/")
    tags = {"mailrun-campaign": campaign, "mailrun-key": key, "mailrun-row": str(row)}
    mail = make_mail(f"{run}-{row}", PEOPLE[row - 1], tags | ({} if ip is None else {IP: ip}))
    return make_event(kind, mail, **details)


def take_all(desk: Desk) -> None:
    desk.take([make_own("Send", row) for row in range(1, 7)])
    desk.take([
        make_own("Delivery", 1, FIRST),
        make_own("Delivery", 2, FIRST),
        make_own("Delivery", 3, SECOND),
        make_own("Bounce", 4, SECOND),
        make_own("DeliveryDelay", 5),
        make_own("Bounce", 5, SECOND, bounceType="Transient", bounceSubType="MailboxFull"),
    ])  # fmt: skip
    desk.take([make_own("Complaint", 2), make_own("Delivery", 1, FIRST), make_own("Delivery", 1, FIRST, run=NEXT_RUN)])


EXPECTED = (
    OutgoingAddress(FIRST, sent=2, delivered=2, bounced=0, soft_bounced=0, complained=1, delayed=0),
    OutgoingAddress(SECOND, sent=3, delivered=1, bounced=1, soft_bounced=1, complained=0, delayed=1),
    OutgoingAddress(None, sent=1, delivered=0, bounced=0, soft_bounced=0, complained=0, delayed=0),
)


@pytest.mark.parametrize("at_once", [1, 4, 1000])
def test_recipients_are_counted_once_by_address(tmp_path: Path, at_once: int) -> None:
    """Send and Complaint name no address: that of the message's delivery counts; parts do not change the counts."""
    with open_desk(tmp_path) as desk:
        take_all(desk)
        assert count_outgoing(desk.store, RUN, NOW, at_once=at_once) == EXPECTED


def test_events_of_earlier_versions_count_without_an_address(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        take_all(desk)
        for file in (tmp_path / "store" / EVENTS).rglob("day=*/*.parquet"):
            pl.read_parquet(file).drop("outgoing_ip").write_parquet(file)
        (found,) = count_outgoing(desk.store, RUN, NOW)
        assert (found.address, found.sent, found.delivered) == (None, 6, 3)


def test_a_run_without_events_has_no_addresses(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        assert count_outgoing(desk.store, RUN, NOW) == ()
        take_all(desk)
        assert count_outgoing(desk.store, RUN, NOW + timedelta(days=1)) == ()
        assert count_outgoing(desk.store, "other/1", NOW) == ()


@pytest.mark.parametrize("value", ["\x1b[31m", "x" * 200, "", "198.51.100.7\n", 7])
def test_a_tag_that_is_not_an_address_is_not_kept(tmp_path: Path, value: Any) -> None:
    event = make_own("Delivery", 1)
    event["mail"]["tags"][IP] = [value]
    with open_desk(tmp_path) as desk:
        desk.take([event])
        assert [one.address for one in count_outgoing(desk.store, RUN, NOW)] == [None]


def test_describe_outgoing_aligns_a_line_for_each_address() -> None:
    lines = describe_outgoing(EXPECTED)
    assert [line.split()[0] for line in lines] == ["outgoing", FIRST, SECOND, "unknown"]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("dropped", [(), ("outgoing_ip",), ("outgoing_ip", "sent_to")])
def test_stored_events_of_every_version_can_be_imported_again(tmp_path: Path, dropped: tuple[str, ...]) -> None:
    with open_desk(tmp_path) as desk:
        desk.take([make_own("Delivery", 1, FIRST)])
        (file,) = (tmp_path / "store" / EVENTS).rglob("day=*/*.parquet")
        pl.read_parquet(file).drop(dropped).write_parquet(tmp_path / "kept.parquet")
        (read,) = [opened for batch in read_file(tmp_path / "kept.parquet", "kept", print) for opened in batch]
        assert isinstance(read, list)
        (event,) = read
        assert event.outgoing_ip == (None if dropped else FIRST)
        assert (event.kind, event.row) == ("Delivery", 1)
