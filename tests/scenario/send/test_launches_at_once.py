"""Many launches of one key in the same second make one run, on every kind of ledger and store."""

from pathlib import Path

import pytest
from support import s3
from support.invariants import check_invariants, count_received
from support.postgres import Cluster
from support.world import RUN, finish, open_world

from engine.ledger.journal import Outcome


def test_eight_launches_at_once_are_one_run_with_sqlite_and_a_folder(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=400.0) as world:
        world.write_people(1200)
        ended = [finish(process) for process in [world.start_launch() for _ in range(8)]]
        assert [launch.code for launch in ended] == [0] * 8, [launch.stderr for launch in ended if launch.code]
        assert {launch.json["state"] for launch in ended} == {"finished"}
        assert check_invariants(world) == {Outcome.SENT: 1200}


@pytest.mark.parametrize("launches", [3, 6])
def test_launches_at_once_are_one_run_with_postgresql_and_a_bucket(
    launches: int, tmp_path: Path, postgres: Cluster, moto: str
):
    with open_world(tmp_path, ledger=postgres.make_database(), max_send_rate=400.0) as world:
        world.settings |= {"MAILRUN_STORE": f"s3://{s3.BUCKET}/{tmp_path.name}", "AWS_ENDPOINT_URL_S3": moto}
        world.write_people(1200)
        ended = [finish(process) for process in [world.start_launch() for _ in range(launches)]]
        assert [launch.code for launch in ended] == [0] * launches, [launch.stderr for launch in ended if launch.code]
        received = count_received(world)
        assert (len(received), set(received.values())) == (1200, {1})
        audited = world.run("audit", RUN, "--json")
        assert (audited.code, audited.json["sent"]) == (0, 1200)
