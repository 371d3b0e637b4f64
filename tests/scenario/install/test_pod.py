"""A restricted pod: any user id without a name, no HOME, no capabilities, every mount read-only but one.

Where this user may not make a mount namespace, the workspace's permissions are what keeps mailrun from writing there;
and in any case nothing may have changed outside the one folder.
"""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support import s3
from support.invariants import count_received
from support.pod import can_isolate, in_pod
from support.world import RUN, Finished, World, finish

IS_ISOLATED = can_isolate()
GONE = ("HOME", "LOGNAME", "USER", "USERNAME", "LNAME", "TMPDIR", "TEMP", "TMP", "SQLITE_TMPDIR", "XDG_CACHE_HOME")


class Pod:
    """Runs commands of a world with one folder to write in."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        for path in (world.folder, *world.folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        self.before = self._look()

    def run(self, *arguments: str, **environment: str) -> Finished:
        prefix = in_pod(self.world.folder, self.folder) if IS_ISOLATED else []
        kept = {name: value for name, value in self.world.environment().items() if name not in GONE}
        process = subprocess.Popen(
            [*prefix, *self.world.command(*arguments)],
            cwd=self.world.folder,
            env=kept | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        finished = finish(process, 300)
        assert self._look() == self.before, "something was written outside the one folder"
        return finished

    def _look(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (self.world.folder, *self.world.folder.rglob("*"))}


@pytest.fixture
def pod(world: World, tmp_path: Path) -> Iterator[Pod]:
    world.write_people(50)
    world.write("audiences/list.csv", "email\nperson1@example.com\n")
    yield Pod(world, tmp_path / "volume")
    for path in (world.folder, *world.folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)  # so that pytest can remove it


def test_a_launch_with_its_store_on_the_one_volume(pod: Pod) -> None:
    store = {"MAILRUN_STORE": str(pod.folder / "store")}
    refused = pod.run("suppress", "import", "audiences/list.csv", **store)
    if IS_ISOLATED:  # otherwise /tmp can be written
        assert (refused.code, "set MAILRUN_SCRATCH, or TMPDIR" in refused.stderr) == (78, True), refused.stderr
    store["MAILRUN_SCRATCH"] = str(pod.folder / "scratch")
    assert pod.run("suppress", "import", "audiences/list.csv", **store).code == 0
    launched = pod.run("launch", "hello", "--key", "test", "--json", **store)
    assert (launched.code, launched.json.get("sent")) == (0, 49), launched.stderr
    assert set(count_received(pod.world).values()) == {1}


def test_a_launch_with_its_store_in_a_bucket_and_the_scratch_folder(pod: Pod) -> None:
    with s3.run_moto() as url:
        place = s3.environment(url) | {
            "AWS_ENDPOINT_URL_SESV2": pod.world.server.url,
            "MAILRUN_STORE": f"s3://{s3.BUCKET}/store",
            "MAILRUN_SCRATCH": str(pod.folder / "scratch"),
        }
        no_ledger = pod.run("status", **place)
        assert (no_ledger.code, "choose another with --store or --ledger" in no_ledger.stderr) == (78, True)
        place["MAILRUN_LEDGER"] = f"sqlite:///{pod.folder / 'ledger.db'}"
        launched = pod.run("launch", "hello", "--key", "test", "--json", **place)
        assert (launched.code, launched.json.get("sent")) == (0, 50), launched.stderr
        with closing(s3.open_client(url)) as client:
            keys = [one["Key"] for one in client.list_objects_v2(Bucket=s3.BUCKET)["Contents"]]
    assert f"store/runs/{RUN}/run.json" in keys
    assert {path.name for path in (pod.folder / "scratch").iterdir()} >= {"copies", "tmp"}
    assert not list((pod.folder / "scratch" / "tmp").iterdir())
