"""Proofs: what a recipient would get, to its makers, through the real transport, and it belongs to no run."""

import pytest
from support.invariants import check_invariants
from support.world import World

from engine.campaign.unsubscribe_tokens import TokenSigner

MARKETING = """\
from = "Acme <news@acme.example>"
subject = "Hello {{ first_name }}"
[audience]
source = "audiences/people.csv"
[content]
text = "body.txt.j2"
[unsubscribe]
url = "https://acme.example/u/{{ token }}"
"""
KEY = "a-key-that-only-tests-use"


@pytest.fixture
def letter(world: World) -> World:
    world.write("campaigns/hello/campaign.toml", MARKETING)
    world.write("campaigns/hello/body.txt.j2", "For {{ recipient.address }}: {{ unsubscribe_url }}\n")
    world.write_people(30)
    return world


def test_proof_is_marked_and_has_the_readers_own_unsubscribe_link(letter: World) -> None:
    told = letter.run(
        "test", "hello", "--to", "me@acme.example", "--to", "you@acme.example", "--as", "Person7@example.com", "--json",
        MAILRUN_UNSUBSCRIBE_KEYS=KEY,
    )  # fmt: skip
    assert told.code == 0, told.stdout
    assert [proof["subject"] for proof in told.json["proofs"]] == ["[TEST] Hello Name 7"] * 2
    first, second = letter.accepted()
    assert [message["to"] for message in (first, second)] == [["me@acme.example"], ["you@acme.example"]]
    assert first["subject"] == "[TEST] Hello Name 7"
    assert first["tags"] == {"mailrun-proof": "hello"}
    assert first["text"].startswith("For person7@example.com: https://acme.example/u/")
    token = first["text"].rpartition("/")[2].strip()
    assert TokenSigner([KEY.encode()]).verify(token) == ("me@acme.example", "hello")


def test_proofs_are_not_part_of_a_run(letter: World) -> None:
    assert letter.run("test", "hello", "--to", "me@acme.example").code == 0
    assert letter.run("status", "--json").json == {"runs": []}
    assert letter.launch().code == 0
    proofs = [message for message in letter.accepted() if "mailrun-proof" in message["tags"]]
    assert len(proofs) == 1
    assert len(letter.accepted()) == 31
    check_invariants(letter)


def test_proof_that_ses_refuses_is_reported(letter: World) -> None:
    letter.fault("reject", match="me@")
    told = letter.run("test", "hello", "--to", "me@acme.example", "--to", "you@acme.example", "--json")
    assert told.code == 3
    assert [proof["outcome"] for proof in told.json["proofs"]] == ["refused", "sent"]
    assert "MessageRejected" in told.json["proofs"][0]["detail"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--to", "me"), 64, "--to is not an email address: me"),
        (("--to", "me@acme.example\nBcc: x@example.com"), 64, "--to is not an email address"),
        (("--to", "me@acme.example", "--as", "nobody@example.com"), 64, "nobody@example.com is not a recipient"),
        ((), 64, "Missing option '--to'"),
    ],
)
def test_wrong_addresses_are_refused_before_anything_is_sent(
    letter: World, arguments: tuple[str, ...], code: int, words: str
) -> None:
    told = letter.run("test", "hello", *arguments)
    assert told.code == code
    assert words in told.stderr
    assert letter.accepted() == []


def test_a_proof_of_a_message_that_cannot_be_made_names_line_and_row(letter: World) -> None:
    letter.write("campaigns/hello/body.txt.j2", "a\n{{ 1 // 0 }}\n")
    told = letter.run("test", "hello", "--to", "me@acme.example", "--as", "person0@example.com")
    assert told.code == 65
    assert "body.txt.j2:2: ZeroDivisionError" in told.stderr
    assert "row 1 of the audience" in told.stderr
