"""Files of killed commands are removed once no process can be using them, and kept until then."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.ledger.database import Ledger, open_ledger
from engine.run.retain import leftovers
from engine.run.retain.leftovers import remove_old
from engine.store import files, unfinished
from engine.store.files import digest_bytes, locked
from engine.store.folder import FolderStore
from engine.store.outcomes_files import STAGED, OutcomesFiles
from engine.store.port import Store
from engine.store.sealed import SEALED

NOW = datetime.now(UTC)  # the files of the test are as old as the test
LONG_AGO = NOW - timedelta(days=90)
RUN = "hello/test"
DIGEST = digest_bytes(b"{}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def seal(store: Store, staging: Path) -> Path:
    for part in ("campaign", "plan"):
        (staging / part).mkdir()
        (staging / part / "file").write_bytes(b"x")
    (staging / "run.json").write_bytes(b"{}")
    store.seal(staging, RUN, DIGEST)
    return store.local_folder / SEALED / RUN / DIGEST


def test_a_sealed_plan_goes_with_the_launch_that_made_it_and_not_before(store: Store, ledger: Ledger) -> None:
    with store.stage(RUN) as staging:
        sealed = seal(store, staging)
        assert remove_old(store, ledger, LONG_AGO, NOW) == []
        assert sealed.exists()
    assert remove_old(store, ledger, LONG_AGO, NOW) == [str(sealed)]
    assert not sealed.exists()


def test_a_launch_that_registers_at_the_last_moment_keeps_its_plan(
    store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may register its run and end between the list of plans and the look at its lock."""
    with store.stage(RUN) as staging:
        sealed = seal(store, staging)
    answers = iter([None, DIGEST])
    monkeypatch.setattr(leftovers, "_find_registered", lambda *_: next(answers))
    assert remove_old(store, ledger, LONG_AGO, NOW) == []
    assert sealed.exists()


def test_where_nobody_can_know_a_sealed_plan_stays_until_it_is_old(
    store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.stage(RUN) as staging:
        sealed = seal(store, staging)
    monkeypatch.setattr(store, "is_abandoned", lambda _: None)
    assert remove_old(store, ledger, LONG_AGO, NOW) == []
    later = NOW + timedelta(hours=2)
    assert remove_old(store, ledger, later, later) == [str(sealed)]


def test_staged_folder_of_a_killed_plan_is_removed_and_a_live_one_stays(store: Store) -> None:
    left = store.local_folder / "runs" / "hello" / f".other.{'a' * 32}"
    (left / "plan").mkdir(parents=True)
    (left / "plan" / ".rows.scratch").write_bytes(b"x")
    with store.stage(RUN) as staging:
        assert store.remove_unfinished() == 1
        assert staging.exists()
    assert not left.exists()


def test_prune_waits_while_a_folder_is_made_and_not_yet_locked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, pruned = files.lock, list[int]()
    pruning = threading.Thread(target=lambda: pruned.append(store.remove_unfinished()))

    def prune_then_lock(path: Path, flags: int = 0) -> int:
        if path.name.startswith(".test.") and not flags and not pruning.is_alive() and not pruned:
            waits = threading.Event()
            monkeypatch.setattr(unfinished, "locked", partial(note, waits))
            pruning.start()
            assert waits.wait(20)  # prune has come to the folder around the new one
            assert path.exists()
        return lock(path, flags)

    @contextmanager
    def note(waits: threading.Event, path: Path) -> Iterator[None]:
        waits.set()
        with locked(path):
            yield

    monkeypatch.setattr(unfinished, "lock", prune_then_lock)
    with store.stage(RUN) as staging:
        pruning.join(60)
        assert (pruned, staging.exists()) == ([0], True)


def test_rewritten_outcomes_never_moved_are_removed_once_old(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    files = OutcomesFiles(store, f"runs/{RUN}")

    def die(*_: Any) -> bool:
        raise InterruptedError

    with monkeypatch.context() as patched, suppress(InterruptedError):
        patched.setattr(store, "move", die)  # the moment before a file is in place
        files.replace("lease-00000-1.parquet", b"x")
    assert files.remove_unfinished(NOW - timedelta(hours=1)) == 0
    assert files.remove_unfinished(NOW + timedelta(hours=1)) == 1
    assert not list((store.local_folder / "runs" / RUN / STAGED).iterdir())
