"""Mistakes of users: each is a clear error with its exit code and a remedy, and loses nothing."""

import json
import os
from pathlib import Path

import pytest
from support.strace import under_strace
from support.world import Finished, World, finish, open_world

BAD = os.fsdecode(b"ren\xe9@example.com")  # as a shell passes it on in another encoding


def check_refused(refused: Finished, code: int, *texts: str) -> None:
    """The command ended with a message for people: what, where, what to do; no traceback (see finish)."""
    assert refused.code == code, refused.stderr
    last = refused.stderr.splitlines()[-1]
    if last.startswith("{"):  # --json was asked for
        error = json.loads(last)["error"]
        assert error["what"]
        assert error["remedy"]
        told = "\n".join(map(str, error.values()))
    else:
        told = refused.stderr
        assert "error: " in told
        assert "   do: " in told
    for text in texts:
        assert text in told


def test_a_missing_campaign_names_the_nearest(world: World):
    check_refused(world.run("launch", "helo"), 64, "there is no campaign helo", "did you mean hello?")
    check_refused(world.run("plan", "somewhere/else"), 64, "somewhere/else")


def test_folder_without_campaign_toml_is_reported(world: World):
    (world.campaign / "campaign.toml").unlink()
    check_refused(world.launch(), 78, "campaign.toml", "create it; from, subject")


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (("subject =", "subjekt ="), ["line 2 subjekt", "did you mean subject?"]),
        (('kind = "transactional"', 'kind = "newsletter"'), ["campaign.toml:3", "kind", "marketing"]),
        (("[content]", "[delivery]\nmax_rate = 'fast'\n[content]"), ["[delivery] max_rate", "number"]),
        (("[content]", "[delivery]\nmax_rat = 5\n[content]"), ["[delivery] max_rat", "max_rate"]),
        (('source = "audiences/people.csv"', "source = 7"), ["[audience] source", "write a path in quotes"]),
        (('from = "Acme <news@acme.example>"', "from = "), ["campaign.toml", "campaign.toml:1"]),
    ],
)
def test_a_wrong_campaign_toml_names_file_line_key_and_what_was_expected(
    world: World, change: tuple[str, str], texts: list[str]
):
    toml = (world.campaign / "campaign.toml").read_text()
    assert change[0] in toml
    world.write("campaigns/hello/campaign.toml", toml.replace(*change))
    world.write_people(3)
    check_refused(world.launch(), 78, *texts)
    assert world.accepted() == []


def test_missing_audience_is_reported_with_its_name(world: World):
    world.write("audiences/peple.csv", "email,first_name\na@example.com,A\n")
    check_refused(world.launch(), 65, "people.csv", "peple.csv")


def test_missing_address_column_names_the_columns_and_the_nearest(world: World):
    world.write("audiences/people.csv", "e_mail,first_name\na@example.com,A\n")
    check_refused(world.launch(), 65, "no address column email", "did you mean e_mail?", "first_name")


def test_a_missing_template_says_what_is_in_the_folder(world: World):
    (world.campaign / "body.txt.j2").rename(world.campaign / "text.j2")
    world.write_people(1)
    check_refused(world.launch(), 65, "body.txt.j2", "text.j2")


def test_undefined_name_in_a_template_names_line_and_nearest_column(world: World):
    world.write_people(1)
    world.write("campaigns/hello/body.txt.j2", "Hello\n{{ frist_name }}\n")
    check_refused(world.launch(), 65, "body.txt.j2:2", "frist_name", "did you mean first_name?")


def test_a_template_with_a_syntax_error_names_file_and_line(world: World):
    world.write_people(1)
    world.write("campaigns/hello/body.txt.j2", "Hello\n{% if %}\n")
    check_refused(world.launch(), 65, "body.txt.j2:2")


def test_an_unreachable_endpoint_is_an_unavailable_service(world: World):
    world.write_people(1)
    refused = world.run("launch", "hello", AWS_ENDPOINT_URL_SESV2="http://127.0.0.1:9")
    check_refused(refused, 69, "SES cannot be reached", "http://127.0.0.1:9")
    assert world.run("status", "--json").json == {"runs": []}


def test_missing_credentials_region_and_profile_differ(world: World):
    world.write_people(1)
    no_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    check_refused(world.run("launch", "hello", **no_keys), 78, "no AWS credentials", "--sandbox")
    check_refused(world.run("launch", "hello", AWS_DEFAULT_REGION=None), 78, "no AWS region", "AWS_DEFAULT_REGION")
    check_refused(world.run("launch", "hello", AWS_PROFILE="nobody"), 78, "nobody", "~/.aws/config")


def test_wrong_credentials_are_refused_before_anything_is_frozen(world: World):
    world.write_people(1)
    check_refused(world.run("launch", "hello", AWS_SECRET_ACCESS_KEY="wrong"), 69, "check the credentials")
    assert world.run("status", "--json").json == {"runs": []}


def test_unverified_sender_is_reported_with_the_remedy(tmp_path: Path):
    with open_world(tmp_path, identities=("other.example",)) as world:
        world.write_people(1)
        check_refused(world.launch(), 69, "news@acme.example is not verified", "verify the address or its domain")
        assert world.run("status", "--json").json == {"runs": []}


def test_a_sender_is_verified_by_a_parent_domain(tmp_path: Path):
    with open_world(tmp_path, identities=("example", "acme.example")) as world:
        world.write_people(1)
        toml = (world.campaign / "campaign.toml").read_text()
        world.write("campaigns/hello/campaign.toml", toml.replace("news@acme.example", "news@mail.acme.example"))
        assert world.launch().code == 0


def test_account_in_the_ses_sandbox_counts_unverified_recipients(tmp_path: Path):
    with open_world(tmp_path, production_access=False, identities=("acme.example",)) as world:
        people = "a@example.com,A\nb@acme.example,B\nsuccess@simulator.amazonses.com,C\n"
        world.write("audiences/people.csv", "email,first_name\n" + people)
        refused = world.launch()
        check_refused(refused, 69, "not verified: 1 of 3 recipients", "request production access")
        assert "a@example.com" not in refused.stderr  # addresses stay out of logs
        world.write("audiences/people.csv", "email,first_name\n" + people.partition("\n")[2])
        assert world.launch().code == 0


def test_unwritable_store_is_reported_with_its_path(world: World):
    world.write_people(1)
    (world.folder / "file").write_text("in the way")
    check_refused(world.launch("--store", "file"), 78, "the store cannot be used", "--store")
    if os.geteuid() != 0:  # root may write anywhere
        (world.folder / "shut").mkdir(mode=0o500)
        check_refused(world.launch("--store", "shut"), 78, "the store cannot be used")


def test_a_damaged_ledger_is_named_and_never_begun_again(world: World):
    world.write_people(3)
    assert world.launch().code == 0
    for side in ("ledger.db-wal", "ledger.db-shm"):
        (world.folder / ".mailrun" / side).unlink(missing_ok=True)
    (world.folder / ".mailrun" / "ledger.db").write_bytes(b"not a database, " * 400)
    check_refused(world.launch(), 65, "the ledger is damaged", "ledger.db")
    assert len(world.accepted()) == 3


def test_run_of_one_endpoint_is_not_resumed_at_another(world: World):
    world.write_people(2)
    assert world.launch("--sandbox").code == 0
    check_refused(world.launch(), 64, "belongs to the sandbox, and this launch goes to SES", "another --key")
    outbox = ("hello", "--key", "files")
    assert world.run("launch", *outbox, "--transport", "outbox").code == 0
    told = "belongs to outbox files, and this launch goes to the sandbox"
    check_refused(world.run("launch", *outbox, "--sandbox"), 64, told, "another --key")
    assert world.accepted() == []


def test_sandbox_launch_without_a_key_keeps_the_real_key_free(world: World):
    world.write_people(2)
    assert world.run("launch", "hello", "--sandbox", "--json").json["run"].endswith("-sandbox")
    real = world.run("launch", "hello", "--json")
    assert (real.code, real.json["sent"]) == (0, 2)


def test_unknown_runs_commands_and_options_are_usage_errors(world: World):
    check_refused(world.run("status", "hello/nope"), 64, "there is no run hello/nope")
    check_refused(world.run("audit", "hello/nope"), 64, "there is no run hello/nope")
    check_refused(world.run("lunch", "hello"), 64, "lunch")
    check_refused(world.run("launch", "hello", "--limit", "many"), 64, "--limit")
    check_refused(world.launch("--key", "a b"), 64, "is not a valid run key")


def test_unknown_setting_names_the_nearest(world: World):
    world.write("mailrun.toml", 'stoer = "x"\n')
    check_refused(world.launch(), 78, "stoer is not a setting", "did you mean store?", "mailrun.toml")


def test_json_error_is_one_document_on_stdout_and_a_line_on_stderr(world: World):
    for refused in (world.run("launch", "helo", "--json"), world.run("--json", "launch", "helo")):
        assert refused.json == {
            "error": {
                "what": "there is no campaign helo",
                "where": str(world.folder / "campaigns" / "helo"),
                "remedy": "did you mean hello? Available: hello",
                "exit_code": 64,
            }
        }
        assert refused.stdout.count("\n") == 1
        *logged, line = refused.stderr.splitlines()
        assert [json.loads(one)["event"] for one in logged] == ["workspace.open"]
        assert json.loads(line)["error"] == refused.json["error"]
        assert json.loads(line)["level"] == "error"


@pytest.mark.parametrize(
    "arguments",
    [
        ("suppress", "add", BAD),
        ("suppress", "check", BAD),
        ("forget", BAD),
        ("plan", "hello", "--explain", BAD),
        ("plan", "hello", "--audience", f"audiences/{BAD}"),
        ("launch", "hello", "--key", BAD),
        ("preview", "hello", "--to", BAD),
        ("test", "hello", "--to", BAD),
        ("--workspace", BAD, "status"),
        (BAD,),
    ],
    ids=lambda arguments: " ".join(arguments[:-1]),
)
def test_argument_is_refused_when_it_is_not_utf_8(world: World, arguments: tuple[str, ...]):
    check_refused(world.run(*arguments), 64, "the argument", "ren\\xe9@example.com is not valid UTF-8")
    assert not (world.folder / ".mailrun").exists()


def test_file_name_is_refused_when_it_is_not_utf_8(world: World):
    world.write_people(2)
    (world.folder / "audiences" / "people.csv").rename(world.folder / "audiences" / os.fsdecode(b"ren\xe9.csv"))
    check_refused(world.run("plan", "hello", "--audience", "audiences"), 65, "ren\\xe9.csv is not valid UTF-8")
    world.write_people(2)
    (world.campaign / os.fsdecode(b"ren\xe9.png")).write_bytes(b"")
    check_refused(world.launch(), 65, "ren\\xe9.png is not valid UTF-8")


def test_accounts_are_printed_on_a_terminal_that_is_not_utf_8(world: World):
    world.write_people(2)
    planned = world.run("plan", "hello", PYTHONIOENCODING="latin-1")
    assert (planned.code, "accepted" in planned.stdout) == (0, True)


def test_global_option_is_refused_before_a_command_without_it(world: World):
    check_refused(world.run("--json", "init", "new"), 64, "init does not have the option --json")
    assert not (world.folder / "new").exists()


def test_nothing_is_created_outside_of_a_workspace(world: World, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    check_refused(world.run("status", folder=elsewhere), 64, "no workspace here", "mailrun init")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("plan", "hello", "--audience", "LONG.csv"), "--audience"),
        (("plan", "hello", "--audience", "DEEP.csv"), "--audience"),
        (("plan", "LONG"), "CAMPAIGN"),
        (("plan", "hello", "--workspace", "LONG"), "--workspace"),
        (("plan", "hello", "--export-excluded", "LONG"), "--export-excluded"),
        (("resolve", "hello/test", "--export", "LONG"), "--export"),
        (("events", "import", "LONG"), "PATH"),
        (("inbound", "import", "LONG"), "PATH"),
        (("suppress", "import", "LONG"), "FILE"),
        (("suppress", "export", "LONG"), "FILE"),
        (("init", "LONG"), "DIR"),
    ],
)
def test_a_path_that_is_too_long_is_refused_with_its_option(world: World, arguments: tuple[str, ...], option: str):
    world.write_people(3)
    refused = world.run(*(word.replace("LONG", "a" * 300).replace("DEEP", "abcd/" * 1000) for word in arguments))
    check_refused(refused, 64, "File name too long", f"at: {option}")


def test_a_loop_of_links_is_refused_with_its_option(world: World):
    (world.folder / "loop").symlink_to("loop")
    for arguments, option in (
        (("plan", "hello", "--audience", "loop"), "--audience"),
        (("plan", "loop"), "CAMPAIGN"),
        (("events", "import", "loop"), "PATH"),
    ):
        check_refused(world.run(*arguments), 64, "symbolic links", f"at: {option}")


def test_a_read_error_names_the_file_and_not_the_store(world: World):
    world.write_people(3)
    toml = (world.campaign / "campaign.toml").read_text()
    broken = world.folder / "audiences" / "broken.csv"
    broken.write_text("email,first_name\nann@example.com,Ann\n")
    strace = under_strace("read,pread64", "error=EIO", str(broken))  # a failing disk below the file
    for arguments in (
        ("plan", "hello", "--audience", "audiences/broken.csv"),
        ("plan", "hello", "--audience", "audiences/bro*.csv"),
        ("suppress", "import", "audiences/broken.csv"),
    ):
        refused = finish(world.start_under(strace, *arguments))
        check_refused(refused, 65, "Input/output error", "at: audiences/broken.csv")
    suppressing = toml + '[suppression]\nfiles = ["audiences/broken.csv"]\n'
    world.write("campaigns/hello/campaign.toml", suppressing)
    refused = finish(world.start_under(strace, "plan", "hello"))
    check_refused(refused, 65, "Input/output error", "at: audiences/broken.csv")
    world.write("campaigns/hello/campaign.toml", toml.replace("people.csv", "a" * 300 + ".csv"))
    check_refused(world.run("plan", "hello"), 65, "File name too long", "at: audiences/aaa")


def test_an_audience_that_is_not_a_regular_file_is_named_as_what_it_is(world: World):
    os.mkfifo(world.folder / "audiences" / "pipe.csv")
    (world.folder / "audiences" / "gone.csv").symlink_to("nothing.csv")
    for audience, kind in (
        ("audiences/pipe.csv", "a named pipe"),
        ("/dev/null", "a device"),
        ("audiences/gone.csv", "a broken symbolic link"),
    ):
        check_refused(world.run("plan", "hello", "--audience", audience), 65, f"is not a file, but {kind}")
    toml = (world.campaign / "campaign.toml").read_text()
    (world.folder / "audiences" / "loop.csv").symlink_to("loop.csv")
    world.write("campaigns/hello/campaign.toml", toml.replace("people.csv", "loop.csv"))
    check_refused(world.run("plan", "hello"), 65, "is not a file, but a loop of symbolic links")
