"""Where the keys of unsubscribe links come from."""

from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.settings import load_settings

NEW, OLD = "the-new-key-of-32-characters-xxx", "the-old-key-of-32-characters-xxx"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAILRUN_UNSUBSCRIBE_KEYS", "MAILRUN_UNSUBSCRIBE_KEYS_FILE", "MAILRUN_STORE", "MAILRUN_LEDGER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("written", [f"{NEW},{OLD}", f"{NEW} {OLD}", f"{NEW}\n{OLD}\n", f'["{NEW}", "{OLD}"]'])
def test_keys_come_from_the_environment_the_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", written)
    assert load_settings(tmp_path).read_unsubscribe_keys() == (NEW.encode(), OLD.encode())


def test_keys_come_from_a_secret_file_one_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text(f"{NEW}\n{OLD}\n", encoding="ascii")
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS_FILE", str(tmp_path / "keys"))
    assert load_settings(tmp_path).read_unsubscribe_keys() == (NEW.encode(), OLD.encode())
    monkeypatch.delenv("MAILRUN_UNSUBSCRIBE_KEYS_FILE")
    (tmp_path / "mailrun.toml").write_text('unsubscribe_keys_file = "keys"\n', encoding="utf-8")
    assert load_settings(tmp_path).read_unsubscribe_keys() == (NEW.encode(), OLD.encode())


@pytest.mark.parametrize(
    ("keys", "content", "what"),
    [
        (f"{NEW}", f"{OLD}", "unsubscribe_keys and unsubscribe_keys_file are both set"),
        (None, None, "the unsubscribe keys cannot be read: No such file or directory"),
        (None, "\n", "the file has no key"),
        (None, "short", "a key must have at least 16 characters"),
        ("short", None, "a key must have at least 16 characters"),
        ("[oops", None, "the setting unsubscribe_keys is wrong"),
    ],
)
def test_wrong_keys_are_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str | None, content: str | None, what: str
) -> None:
    if keys is not None:
        monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", keys)
    if content is not None:
        (tmp_path / "keys").write_text(content, encoding="ascii")
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS_FILE", "keys")
    with pytest.raises(ConfigurationError, match=what) as caught:
        load_settings(tmp_path).read_unsubscribe_keys()
    assert NEW not in str(caught.value)
    assert OLD not in str(caught.value)
