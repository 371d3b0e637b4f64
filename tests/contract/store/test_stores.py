"""What every store promises, a folder or a bucket: moto's server and SeaweedFS."""

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import s3
from support.invariants import count_received
from support.world import RUN, finish, open_world

from engine.errors import ConfigurationError, UnreachableError
from engine.store.folder import FolderStore
from engine.store.identity import read_store_identity
from engine.store.keys import UNSUBSCRIBE_KEY, read_key
from engine.store.port import Store
from engine.store.s3 import S3Store
from engine.store.sealed import discard_sealed, list_sealed
from engine.transaction_guard import OpenTransactionError, guard_transaction


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.run_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as url:
        yield url


@pytest.fixture(params=["moto", "seaweedfs"])
def bucket(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def set_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in s3.environment(url).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def in_bucket(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    set_environment(monkeypatch, bucket)
    return S3Store(f"s3://{s3.BUCKET}/{tmp_path.name}", tmp_path / "local")


@pytest.fixture(params=["folder", "moto", "seaweedfs"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    set_environment(monkeypatch, request.getfixturevalue(request.param))
    return S3Store(f"s3://{s3.BUCKET}/{tmp_path.name}", tmp_path / "local")


def publish(store: Store, name: str, body: bytes) -> None:
    seal(store, name, body)
    store.place(name, body.decode())


def seal(store: Store, name: str, body: bytes) -> None:
    """Seal a run under a digest that is its body."""
    with store.stage(name) as staging:
        (staging / "plan").mkdir()
        (staging / "plan" / "recipients-0000.parquet").write_bytes(body * 1000)
        (staging / "campaign").mkdir()
        (staging / "campaign" / "campaign.toml").write_bytes(body)
        (staging / "run.json").write_bytes(b'{"of": "%s"}' % body)
        store.seal(staging, name, body.decode())


# These describe places or look at a lock; they need no call to a bucket.
QUICK = {"local_folder", "address", "describe", "is_abandoned"}


def call(store: Store, method: str, folder: Path) -> None:
    """Call a method with any arguments of the right types."""
    values = {str: "runs/a/1/x", bytes: b"x", datetime: datetime.now(UTC), Path: folder}
    parameters = inspect.signature(getattr(store, method)).parameters.values()
    result = getattr(store, method)(*[values[p.annotation] for p in parameters if p.default is p.empty])
    if isinstance(result, AbstractContextManager):
        with result:
            pass


def test_every_work_of_a_store_is_refused_inside_a_transaction(store: Store, tmp_path: Path):
    names = [name for name in vars(Store) if not name.startswith("_") and name not in QUICK]
    assert len(names) >= 15
    for name in names:
        with guard_transaction(), pytest.raises(OpenTransactionError):
            call(store, name, tmp_path)


def test_what_is_written_is_read_listed_and_deleted(store: Store):
    assert store.read("runs/a/1/outcomes/x") is None
    assert store.list_names("runs/a/1/outcomes") == set()
    store.write("runs/a/1/outcomes/x", b"1")
    store.write("runs/a/1/outcomes/x", b"2")
    store.write("runs/a/1/outcomes/y", b"3")
    assert store.read("runs/a/1/outcomes/x") == b"2"
    assert store.list_names("runs/a/1/outcomes") == {"x", "y"}
    store.delete("runs/a/1/outcomes/x")
    store.delete("runs/a/1/outcomes/x")
    assert store.list_names("runs/a/1/outcomes") == {"y"}


def test_object_is_created_once_when_several_try_at_a_time(store: Store):
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda i: store.create("key", b"%d" % i), range(4)))
    assert sum(made) == 1
    assert store.read("key") == b"%d" % made.index(True)


def test_place_by_many_processes_makes_one_whole_run(store: Store):
    seal(store, "a/1", b"x")
    seal(store, "a/1", b"y")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda digest: store.place("a/1", digest), ["x", "y", "x", "y"]))
    local = store.fetch("runs/a/1")
    body = (local / "campaign" / "campaign.toml").read_bytes()
    assert body in (b"x", b"y")
    assert (local / "run.json").read_bytes() == b'{"of": "%s"}' % body
    assert (local / "plan" / "recipients-0000.parquet").read_bytes() == body * 1000
    assert list_sealed(store, "a/1") == {"x", "y"} - {body.decode()}
    discard_sealed(store, "a/1", "x")
    discard_sealed(store, "a/1", "y")
    assert list_sealed(store, "a/1") == set()
    assert (local / "run.json").read_bytes() == b'{"of": "%s"}' % body


def test_an_object_whose_name_leads_out_is_not_copied(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    set_environment(monkeypatch, moto)
    store = S3Store(f"s3://{s3.BUCKET}/{tmp_path.name}", tmp_path / "local")
    for name in ("plan/a", "../../../../out", "plan/../../out", "/out"):
        store.write(f"runs/a/1/{name}", b"x")
    assert len(store._list("runs/a/1")) == 4
    copy = store.fetch("runs/a/1")
    assert (copy / "plan" / "a").read_bytes() == b"x"
    assert not list(tmp_path.rglob("out"))


def test_place_that_a_crash_cut_is_finished_by_the_next_fetch(in_bucket: S3Store, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as crash:
        crash.setattr(S3Store, "_finish_placing", lambda *_: None)
        publish(in_bucket, "a/1", b"x")
    local = in_bucket.fetch("runs/a/1", frozen_only=True)
    assert (local / "campaign" / "campaign.toml").read_bytes() == b"x"
    assert in_bucket._list("staging") == {}


def test_move_folder_leaves_a_free_place_for_another_run(store: Store):
    publish(store, "a/1", b"x")
    store.fetch("runs/a/1")
    store.move_folder("runs/a/1", "orphaned/a/1/x")
    store.move_folder("runs/a/1", "orphaned/a/1/x")
    assert store.read("orphaned/a/1/x/campaign/campaign.toml") == b"x"
    publish(store, "a/1", b"y")
    assert (store.fetch("runs/a/1") / "campaign" / "campaign.toml").read_bytes() == b"y"


def test_store_identity_is_made_once(store: Store):
    with ThreadPoolExecutor(4) as threads:
        known = set(threads.map(lambda _: read_store_identity(store), range(4)))
    assert len(known) == 1
    assert known == {read_store_identity(store)}


def test_a_damaged_file_is_set_aside_and_kept(store: Store):
    store.write("runs/a/1/outcomes/x", b"damaged")
    store.set_aside("runs/a/1/outcomes/x")
    assert store.list_names("runs/a/1/outcomes") == set()
    assert store.read("runs/a/1/damaged/x") == b"damaged"


def test_a_deleted_run_is_gone(store: Store):
    publish(store, "a/1", b"x")
    store.delete_folder("runs/a/1")
    assert store.read("runs/a/1/run.json") is None
    assert store.list_names("runs/a/1/plan") == set()


def test_a_key_is_made_once(store: Store):
    key, made = read_key(store, UNSUBSCRIBE_KEY)
    assert made
    assert read_key(store, UNSUBSCRIBE_KEY) == (key, False)


def test_store_that_accepts_a_second_create_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with s3.run_double(s3.LIAR) as url:
        set_environment(monkeypatch, url)
        with pytest.raises(ConfigurationError, match="second create"):
            S3Store(f"s3://{s3.BUCKET}/x", tmp_path)


def test_store_retries_503_and_reads_back_a_lost_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with s3.run_double(s3.FAILING) as url:
        set_environment(monkeypatch, url)
        store = S3Store(f"s3://{s3.BUCKET}/x", tmp_path)
        monkeypatch.setattr(s3.FAILING, "lose_next_create", True)
        assert store.create("a", b"ours")
        assert not store.create("a", b"theirs")


def test_missing_store_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    set_environment(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(UnreachableError, match="cannot be reached"):
        S3Store(f"s3://{s3.BUCKET}/x", tmp_path)


def test_missing_bucket_is_reported(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    set_environment(monkeypatch, moto)
    with pytest.raises(ConfigurationError, match="NoSuchBucket"):
        S3Store("s3://no-such-bucket-here/x", tmp_path)


@pytest.mark.parametrize(
    ("server", "ledger_url"), [("moto", "postgresql"), ("seaweedfs", "sqlite")], indirect=["ledger_url"]
)
def test_a_run_is_launched_worked_on_and_audited_in_a_bucket(
    server: str, tmp_path: Path, ledger_url: str, request: pytest.FixtureRequest
):
    """Two workers, each with its own local folder, as on two machines.

    Each kind of server and of ledger once: no call to a store happens inside a transaction, so that they do not meet.
    """
    bucket = request.getfixturevalue(server)
    with open_world(tmp_path, ledger=ledger_url, max_send_rate=400.0) as world:
        world.write_people(1200)
        world.settings |= {"MAILRUN_STORE": f"s3://{s3.BUCKET}/{tmp_path.name}", "AWS_ENDPOINT_URL_S3": bucket}
        launch = world.start_launch()
        world.wait_for_accepted(100, launch)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        other = world.fork("work", RUN, "--workspace", str(elsewhere), "--json")
        ended = [finish(launch), finish(other)]
        assert [one.code for one in ended] == [0, 0], ended[0].stderr + ended[1].stderr
        received = count_received(world)
        assert (len(received), set(received.values())) == (1200, {1})
        audited = world.run("audit", RUN, "--json")
        assert (audited.code, audited.json["sent"]) == (0, 1200)
        assert audited.json["store"] == f"s3://{s3.BUCKET}/{tmp_path.name}/runs/{RUN}"
        assert world.launch().code == 0
        assert len(world.accepted()) == 1200


def test_files_are_known_by_when_they_were_written(store: Store):
    store.write("aside/a", b"1")
    store.write("aside/deeper/b", b"1")
    now = datetime.now(UTC)
    assert store.list_older("aside", now + timedelta(hours=1)) == {"a"}
    assert store.list_older("aside", now - timedelta(hours=1)) == set()
    assert store.list_older("nothing", now) == set()


def test_move_replaces_its_target_and_says_whether_there_was_anything(store: Store):
    store.write("runs/a/1/staged/x", b"new")
    store.write("runs/a/1/outcomes/x", b"old")
    assert store.move("runs/a/1/staged/x", "runs/a/1/outcomes/x")
    assert store.read("runs/a/1/outcomes/x") == b"new"
    assert store.read("runs/a/1/staged/x") is None
    assert not store.move("runs/a/1/staged/x", "runs/a/1/outcomes/x")
    assert store.read("runs/a/1/outcomes/x") == b"new"


def test_listing_is_of_one_folder_and_by_prefix(store: Store):
    for key in ("events/day=1/a", "events/day=1/b", "events/day=2/a", "events/notes"):
        store.write(key, b"1")
    assert store.list_folders("events") == {"day=1", "day=2"}
    assert store.list_names("events/day=1", "a") == {"a"}
    assert store.list_folders("events/day=1") == store.list_folders("nothing") == store.list_names("nothing") == set()


def test_fetch_has_what_the_store_has_now(store: Store):
    store.write("runs/a/1/plan/x", b"1")
    store.write("runs/a/1/outcomes/y", b"1")
    assert (store.fetch("runs/a/1", frozen_only=True) / "plan" / "x").read_bytes() == b"1"
    store.write("runs/a/1/outcomes/y", b"2")
    assert (store.fetch("runs/a/1") / "outcomes" / "y").read_bytes() == b"2"
    store.delete("runs/a/1/outcomes/y")
    assert not (store.fetch("runs/a/1") / "outcomes" / "y").exists()


def test_mark_says_how_far_the_journal_was_durable(store: Store):
    key = "runs/a/1/open/lease-00000-1"
    mark = store.open_mark(key)
    assert store.list_names("runs/a/1/open") == {"lease-00000-1"}
    assert store.read_mark(key) == 0
    mark.advance(7)
    assert store.read_mark(key) == 7
    mark.finish()
    mark.close()
    assert store.read_mark(key) == 7
    store.delete(key)
    assert store.list_names("runs/a/1/open") == set()


def test_mark_of_another_machine_is_known_once_it_is_finished(in_bucket: S3Store, tmp_path: Path):
    elsewhere = S3Store(in_bucket.url, tmp_path / "elsewhere")
    mark = in_bucket.open_mark("runs/a/1/open/lease-00000-1")
    mark.advance(7)
    assert elsewhere.read_mark("runs/a/1/open/lease-00000-1") is None
    mark.finish()
    mark.close()
    assert elsewhere.read_mark("runs/a/1/open/lease-00000-1") == 7


def test_staged_folder_that_is_not_sealed_is_removed(store: Store):
    with store.stage("a/1") as staging:
        (staging / "run.json").write_bytes(b"{}")
    assert not staging.exists()
    assert store.read("runs/a/1/run.json") is None
    assert list_sealed(store, "a/1") == set()
    assert store.remove_unfinished() == 0


def test_store_describes_its_location(store: Store):
    assert store.describe("runs/a/1").endswith("/runs/a/1")
    assert store.describe("").rstrip("/") in store.address
    assert store.local_folder.is_dir()
