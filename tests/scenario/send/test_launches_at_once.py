"""Many launches of one key in the same second make one run, on every kind of ledger and store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import s3
from support.invariants import check_invariants, count_received
from support.postgres import Cluster
from support.world import RUN, World, finish, open_world

from engine.ledger.journal import Outcome


@contextmanager
def open_world_with(ledger: str | None, folder: Path, *, in_bucket: bool) -> Iterator[World]:
    with open_world(folder, ledger=ledger, max_send_rate=400.0) as world:
        if not in_bucket:
            yield world
            return
        with s3.run_moto() as url:
            world.settings |= {"MAILRUN_STORE": f"s3://{s3.BUCKET}/store", "AWS_ENDPOINT_URL_S3": url}
            yield world


def test_eight_launches_at_once_are_one_run_with_sqlite_and_a_folder(tmp_path: Path):
    with open_world_with(None, tmp_path, in_bucket=False) as world:
        world.write_people(1200)
        ended = [finish(process) for process in [world.start_launch() for _ in range(8)]]
        assert [launch.code for launch in ended] == [0] * 8, [launch.stderr for launch in ended if launch.code]
        assert {launch.json["state"] for launch in ended} == {"finished"}
        assert check_invariants(world) == {Outcome.SENT: 1200}


@pytest.mark.parametrize("launches", [3, 6])
def test_launches_at_once_are_one_run_with_postgresql_and_a_bucket(launches: int, tmp_path: Path, postgres: Cluster):
    with open_world_with(postgres.make_database(), tmp_path, in_bucket=True) as world:
        world.write_people(1200)
        ended = [finish(process) for process in [world.start_launch() for _ in range(launches)]]
        assert [launch.code for launch in ended] == [0] * launches, [launch.stderr for launch in ended if launch.code]
        received = count_received(world)
        assert (len(received), set(received.values())) == (1200, {1})
        audited = world.run("audit", RUN, "--json")
        assert (audited.code, audited.json["sent"]) == (0, 1200)
