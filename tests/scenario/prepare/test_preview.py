"""The dry run tells the truth: every row, every finding, and what a run would take."""

import errno
from pathlib import Path

import polars as pl
import pytest
from support.invariants import check_invariants
from support.world import World

from engine.errors import ConfigurationError
from engine.run.prepare.rendering import LeaseRenderer, RenderJob

MARKETING = """\
from = "Acme <news@acme.example>"
subject = "Hello {{ first_name }}"
[audience]
source = "audiences/people.csv"
defaults = { first_name = "there" }
[content]
html = "body.html.j2"
locale = "locale"
[unsubscribe]
url = "https://acme.example/u/{{ token }}"
"""
BODY = """\
<html><head><style>p { margin: 0 }</style></head><body>
<div style="display:none">What is new</div><p>Hello {{ first_name }}, {{ 100 // points|int }}</p>
<a href="{{ unsubscribe_url }}">Unsubscribe</a></body></html>
"""
PEOPLE = "email,first_name,locale,points\n"


@pytest.fixture
def letter(world: World) -> World:
    world.write("campaigns/hello/campaign.toml", MARKETING)
    world.write("campaigns/hello/body.html.j2", BODY)
    world.write("campaigns/hello/body.vi.html.j2", BODY.replace("Hello", "Xin chào"))
    return world


def people(count: int, *, bad_every: int = 0) -> str:
    rows = [
        f"person{i}@{'example.com' if i % 4 else 'example.org'},{'' if i % 10 == 0 else f'Name {i}'},"
        f"{'vi-VN' if i % 3 == 0 else 'en-GB'},{0 if bad_every and i % bad_every == 0 else i + 1}\n"
        for i in range(count)
    ]
    return PEOPLE + "".join(rows)


@pytest.mark.parametrize("command", [("preview",), ("check",), ("launch",), ("test", "--to", "ann@acme.example")])
def test_missing_attachment_is_named_in_the_workspace(letter: World, command: tuple[str, ...]) -> None:
    letter.write("audiences/people.csv", people(3))
    attached = MARKETING.replace("[content]", '[content]\nattachments = ["missing.pdf"]')
    letter.write("campaigns/hello/campaign.toml", attached)
    refused = letter.run(*command, "hello")
    assert refused.code == 65
    assert "at: campaigns/hello/missing.pdf\n" in refused.stderr
    assert ".mailrun" not in refused.stderr.partition("error:")[2]


def test_an_error_of_the_copy_names_the_file_of_the_workspace(tmp_path: Path) -> None:
    """Whatever goes wrong with the copy, the file to correct is the one that it is a copy of."""
    copy, source = tmp_path / ".mailrun" / "previews" / "hello", tmp_path / "campaigns" / "hello"
    (copy / "campaign").mkdir(parents=True)
    job = RenderJob(folder=copy, source=source, name="hello", run_key="k", columns=(), keys=())
    with pytest.raises(ConfigurationError) as raised:
        LeaseRenderer(job)
    assert str(source / "campaign.toml") in raised.value.where
    assert ".mailrun" not in str(raised.value)


def test_dry_run_reports_sizes_languages_defaults_domains_and_duration(letter: World) -> None:
    letter.write("audiences/people.csv", people(100))
    letter.change_sandbox(max_send_rate=5.0, max_24_hour_send=200.0)
    told = letter.run("preview", "hello", "--json")
    assert told.code == 0, told.stdout
    found = told.json
    assert (found["rendered"], found["render_failures"], found["failed_files"]) == (100, {}, None)
    assert found["languages"] == {"default": 66, "vi": 34}
    assert found["defaults_used"] == {"first_name": 10}
    assert found["domains"] == {"example.com": 75, "example.org": 25}
    assert found["html_sizes"]["largest"] == 1024
    assert found["forecast"] == {
        "rate": 5.0,
        "seconds": 20.0,
        "left_24_hours": 200.0,
        "quota_share": 0.5,
        "unknown": None,
    }
    page = Path(found["gallery"]).read_text(encoding="utf-8")
    for reason in ("first", "longest", "shortest", "locale vi-VN", "locale en-GB", "default first_name", "random 1"):
        assert f'"{reason}"' in page
    assert Path(found["gallery"]).stat().st_mode & 0o077 == 0
    assert letter.accepted() == []
    shown = letter.run("preview", "hello").stdout
    assert "languages: default 66, vi 34" in shown
    assert "duration: about 20 s at 5 a second; 50.0% of the 24-hour quota, of which 200 are left" in shown


def test_every_row_that_fails_is_in_a_file_with_its_reason(letter: World) -> None:
    letter.write("audiences/people.csv", people(300, bad_every=7))
    told = letter.run("preview", "hello", "--json")
    assert told.code == 65
    found = told.json
    reason = next(iter(found["render_failures"]))
    assert reason == "body.html.j2:2: ZeroDivisionError: integer division or modulo by zero"
    failed = pl.read_parquet(f"{found['failed_files']}/*.parquet").sort("row")
    assert failed["row"].to_list() == [i + 1 for i in range(300) if i % 7 == 0]
    assert failed["line"].to_list() == [i + 2 for i in range(300) if i % 7 == 0]
    assert failed["reason"].str.contains("ZeroDivisionError").all()
    assert len(found["failed_rows"]) == 20
    assert found["rendered"] + failed.height == found["accepted"] == 300


def refuse_lock(*_: object, **__: object) -> None:
    """The error in a container whose /dev/shm cannot be written."""
    raise OSError(errno.EROFS, "Read-only file system")


def test_several_processes_find_what_one_finds(letter: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.clock import START  # noqa: PLC0415

    from engine.campaign.spec import load_campaign  # noqa: PLC0415 - this story alone calls inside
    from engine.run.prepare.plan_rendering import render_plan  # noqa: PLC0415
    from engine.run.prepare.planning import PlanRequest  # noqa: PLC0415
    from engine.run.prepare.preview import make_job  # noqa: PLC0415
    from engine.run.prepare.rendered import Rendered  # noqa: PLC0415
    from engine.run.prepare.replan import replan  # noqa: PLC0415
    from engine.store.folder import FolderStore  # noqa: PLC0415

    monkeypatch.chdir(letter.folder)
    letter.write("audiences/people.csv", people(2000, bad_every=50))
    campaign = load_campaign(letter.campaign)
    request = PlanRequest(
        campaign=campaign, key="k", workspace=letter.folder, limit=None, sandbox=False, created_at=START
    )
    manifest, folder = replan(request, FolderStore(letter.folder / ".mailrun"), "previews")
    job = make_job(request, manifest, folder, lambda: (b"a key that only tests use",))
    alone, together = Rendered(), Rendered()
    for found, processes in ((alone, 1), (together, 2)):
        for of_lease in render_plan(job, manifest.leases, processes=processes):
            found.merge(of_lease)
    assert alone == together
    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse_lock)
    without_locks = Rendered()
    for of_lease in render_plan(job, manifest.leases, processes=2):
        without_locks.merge(of_lease)
    assert alone == without_locks
    assert alone.rendered == 1960
    assert alone.failures.total() == 40


def test_gallery_shows_who_was_asked_for_or_says_why_not(letter: World) -> None:
    letter.write("audiences/people.csv", people(50) + "person3@example.com,Again,en,1\n")
    told = letter.run("preview", "hello", "--to", "PERSON7@example.com", "--json")
    assert "requested: PERSON7@example.com" in Path(told.json["gallery"]).read_text(encoding="utf-8")
    missing = letter.run("preview", "hello", "--to", "nobody@example.com")
    assert missing.code == 64
    assert "nobody@example.com is not a recipient of this plan" in missing.stderr


def test_content_errors_fail_a_dry_run_a_check_and_a_launch(letter: World) -> None:
    letter.write("audiences/people.csv", people(20))
    for name in ("body.html.j2", "body.vi.html.j2"):
        letter.write(f"campaigns/hello/{name}", BODY.replace("</p>", '</p><a href="/pricing">Prices</a>'))
    previewed = letter.run("preview", "hello", "--json")
    assert previewed.code == 65
    (error,) = [one for one in previewed.json["findings"] if one["severity"] == "error"]
    assert (error["code"], error["messages"]) == ("relative", 20)
    checked = letter.run("check", "hello", "--json")
    assert (checked.code, checked.json["passes"]) == (65, False)
    launched = letter.launch()
    assert launched.code == 65
    assert "20 of the first 20 messages must not be sent" in launched.json["error"]["what"]
    assert "the link /pricing is relative" in launched.json["error"]["what"]
    assert letter.accepted() == []
    assert not letter.run_folder.exists()


def test_marketing_without_a_visible_unsubscribe_link_is_refused(letter: World) -> None:
    letter.write("audiences/people.csv", people(20))
    for name in ("body.html.j2", "body.vi.html.j2"):
        letter.write(f"campaigns/hello/{name}", BODY.replace('<a href="{{ unsubscribe_url }}">Unsubscribe</a>', ""))
    assert "there is no visible unsubscribe link" in letter.launch().json["error"]["what"]
    assert letter.accepted() == []


def test_warnings_are_shown_and_stop_nothing(letter: World) -> None:
    letter.write("audiences/people.csv", people(20))
    letter.write("campaigns/hello/body.vi.html.j2", BODY.replace("https://", "http://"))
    letter.write("campaigns/hello/body.html.j2", BODY.replace("</p>", '</p><a href="http://acme.example">a</a>'))
    launched = letter.launch()
    assert launched.code == 0
    assert "the link http://acme.example is not encrypted" in launched.stderr
    assert len(letter.accepted()) == 20


def test_few_rows_that_fail_are_outcomes_and_many_stop_the_launch(letter: World) -> None:
    letter.write("audiences/people.csv", people(300, bad_every=100))
    launched = letter.launch()
    assert launched.code == 3
    assert (launched.json["sent"], launched.json["failed"]) == (297, 3)
    letter.write("audiences/people.csv", people(300, bad_every=5))
    stopped = letter.run("launch", "hello", "--key", "second", "--json")
    assert stopped.code == 65
    assert "60 of the first 300 messages must not be sent" in stopped.json["error"]["what"]
    assert len(letter.accepted()) == 297


def test_check_reports_content_and_account(letter: World) -> None:
    letter.write("audiences/people.csv", people(30))
    passed = letter.run("check", "hello")
    assert passed.code == 0
    assert "content: 30 messages of 30 checked" in passed.stdout
    assert "account: may send" in passed.stdout
    letter.change_sandbox(sending_enabled=False)
    paused = letter.run("check", "hello", "--json")
    assert paused.code == 69
    assert "sending is paused" in paused.json["account_errors"][0]["what"]
    nowhere = letter.run("check", "hello", "--json", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert nowhere.code == 78
    assert "no AWS credentials" in nowhere.json["account_errors"][0]["what"]


def test_dry_run_without_an_account_leaves_the_duration_open(letter: World) -> None:
    letter.write("audiences/people.csv", people(30))
    told = letter.run("preview", "hello", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert told.code == 0
    assert "duration: unknown; the account could not be read: no AWS credentials" in told.stdout


def test_what_was_launched_is_sent_when_a_shared_layout_changes(world: World) -> None:
    (world.folder / "campaigns" / "_shared").mkdir()
    world.write("campaigns/_shared/foot.j2", "First edition\n")
    world.write("campaigns/hello/body.txt.j2", 'Dear {{ first_name }}\n{% include "_shared/foot.j2" %}')
    world.write_people(30)
    world.fault("pause_account", after=10)
    assert world.launch().code == 75
    world.change_sandbox(sending_enabled=True)
    world.write("campaigns/_shared/foot.j2", "Second edition\n")
    resumed = world.launch()
    assert resumed.code == 0
    assert "This run sends the campaign as launched. Changed since: " in resumed.stderr
    assert {message["text"].split("\n")[1] for message in world.accepted()} == {"First edition"}
    check_invariants(world)
