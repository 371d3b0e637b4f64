"""`[dns] nameservers`."""

from pathlib import Path

import pytest

from engine.authentication.resolver import split_nameserver
from engine.errors import ConfigurationError
from engine.settings import load_settings


def test_setting_lists_name_servers_of_the_file(tmp_path: Path):
    (tmp_path / "mailrun.toml").write_text('[dns]\nnameservers = ["192.0.2.53", "127.0.0.1:5353", "[::1]:53", "::1"]\n')
    servers = load_settings(tmp_path).dns.nameservers
    assert [split_nameserver(one) for one in servers] == [
        ("192.0.2.53", 53),
        ("127.0.0.1", 5353),
        ("::1", 53),
        ("::1", 53),
    ]


def test_setting_lists_name_servers_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAILRUN_DNS_NAMESERVERS", "127.0.0.1:5353, 127.0.0.2")
    assert load_settings(tmp_path).dns.nameservers == ("127.0.0.1:5353", "127.0.0.2")
    monkeypatch.setenv("MAILRUN_DNS_NAMESERVERS", "")
    assert load_settings(tmp_path).dns.nameservers == ()


@pytest.mark.parametrize("wrong", ["ns.acme.example", "127.0.0.1:0", "127.0.0.1:70000", "[::1]x", "127.0.0.1:"])
def test_setting_refuses_what_is_not_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str):
    monkeypatch.setenv("MAILRUN_DNS_NAMESERVERS", wrong)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert "MAILRUN_DNS_NAMESERVERS" in caught.value.where
    assert wrong in caught.value.what
