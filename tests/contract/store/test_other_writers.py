"""Who else can write a store: named, with the command that puts it right."""

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.errors import UsageError
from engine.logs import capture_logs
from engine.settings import load_settings
from engine.store.other_writers import describe_other_writers
from engine.workspace import warn_of_other_writers
from engine.workspace_folder import find_workspace


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    folder = tmp_path / "workspace" / "store"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        path.chmod(0o755)
    return folder


def describe(place: Path) -> list[str]:
    return list(describe_other_writers(place))


def name_group(monkeypatch: pytest.MonkeyPatch, name: str | None, path: Path) -> None:
    """Let the group of a path have a name, and another number than root's."""
    group = 4242
    if os.geteuid() == 0:
        os.chown(path, -1, group)
    else:
        group = path.stat().st_gid

    def find(number: int) -> SimpleNamespace:
        if number != group or name is None:
            raise KeyError(number)
        return SimpleNamespace(gr_name=name)

    monkeypatch.setattr(grp, "getgrgid", find)


def test_a_private_store_has_no_other_writers(store: Path) -> None:
    assert describe(store) == []
    assert describe(store / "ledger.db") == []


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_store_that_everybody_can_write_is_named(store: Path, mode: int) -> None:
    store.chmod(mode)
    assert describe(store) == [f"all users of this machine can write {store}; to correct that, run: chmod o-w {store}"]


def test_parent_folder_counts_unless_it_is_sticky(store: Path) -> None:
    store.parent.chmod(0o777)
    assert describe(store) == [
        f"all users of this machine can write {store.parent}; to correct that, run: chmod o-w {store.parent}"
    ]
    store.parent.chmod(0o1777)
    assert describe(store) == []


def test_a_link_to_it_is_followed(store: Path, tmp_path: Path) -> None:
    store.chmod(0o777)
    (tmp_path / "link").symlink_to(store)
    assert describe(tmp_path / "link")[0].endswith(f"chmod o-w {store}")


def test_a_ledger_file_that_everybody_can_write_is_named(store: Path) -> None:
    (store / "ledger.db").touch()
    (store / "ledger.db").chmod(0o666)
    assert describe(store / "ledger.db")[0].endswith(f"chmod o-w {store / 'ledger.db'}")


@pytest.mark.parametrize(("name", "is_named"), [("staff", True), (None, False), ("me", False)])
def test_a_group_is_named_where_others_may_be_in_it(
    store: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, *, is_named: bool
) -> None:
    """Not one without a name, as `fsGroup` and OpenShift have them, and not the user's own."""
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="me"))
    name_group(monkeypatch, name, store)
    store.chmod(0o770)
    words = [f"the group {name} can write {store}; if that is not intended, run: chmod g-w {store}"]
    assert describe(store) == (words if is_named else [])


def test_roots_group_is_how_openshift_gives_a_volume(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = store.stat()
    seen = os.stat_result((0o42770, *state[1:4], 0, 0, *state[6:]))
    look = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **given: seen if path == store else look(path, **given))
    monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name=f"group {number}"))
    assert describe(store) == []


def test_another_users_store_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = store.stat()
    seen = os.stat_result((0o40755, *state[1:4], 4242, 4242, *state[6:]))
    look = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **given: seen if path == store else look(path, **given))
    monkeypatch.setattr(pwd, "getpwuid", lambda number: SimpleNamespace(pw_name="ann" if number == 4242 else "me"))
    assert describe(store) == [
        f"{store} belongs to the user ann; if that is not intended, give it to this user with chown"
    ]


def test_opening_a_workspace_checks_store_ledger_and_settings_file(store: Path) -> None:
    (store.parent / "mailrun.toml").write_text(f'store = "{store}"\nledger = "sqlite:///ledger.db"\n', encoding="utf-8")
    (store.parent / "ledger.db").touch()
    written = [store, store.parent / "mailrun.toml", store.parent / "ledger.db"]
    for path in written:
        path.chmod(0o666)
    with capture_logs() as logs:
        warn_of_other_writers(load_settings(store.parent))
    assert [log["note"].rpartition(" ")[2] for log in logs if log["event"] == "store.others_can_write"] == [
        str(path) for path in written
    ]


def test_a_pod_has_no_other_users(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.chmod(0o777)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert describe(store) == []


def test_workspace_in_a_world_writable_parent_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared" / "campaigns").mkdir(parents=True)
    (tmp_path / "shared" / "mine").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    monkeypatch.chdir(tmp_path / "shared" / "mine")
    with pytest.raises(UsageError, match="where every user of this machine can write"):
        find_workspace(None)
    monkeypatch.chdir(tmp_path / "shared")
    assert find_workspace(None) == tmp_path / "shared"
