"""The settings in use: shown with their sources, and logged before anything is done."""

import json

from support.world import World

SECRET = "0123456789abcdef-hush"


def test_config_shows_every_setting_with_its_source_and_no_secret(world: World):
    world.write("mailrun.toml", "\n[suppression]\nsoft_days = 7\n")
    world.settings |= {
        "MAILRUN_UNSUBSCRIBE_KEYS": f"{SECRET},{SECRET}",
        "MAILRUN_SMTP_PASSWORD": SECRET,
        "MAILRUN_LEDGER": f"postgresql://ann:{SECRET}@db.example/mail?sslpassword={SECRET}",
    }
    shown = world.run("config", "--store", "here", "--json")
    assert SECRET not in shown.stdout + shown.stderr
    settings = shown.json["settings"]
    assert settings["store"] == {
        "value": "here",
        "used": str(world.folder / "here"),
        "source": "option",
        "where": "--store",
    }
    assert settings["ledger"] == {
        "value": "postgresql://ann:***@db.example/mail?sslpassword=***",
        "source": "variable",
        "where": "MAILRUN_LEDGER",
    }
    assert settings["suppression.soft_days"] == {
        "value": 7,
        "source": "mailrun.toml",
        "where": f"{world.folder}/mailrun.toml:3",
    }
    assert settings["suppression.soft_bounces"] == {"value": 3, "source": "default", "where": None}
    assert settings["unsubscribe_keys"]["value"] == ["***", "***"]
    assert "unsubscribe.key of the store, if there is one, still verifies" in settings["unsubscribe_keys"]["used"]
    assert settings["smtp_password"]["value"] == "***"
    for_people = world.run("--store", "here", "config")
    assert SECRET not in for_people.stdout
    assert f"{world.folder}/mailrun.toml:3" in for_people.stdout


def test_unknown_variable_stops_every_command_before_it_creates_anything(world: World):
    for arguments in (("status",), ("plan", "hello"), ("config",), ("suppress", "list"), ("sandbox",)):
        refused = world.run(*arguments, MAILRUN_LEDGR="postgresql://h/d")
        assert refused.code == 78
        assert "did you mean MAILRUN_LEDGER?" in refused.stderr
    assert not (world.folder / ".mailrun").exists()


def test_store_and_ledger_are_logged_at_the_start_without_secrets(world: World):
    logged = world.run("status", MAILRUN_LEDGER=f"postgresql://ann:{SECRET}@127.0.0.1:9/mail")
    assert logged.code == 75
    first = json.loads(logged.stderr.splitlines()[0])
    assert first["event"] == "workspace.open"
    assert first["ledger"] == "postgresql://ann:***@127.0.0.1:9/mail"
    assert first["store"] == str(world.folder / ".mailrun")
    assert SECRET not in logged.stderr
