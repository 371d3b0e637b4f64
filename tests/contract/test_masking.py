"""What is masked in every log line, error and reason: addresses, tokens and secrets, in time that grows linearly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert

from engine.errors import ConfigurationError, MailrunError
from engine.ledger.database import open_ledger
from engine.ledger.schema import run_table
from engine.masking import mask_url
from engine.settings import load_settings
from engine.system.unhandled import describe_exception


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:canary@host/db",
        "postgresql://ann:canary@host:port/db",
        "postgresql://ann:can/canary@host/db",
        "postgresql://ann:1/canary@host/db",
        "postgresql://ann:can?canary@host/db",
        "postgresql://ann:can#canary@host/db",
        "postgresql://ann:can@canary@host/db",
        "postgresql://ann:can@h/canary@host/db",
        "postgresql://ann:can:canary@host/db",
        "postgresql://ann:canary@[host/db",
        "postgresql://host/db?user=ann&password=canary",
        "postgresql://host/db?sslpassword=canary%26x&sslmode=require",
        "postgresql://ann:x@host:1/db?password=can@canary",
        "postgresql:ann:canary@host/db",
        "postgresql//ann:canary@host/db",
        "postgres:/ann:canary@host/db",
        "pg://ann:canary@host/db",
        "mysql://ann:canary@host/db",
        "ann:canary@host/db",
        "host=db user=ann password=canary",
        "host=db password = 'x canary'",
        "sqlite://ann:canary@host/db",
        "https://ann:canary@host/db",
    ],
)
def test_errors_never_show_the_password_of_a_ledger(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch):
    """Also in a malformed URL, whatever part of it the driver reads as the host or the database."""

    def refuse(**given: object) -> None:
        raise psycopg.OperationalError(" ".join(str(given.get(name)) for name in ("user", "host", "port", "dbname")))

    monkeypatch.setattr(psycopg, "connect", refuse)
    assert "canary" not in mask_url(url)
    with pytest.raises(MailrunError) as raised:
        open_ledger(load_settings(tmp_path, ledger=url).ledger_url)
    assert "canary" not in f"{raised.value} {raised.value.args}"
    whole = describe_exception(type(raised.value), raised.value, raised.value.__traceback__)
    assert "canary" not in whole, "not in what it comes from either"


def test_errors_never_show_credentials_of_a_store_or_queue(tmp_path: Path):
    for given in ({"store": "s3://id:canary@bucket/x"}, {"events": {"queue": "sqs://id:canary@host"}}):
        with pytest.raises(ConfigurationError) as raised:
            load_settings(tmp_path, **given)
        assert "canary" not in str(raised.value)


def test_errors_never_show_the_row_of_a_broken_constraint(ledger_url: str):
    """PostgreSQL quotes the row, and SQLAlchemy the parameters: both contain addresses."""
    ledger = open_ledger(ledger_url)
    row = dict.fromkeys((column.name for column in run_table.c), None) | {"name": "somebody@b.example"}
    try:
        with pytest.raises(MailrunError) as raised, ledger.write() as tx:
            tx.execute(insert(run_table).values(row))
        assert "somebody" not in str(raised.value)
        assert "somebody" not in describe_exception(type(raised.value), raised.value, raised.value.__traceback__)
        assert "constraint" in str(raised.value).lower()
    finally:
        ledger.close()


SCRIPT = """\
import asyncio, logging, os, sys, threading, warnings
from engine.logs import configure_logs
from engine.system.unhandled import catch_unhandled

secret, address = os.environ["AWS_SECRET_ACCESS_KEY"], "canary.person@b.example"
configure_logs(verbose=True)
catch_unhandled()
logging.getLogger("botocore.auth").debug("request %s", secret)
logging.getLogger("aiobotocore").info("request %s", secret)
logging.getLogger("aiohttp.server").error("bad request of %s: %s", address, secret)
warnings.warn(f"about {address}", UserWarning)

class Person:
    def __del__(self):
        raise ValueError(address)

def fail():
    raise ValueError(f"{address} {secret}")

async def forget():
    task = asyncio.get_running_loop().create_task(asyncio.to_thread(fail))
    await asyncio.sleep(0.05)
    del task

asyncio.run(forget())
thread = threading.Thread(target=fail)
thread.start()
thread.join()
person = Person()
del person
fail()
"""


def test_what_libraries_threads_tasks_and_bugs_say_is_masked_too():
    """With -v too: exceptions that are never retrieved or caught, warnings, and the logs of libraries."""
    environment = dict(os.environ) | {"AWS_SECRET_ACCESS_KEY": "canary/Secret+Key/0123456789"}
    ended = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "canary" not in ended.stdout + ended.stderr
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    names = [event["event"] for event in events]
    assert names[:3] == ["library.aiohttp.server", "library.py.warnings", "library.asyncio"], names
    assert names[3:] == ["unhandled"] * 3, names
    assert events[0]["note"] == "bad request of c***@b.example: ***"
