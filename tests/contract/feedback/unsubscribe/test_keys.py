"""Which keys sign and verify unsubscribe links: those of the settings, and the store's own."""

from pathlib import Path

import pytest

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import ConfigurationError
from engine.feedback.unsubscribe.lambda_handler import make_lambda_handler
from engine.store.keys import UNSUBSCRIBE_KEY
from engine.workspace import open_workspace

NEW, OLD = "a new key of 26 characters", "an old key of 26 character"
WHOM = ("ann@b.example", "news")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KEYS", "KEYS_FILE"):
        monkeypatch.delenv(f"MAILRUN_UNSUBSCRIBE_{name}", raising=False)
    monkeypatch.setenv("MAILRUN_WORKSPACE", str(tmp_path))


def set_keys(monkeypatch: pytest.MonkeyPatch, folder: Path, *keys: str, in_file: bool) -> None:
    if in_file:
        (folder / "keys").write_text("\n".join(key.replace(" ", "-") for key in keys))
        monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS_FILE", "keys")
    else:
        monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", ",".join(key.replace(" ", "-") for key in keys))


@pytest.mark.parametrize("in_file", [False, True], ids=["variable", "file"])
def test_keys_that_are_set_do_not_break_links_of_the_stores_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_file: bool
) -> None:
    with open_workspace(tmp_path) as place:
        assert place.find_unsubscribe_keys().describe().startswith("none yet; the first launch creates")
        stored = TokenSigner(place.read_signing_keys()).sign(*WHOM)
        assert "signs and verifies" in place.find_unsubscribe_keys().describe()
    set_keys(monkeypatch, tmp_path, NEW, OLD, in_file=in_file)
    with open_workspace(tmp_path) as place:
        signer, verifier = TokenSigner(place.read_signing_keys()), TokenSigner(place.read_verifying_keys().all)
        described = place.find_unsubscribe_keys()
        assert described.to_json() == {"configured": 2, "signs": "settings", "stored": True}
        assert described.describe().startswith("2 in the settings, the first signs; the store's own (")
        assert described.describe().endswith("/unsubscribe.key) still verifies")
        assert NEW.replace(" ", "-") not in repr(described)
    new = signer.sign(*WHOM)
    old = TokenSigner([OLD.replace(" ", "-").encode()]).sign(*WHOM)
    assert TokenSigner([NEW.replace(" ", "-").encode()]).verify(new) == WHOM, "the newest key signs"
    assert [verifier.verify(token) for token in (new, old, stored)] == [WHOM] * 3
    event = {"rawPath": f"/u/{stored}", "requestContext": {"http": {"method": "GET"}}}
    assert make_lambda_handler(tmp_path)(event, None)["statusCode"] == 200


def test_keys_that_are_set_leave_a_store_without_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch, tmp_path, NEW, in_file=False)
    with open_workspace(tmp_path) as place:
        place.read_signing_keys()
        assert place.find_unsubscribe_keys().to_json() == {"configured": 1, "signs": "settings", "stored": False}
        assert place.find_unsubscribe_keys().describe().endswith("the store has no key")


def test_a_link_of_a_stores_key_that_was_deleted_is_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_workspace(tmp_path) as place:
        token = TokenSigner(place.read_signing_keys()).sign(*WHOM)
    (tmp_path / ".mailrun" / UNSUBSCRIBE_KEY).unlink()
    set_keys(monkeypatch, tmp_path, NEW, in_file=False)
    with open_workspace(tmp_path) as place:
        assert TokenSigner(place.read_verifying_keys().all).verify(token) is None


@pytest.mark.parametrize("configured", [False, True])
def test_a_damaged_key_of_the_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, configured: bool
) -> None:
    if configured:
        set_keys(monkeypatch, tmp_path, NEW, in_file=False)
    with open_workspace(tmp_path) as place:
        place.store.create(UNSUBSCRIBE_KEY, b"\n")
        with pytest.raises(ConfigurationError, match=r"is damaged \(.*unsubscribe\.key\).*restore it from a backup"):
            place.read_signing_keys()


def test_without_any_key_no_server_starts(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as place, pytest.raises(ConfigurationError, match="MAILRUN_UNSUBSCRIBE_KEYS"):
        place.read_verifying_keys()
