"""Settings: flags before MAILRUN_* before mailrun.toml; every mistake is named."""

import os
import re
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.masking import mask_url
from engine.setting_sources import Source, find_source
from engine.settings import load_settings

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MAILRUN_")]:
        monkeypatch.delenv(name)


def write(workspace: Path, text: str) -> None:
    (workspace / "mailrun.toml").write_text(text, encoding="utf-8")


def test_store_and_ledger_are_in_the_workspace_by_default(tmp_path: Path):
    settings = load_settings(tmp_path)
    assert settings.store_folder == tmp_path / ".mailrun"
    assert settings.ledger_url == f"sqlite:///{tmp_path}/.mailrun/ledger.db"
    assert settings.unsubscribe_keys == ()


def test_scratch_holds_the_copies_of_a_bucket_and_never_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The scratch folder may be lost with a pod, and a ledger must not."""
    monkeypatch.setenv("MAILRUN_STORE", "s3://bucket/mailrun")
    settings = load_settings(tmp_path)
    assert (settings.store_folder, settings.scratch_folder) == (tmp_path / ".mailrun", None)
    monkeypatch.setenv("MAILRUN_SCRATCH", "/scratch\n")
    settings = load_settings(tmp_path)
    assert (settings.store_folder, settings.scratch_folder) == (Path("/scratch"), Path("/scratch"))
    assert settings.ledger_url == f"sqlite:///{tmp_path}/.mailrun/ledger.db"
    monkeypatch.delenv("MAILRUN_SCRATCH")
    write(tmp_path, 'scratch = "local"\n')
    assert load_settings(tmp_path).store_folder == tmp_path / "local"
    settings = load_settings(tmp_path, store="folder")
    assert (settings.store_folder, settings.scratch_folder) == (tmp_path / "folder", tmp_path / "local")
    assert settings.ledger_url == f"sqlite:///{tmp_path}/folder/ledger.db"


def test_scratch_is_a_folder_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAILRUN_SCRATCH", "s3://bucket/scratch")
    expected = "scratch must be a folder on this machine, not s3://bucket/scratch"
    with pytest.raises(ConfigurationError, match=expected) as e:
        load_settings(tmp_path)
    assert e.value.where == "MAILRUN_SCRATCH"


@pytest.mark.parametrize("key", ["store", "scratch"])
def test_a_home_folder_that_a_user_does_not_have_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
):
    """A container's user id may have no entry in the machine's list of users, and no HOME."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4242_4242)
    write(tmp_path, f'{key} = "~/mailrun"\n')
    with pytest.raises(ConfigurationError, match="this user has no home folder") as error:
        load_settings(tmp_path)
    assert error.value.where == f"{tmp_path}/mailrun.toml:1, {key}"


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, 'store = "from-file"\nledger = "sqlite:////from-file"\n')
    assert load_settings(tmp_path).store == "from-file"
    monkeypatch.setenv("MAILRUN_STORE", "from-environment")
    assert load_settings(tmp_path, store=None).store == "from-environment"
    settings = load_settings(tmp_path, store="from-flag", ledger=None)
    assert (settings.store, settings.ledger_url) == ("from-flag", "sqlite:////from-file")


def test_variables_outside_sections_may_be_in_small_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, 'store = "from-file"\n')
    monkeypatch.setenv("mailrun_store", "from-environment")
    assert load_settings(tmp_path).store == "from-environment"


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
        ('[events]\ntopics = ["t"]', "t is not the ARN of a topic"),
        ("[suppression]\nsoft_bounces = 1", r"suppression\.soft_bounces is wrong.*MAILRUN_SUPPRESSION_SOFT_BOUNCES"),
        ("events = 7", "the setting events is wrong"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_remedy(tmp_path: Path, text: str, words: str):
    write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=words):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAILRUN_LEDGR", "postgresql://h/d", "MAILRUN_LEDGR is not a setting.*did you mean MAILRUN_LEDGER"),
        ("MAILRUN_EVENT_QUEUE", "x", "did you mean MAILRUN_EVENTS_QUEUE"),
        ("MAILRUN_EVENTS", '{"queue": "https://q/3"}', "did you mean MAILRUN_EVENTS_"),
        ("MAILRUN_SUPPRESSION", "{}", "did you mean MAILRUN_SUPPRESSION_"),
        ("MAILRUN_UNSUBSCRIBE_PAGE", "x", "MAILRUN_UNSUBSCRIBE_PAGE is not a setting"),
        ("mailrun_events", "x", "one variable cannot set a section of settings.*MAILRUN_EVENTS_QUEUE"),
        ("MAILRUN_", "x", "MAILRUN_ is not a setting"),
        ("MAILRUN_SMTP_PORT", "587", "MAILRUN_SMTP_PORT is not a setting"),
        ("MAILRUN_STORE", os.fsdecode(b"\xe9"), "the value of MAILRUN_STORE is not valid UTF-8"),
    ],
)
def test_variable_that_is_not_a_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=words):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILRUN_SERVICE_HOST", "10.0.0.11"),
        ("MAILRUN_SERVICE_PORT", "8026"),
        ("MAILRUN_SERVICE_PORT_HTTP", "8026"),
        ("MAILRUN_PORT", "tcp://10.0.0.11:8026"),
        ("MAILRUN_PORT_8026_TCP", "tcp://10.0.0.11:8026"),
        ("MAILRUN_PORT_8026_TCP_PROTO", "tcp"),
        ("MAILRUN_PORT_8026_TCP_ADDR", "10.0.0.11"),
        ("MAILRUN_UNSUBSCRIBE_SERVER_PORT", "tcp://10.0.0.11:8026"),
        ("MAILRUN_UNSUBSCRIBE_SERVER_SERVICE_HOST", "10.0.0.11"),
        ("OTHER_MAILRUN_LEDGR", "x"),
    ],
)
def test_variable_of_a_kubernetes_service_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(name, value)
    assert load_settings(tmp_path).store == ".mailrun"


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("s3:/bucket", "not s3:/bucket.*did you mean s3://bucket"),
        ("s3:bucket", "did you mean s3://bucket"),
        ("S3://bucket/p", "did you mean s3://bucket/p"),
        ("s3//bucket", "did you mean s3://bucket"),
        ("s3:///prefix", "a folder or a bucket"),
        ("file:///srv/store", "write the folder alone: /srv/store"),
        ("postgresql://u:hush@h/d", r"not postgresql://u:\*\*\*@h/d"),
    ],
)
def test_store_that_is_almost_a_bucket_is_refused(tmp_path: Path, store: str, words: str):
    with pytest.raises(ConfigurationError, match=words) as raised:
        load_settings(tmp_path, store=store)
    assert raised.value.where == "--store"


@pytest.mark.parametrize("store", ["s3://bucket", "s3://my.bucket/a/b", "a/b", "/a/b", "./a:b", "s3/bucket"])
def test_store_as_people_write_it_is_accepted(tmp_path: Path, store: str):
    assert load_settings(tmp_path, store=f" {store}\n").store == store


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        ("sqlite://ledger.db", "did you mean sqlite:///ledger.db"),
        ("sqlite:/srv/ledger.db", "did you mean sqlite:///srv/ledger.db"),
        ("/srv/ledger.db", "did you mean sqlite:////srv/ledger.db"),
        ("sqlite://", "invalid URL of a ledger"),
        ("sqlite:///:memory:", "invalid URL of a ledger"),
        ("file:///srv/ledger.db", "invalid URL of a ledger"),
        ("s3://bucket", "invalid URL of a ledger"),
        ("postgresql:/u:hush@h/d", r"postgresql:/u:\*\*\*@h/d.*did you mean postgresql://u"),
        ("POSTGRES://h/d", "did you mean postgresql://h/d"),
        ("mysql://h/d", "postgresql://user@host/database"),
    ],
)
def test_ledger_that_sqlalchemy_would_read_otherwise_is_refused(tmp_path: Path, ledger: str, words: str):
    with pytest.raises(ConfigurationError, match=words) as raised:
        load_settings(tmp_path, ledger=ledger)
    assert "hush" not in str(raised.value)
    assert raised.value.where == "--ledger"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ledger", "url"),
    [
        ("sqlite:////srv/ledger.db", "sqlite:////srv/ledger.db"),
        ("sqlite:///data/ledger.db", "sqlite:///{workspace}/data/ledger.db"),
        ("postgresql://u@h/d?sslmode=require\n", "postgresql://u@h/d?sslmode=require"),
        ("postgres://u@h/d", "postgres://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_ledger_url_is_the_same_in_every_folder(tmp_path: Path, ledger: str, url: str):
    assert load_settings(tmp_path, ledger=ledger).ledger_url == url.format(workspace=tmp_path)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://ann:hush@h:5432/d", "postgresql://ann:***@h:5432/d"),
        ("postgresql://ann:h@us:h/x@h/d", "postgresql://ann:***@h/d"),
        ("postgresql://ann@h:5432/d?sslpassword=hush&a=b", "postgresql://ann@h:5432/d?sslpassword=***&a=b"),
        ("sqlite:////home/a@b/ledger.db", "sqlite:////home/a@b/ledger.db"),
    ],
)
def test_mask_url_hides_passwords_alone(url: str, masked: str):
    assert mask_url(url) == masked


def test_source_of_a_setting_is_found_where_it_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, '# ours\nstore = "a"\n\n[events]\nqueue = "https://q/1"\n')
    assert find_source("store", tmp_path, {}) == Source("mailrun.toml", f"{tmp_path}/mailrun.toml:2")
    assert find_source("events.queue", tmp_path, {}) == Source("mailrun.toml", f"{tmp_path}/mailrun.toml:5")
    assert find_source("ledger", tmp_path, {}) == Source("default")
    monkeypatch.setenv("MAILRUN_EVENTS_QUEUE", "https://q/2")
    assert find_source("events.queue", tmp_path, {}) == Source("variable", "MAILRUN_EVENTS_QUEUE")
    assert find_source("store", tmp_path, {"store": "b"}) == Source("option", "--store")


def test_mistake_in_the_file_names_its_line(tmp_path: Path):
    write(tmp_path, "\n[suppression]\nsoft_days = 0\n")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path)
    assert raised.value.where == f"{tmp_path}/mailrun.toml:3, suppression.soft_days"


@pytest.mark.parametrize("data", [b"\xff\xfe", b"store = \x00"])
def test_file_that_is_not_text_is_named(tmp_path: Path, data: bytes):
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


def test_section_is_not_offered_as_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAILRUN_EVENT_QUEUE", "x")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path)
    offered = raised.value.remedy.partition("Available: ")[2].split(", ")
    assert not {"MAILRUN_EVENTS", "MAILRUN_SUPPRESSION", "MAILRUN_UNSUBSCRIBE_PAGE"} & set(offered)


LISTS = (
    ("events", "topics"),
    ("inbound", "buckets"),
    ("inbound", "feedback_sources"),
    ("unsubscribe_server", "allow_hosts"),
    ("sandbox", "allow_hosts"),
    ("ses", "own_addresses"),
    ("dns", "nameservers"),
)


@pytest.mark.parametrize(("section", "key"), LISTS)
@pytest.mark.parametrize("text", ["", " ", ",", " ,\n"])
def test_a_list_that_is_empty_in_the_environment_is_an_empty_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, key: str, text: str
):
    monkeypatch.setenv(f"MAILRUN_{section}_{key}".upper(), text)
    assert getattr(getattr(load_settings(tmp_path), section), key) == ()


@pytest.mark.parametrize(("section", "key"), LISTS)
def test_an_empty_text_in_a_list_is_refused(tmp_path: Path, section: str, key: str):
    write(tmp_path, f'[{section}]\n{key} = [""]\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert key in caught.value.where


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ('kind = "slak"', ":2, notify.targets.ops.kind", "MAILRUN_NOTIFY_TARGETS in the environment"),
        ('kind = "slack"\non = ["begun"]', ":3, notify.targets.ops.on", "MAILRUN_NOTIFY_TARGETS in the environment"),
        ('kind = "email"', ":1, notify.targets.ops", "set from|MAILRUN_NOTIFY_TARGETS in the environment"),
        ('kind = "json"\nsecert_file = "x"', ":3, notify.targets.ops.secert_file", "did you mean secret_file"),
    ],
)
def test_mistake_in_a_target_names_its_line_and_what_replaces_it(tmp_path: Path, text: str, where: str, words: str):
    write(tmp_path, f"[notify.targets.ops]\n{text}\n")
    with pytest.raises(ConfigurationError) as wrong:
        load_settings(tmp_path)
    assert wrong.value.where == f"{tmp_path}/mailrun.toml{where}"
    assert re.search(words, f"{wrong.value.what} {wrong.value.remedy}")


def test_mistake_in_a_target_of_the_environment_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAILRUN_NOTIFY_TARGETS", '{"ops": {"kind": "slak"}}')
    write(tmp_path, '[notify]\nlink = "https://acme.example/{run}"\n')
    with pytest.raises(ConfigurationError) as wrong:
        load_settings(tmp_path)
    assert wrong.value.where == "MAILRUN_NOTIFY_TARGETS"
