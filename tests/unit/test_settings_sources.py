"""Settings: flags before MAILRUN_* before mailrun.toml, and every mistake named."""

import os
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.settings import load_settings

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MAILRUN_")]:
        monkeypatch.delenv(name)


def write(workspace: Path, text: str) -> None:
    (workspace / "mailrun.toml").write_text(text, encoding="utf-8")


def test_without_anything_said_all_is_in_the_workspace(tmp_path: Path):
    settings = load_settings(tmp_path)
    assert settings.store_folder == tmp_path / ".mailrun"
    assert settings.ledger_url == f"sqlite:///{tmp_path}/.mailrun/ledger.db"
    assert settings.unsubscribe_keys == ()


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, 'store = "from-file"\nledger = "sqlite:////from-file"\n')
    assert load_settings(tmp_path).store == "from-file"
    monkeypatch.setenv("MAILRUN_STORE", "from-environment")
    assert load_settings(tmp_path, store=None).store == "from-environment"
    settings = load_settings(tmp_path, store="from-flag", ledger=None)
    assert (settings.store, settings.ledger_url) == ("from-flag", "sqlite:////from-file")


def test_keys_of_sections_have_names_of_their_own_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    topics = ("arn:aws:sns:eu-west-1:123456789012:a", "arn:aws:sns:eu-west-1:123456789012:*")
    write(
        tmp_path,
        f'[events]\nqueue = "{QUEUE}/file"\ntopics = ["{topics[0]}"]\n[suppression]\nsoft_days = 7\n',
    )
    settings = load_settings(tmp_path)
    assert (settings.events.queue, settings.events.topics) == (
        f"{QUEUE}/file",
        topics[:1],
    )
    assert (settings.suppression.soft_bounces, settings.suppression.soft_days) == (3, 7)
    monkeypatch.setenv("MAILRUN_EVENTS_QUEUE", f"{QUEUE}/environment")
    monkeypatch.setenv("MAILRUN_SUPPRESSION_SOFT_BOUNCES", "5")
    settings = load_settings(tmp_path)
    assert (settings.events.queue, settings.events.topics) == (
        f"{QUEUE}/environment",
        topics[:1],
    )
    assert (settings.suppression.soft_bounces, settings.suppression.soft_days) == (5, 7)
    monkeypatch.setenv("MAILRUN_EVENTS_TOPICS", " ".join(topics))
    assert load_settings(tmp_path).events.topics == topics


def test_the_ledger_is_in_the_store_wherever_that_is(tmp_path: Path):
    assert load_settings(tmp_path, store="/elsewhere").ledger_url == "sqlite:////elsewhere/ledger.db"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('stoer = "x"', "stoer is not a setting.*did you mean store"),
        ("store = 7", "the setting store is wrong.*correct or remove it"),
        ('store = ""', "the setting store is wrong"),
        ('store = "gs://bucket"', "a folder or a bucket, not gs://bucket"),
        ('store = "s3://"', "a folder or a bucket, not s3://"),
        ('unsubscribe_keys = ["short"]', "unsubscribe_keys is wrong.*at least 16 characters"),
        ("store = ", "not valid TOML"),
        ('[events]\nquee = "https://x"', r"events\.quee is not a setting.*did you mean events\.queue"),
        ('[events]\nqueue = "sqs"', r"the setting events\.queue is wrong"),
        ('[events]\ntopics = ["t"]', "t is no topic's ARN"),
        ("[suppression]\nsoft_bounces = 1", r"suppression\.soft_bounces is wrong.*MAILRUN_SUPPRESSION_SOFT_BOUNCES"),
        ("events = 7", "the setting events is wrong"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_remedy(tmp_path: Path, text: str, words: str):
    write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=words):
        load_settings(tmp_path)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"store = \x00"])
def test_a_file_that_is_no_text_is_named(tmp_path: Path, data: bytes):
    (tmp_path / "mailrun.toml").write_bytes(data)
    with pytest.raises(ConfigurationError, match="not valid TOML") as raised:
        load_settings(tmp_path)
    assert raised.value.where == str(tmp_path / "mailrun.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "mailrun.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot be read.*make it readable"):
        load_settings(tmp_path)


def test_a_secret_is_never_shown(tmp_path: Path):
    secret = "0123456789abcdef-hush"
    write(tmp_path, f'unsubscribe_keys = ["{secret}"]')
    settings = load_settings(tmp_path)
    assert settings.unsubscribe_keys[0].get_secret_value() == secret
    assert "hush" not in f"{settings!r} {settings}"
    write(tmp_path, 'unsubscribe_keys = ["short-hush"]')
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path)
    assert "hush" not in str(raised.value)
