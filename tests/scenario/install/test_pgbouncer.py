"""The ledger behind PgBouncer in each of its modes, and a login that expires in mid-run."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from support.invariants import check_invariants
from support.pgbouncer import run_pgbouncer
from support.postgres import run_cluster
from support.world import finish, open_world, wait_for_line

from engine.ledger.database import open_ledger
from engine.ledger.journal import Outcome


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_run_works_behind_pgbouncer_and_leaves_no_setting_behind(tmp_path: Path, mode: str):
    """The server's own synchronous_commit is off; two workers and another client share two server connections."""
    with run_cluster() as cluster:
        direct = cluster.make_database()
        cluster.configure("synchronous_commit = off")
        size = 2 if mode == "transaction" else 20
        with run_pgbouncer(cluster, direct, mode, size=size) as url, open_world(tmp_path, ledger=url) as world:
            world.write_people(3000)
            ended = world.launch("--workers", "2")
            assert (ended.code, ended.json["sent"]) == (0, 3000), ended.stderr
            assert check_invariants(world) == {Outcome.SENT: 3000}
            if mode == "transaction":
                assert read_setting(url, "synchronous_commit") == "off"
                assert read_setting(url, "lock_timeout") == "0"


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_every_write_is_durable_whatever_another_client_has_set(mode: str):
    with run_cluster() as cluster:
        direct = cluster.make_database()
        with run_pgbouncer(cluster, direct, mode, size=1 if mode == "transaction" else 20) as url:
            other = make_engine(url, isolation_level="AUTOCOMMIT")
            ledger = open_ledger(url)
            try:
                with other.connect() as connection:
                    connection.execute(text("SET synchronous_commit = off"))
                for _ in range(12):  # prepared statements would vanish after the fifth
                    with ledger.write() as tx:
                        assert tx.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
                    with ledger.read() as tx:
                        assert tx.execute(text("SHOW transaction_read_only")).scalar_one() == "on"
            finally:
                ledger.close()
                other.dispose()


def test_statement_mode_is_refused_with_what_to_set(tmp_path: Path):
    with run_cluster() as cluster:
        direct = cluster.make_database()
        with run_pgbouncer(cluster, direct, "statement") as url, open_world(tmp_path, ledger=url) as world:
            world.write_people(3)
            refused = world.launch()
            assert refused.code == 78
            assert "pool_mode = transaction or session" in refused.stderr
            assert world.accepted() == []


def test_a_login_that_expires_in_mid_run_is_waited_for(tmp_path: Path):
    """A token of a cloud database is renewed in the password file; the run continues with the new one by itself."""
    with run_cluster() as cluster:
        url = cluster.make_database()
        cluster.require_password("first")
        secrets = tmp_path / "pgpass"
        write_secret(secrets, "first")
        with open_world(tmp_path, ledger=url, max_send_rate=300.0) as world, pytest.MonkeyPatch.context() as patch:
            patch.setenv("PGPASSFILE", str(secrets))
            world.write_people(1500)
            process = world.start_launch()
            world.wait_for_accepted(200, process)
            cluster.change_password("second")
            cluster.disconnect_all(url)
            wait_for_line(process, "ledger.away")
            stands = world.accepted_count()
            assert stands < 1500
            write_secret(secrets, "second")
            ended = finish(process)
            assert (ended.code, ended.json["state"]) == (0, "finished"), ended.stderr
            assert check_invariants(world) == {Outcome.SENT: 1500}


def write_secret(path: Path, password: str) -> None:
    path.write_text(f"*:*:*:*:{password}\n")
    path.chmod(0o600)


def read_setting(url: str, name: str) -> str:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return str(connection.execute(text(f"SHOW {name}")).scalar_one())
    finally:
        engine.dispose()


def make_engine(url: str, **options: str) -> Engine:
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"), **options)
