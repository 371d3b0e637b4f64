"""Servers that close kept connections without a word, pack their answers, or answer twice: the accounts stay true."""

import ssl
from pathlib import Path

import polars as pl
import pytest
import trustme
from support import rude_proxy
from support.invariants import check_invariants, count_received
from support.rude_proxy import Manners, run_rude_proxy
from support.world import World, open_world

from engine.ledger.journal import Outcome

COUNT = 400


def count_wrong_ids(world: World) -> int:
    """Count rows whose message id is not the one that the receiving side gave for them."""
    told = pl.read_parquet(world.run_folder / "outcomes" / "*.parquet").filter(pl.col("outcome") == "sent")
    given = {int(message["tags"]["mailrun-row"]): message["message_id"] for message in world.accepted()}
    return sum(given[row] != message_id for row, message_id in told.select("row", "message_id").iter_rows())


def launch_through(folder: Path, manners: Manners, *, tls: bool = False, count: int = COUNT) -> tuple[World, int]:
    """Launch; returns the world, and how many requests had arrived unread when their connection was closed."""
    authority, theirs = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with (
        open_world(folder) as world,
        run_rude_proxy(world.server.url, manners, theirs if tls else None) as proxy,
    ):
        world.write_people(count)
        url = f"{'https' if tls else 'http'}://127.0.0.1:{proxy.port}"
        done = world.run(
            *("launch", "hello", "--key", "test", "--json"),
            AWS_ENDPOINT_URL_SESV2=url,
            AWS_CA_BUNDLE=str(folder / "ca.pem"),
        )
        assert done.code in (0, 3), done.stderr
    return world, len(proxy.unread)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_kept_connections_that_close_leave_nobody_in_doubt(tmp_path: Path, tls: bool):  # noqa: FBT001 - a parameter of pytest
    manners = rude_proxy.close_after(0.04) if tls else rude_proxy.close_at_once
    world, unread = launch_through(tmp_path, manners, tls=tls)
    counts = check_invariants(world, in_doubt_at_most=unread)
    assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == COUNT
    assert count_wrong_ids(world) == 0


def test_half_closed_connection_sends_to_no_recipient_twice(tmp_path: Path):
    world, _ = launch_through(tmp_path, rude_proxy.close_half_and_accept, count=100)
    received = len(count_received(world))
    counts = check_invariants(world, in_doubt_at_most=received)
    assert (
        counts[Outcome.IN_DOUBT] == received - counts[Outcome.SENT]
    )  # in doubt is who got it without an answer, alone
    assert counts.keys() <= {Outcome.SENT, Outcome.IN_DOUBT}


@pytest.mark.parametrize("manners", [rude_proxy.without_a_length, rude_proxy.twice_later(0.01)], ids=["ends", "twice"])
def test_every_answer_belongs_to_the_call_that_it_answers(tmp_path: Path, manners: Manners):
    world, _ = launch_through(tmp_path, manners)
    assert check_invariants(world) == {Outcome.SENT: COUNT}
    assert count_wrong_ids(world) == 0
