"""Laws of unsubscribe tokens and links, of messages of a run and of none, over many addresses and rows."""

import string

from hypothesis import assume, example, given
from hypothesis import strategies as st

from engine.addresses.rules import MAX_ADDRESS_BYTES
from engine.campaign.render_error import RenderError
from engine.campaign.spec_sections import UnsubscribeSpec
from engine.campaign.unsubscribe_links import LONGEST_LINK, UnsubscribeLinks
from engine.campaign.unsubscribe_tokens import RUN_BYTES, TokenContent, TokenRow, TokenSigner
from engine.feedback.unsubscribe.requests import MOST_TARGET_CHARACTERS
from engine.feedback.unsubscribe.tokens import find_token
from engine.ledger.identity import digest_run

OLD, NEW = b"an-older-key-of-32-characters-xx", b"the-newer-key-of-32-characters-x"
SIGNER = TokenSigner([NEW, OLD])
DIGEST = digest_run("f" * 32, f"{'c' * 64}/{'k' * 64}")  # of the longest names
LAST = 2**31 - 1  # the largest integer of the ledger
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=100)
numbers = st.integers(0, LAST) | st.sampled_from([0, 127, 128, 16383, 16384, LAST])
digests = st.binary(min_size=RUN_BYTES, max_size=RUN_BYTES)
LETTERS = string.ascii_letters + string.digits + "-_."


def sign(address: str, topic: str, run: bytes, lease: int, index: int) -> str:
    return SIGNER.bind_run(topic, run).sign(address, lease, index)


@given(words, words, digests, numbers, numbers)
def test_token_of_a_run_returns_what_it_was_made_of(
    address: str, topic: str, run: bytes, lease: int, index: int
) -> None:
    token = sign(address, topic, run, lease, index)
    assert SIGNER.read(token) == TokenContent(address, topic, TokenRow(run, lease, index))
    assert SIGNER.verify(token) == (address, topic)
    assert TokenSigner([OLD, NEW]).read(token) == SIGNER.read(token), "a key that was replaced still verifies"
    assert sign(address, topic, run, lease, index) == token, "a message can be rendered again without a change"
    assert 12 <= len(token) - len(SIGNER.sign(address, topic)) <= 23
    found = find_token(f"/u/{token}?utm_source=x", SIGNER)
    assert found is None or (found.address, found.topic, found.row) == SIGNER.read(token)
    assert (found is None) == (len(address) > MAX_ADDRESS_BYTES)


@given(words, words, st.lists(st.tuples(digests, numbers, numbers), unique=True, min_size=2, max_size=5))
def test_rows_have_different_tokens_in_whatever_order_they_are_made(
    address: str, topic: str, rows: list[tuple[bytes, int, int]]
) -> None:
    one_signer = SIGNER.bind_run(topic, rows[0][0])
    forward = [one_signer.sign(address, lease, index) for _, lease, index in rows]
    back = [one_signer.sign(address, lease, index) for _, lease, index in reversed(rows)]
    assert forward == back[::-1]
    assert len({sign(address, topic, *row) for row in rows}) == len(rows)


@given(words, words, st.data())
def test_a_changed_token_of_a_run_identifies_nobody(address: str, topic: str, data: st.DataObject) -> None:
    token = sign(address, topic, DIGEST, 3, 500)
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.sampled_from(LETTERS)) + token[place + 1 :]
    assume(changed != token)
    assert SIGNER.read(changed) is None
    assert SIGNER.read(token[:place]) is None
    assert SIGNER.read(token + data.draw(st.sampled_from(LETTERS))) is None


@given(words, words)
def test_token_of_one_version_is_invalid_in_another(address: str, topic: str) -> None:
    """Also a token of no run whose topic looks like that of a run."""
    of_run, of_none = sign(address, topic, DIGEST, 0, 0), SIGNER.sign(address, topic)
    for token in (of_run, of_none):
        for version in "0123":
            forged = version + token[1:]
            assert (SIGNER.read(forged) is None) == (forged != token)
    assert SIGNER.read(of_none) == TokenContent(address, topic, None)
    assert TokenSigner([b"somebody-elses-key-of-32-letters"]).read(of_run) is None


def offer(spec: UnsubscribeSpec, topic: str, address: str, row: tuple[int, int] | None) -> str | None:
    links = UnsubscribeLinks(spec, topic, SIGNER, ("List-Id", "<x.example>"), DIGEST)
    try:
        return dict(links.make_link(address, row)[1])["List-Unsubscribe"]
    except RenderError:
        return None


@given(
    length=st.integers(1, 320),
    topic=st.integers(1, 128).flatmap(lambda length: st.sampled_from(["x", "ü", "字"]).map(lambda one: one * length)),
    url=st.integers(0, 700),
    mailto=st.sampled_from(["", "m@b.example", f"{'m' * 64}@{'d' * 60}.b.example"]),
)
@example(length=320, topic="字" * 128, url=1, mailto="")
@example(length=254, topic="x" * 128, url=100, mailto="m@b.example")
@example(length=254, topic="x" * 128, url=0, mailto="m@b.example")
def test_header_with_the_run_never_outgrows_the_limit(*, length: int, topic: str, url: int, mailto: str) -> None:
    """The longest address, topic, run and row: what fits without the run fits with it, with as many links."""
    assume(url or mailto)
    places = {"url": f"https://a.example/{'u' * url}/{{{{ token }}}}"} if url else {}
    spec = UnsubscribeSpec.model_validate(places | ({"mailto": mailto} if mailto else {}))
    without, within = offer(spec, topic, "a" * length, None), offer(spec, topic, "a" * length, (LAST, LAST))
    assert (without is None) == (within is None)
    if without is None or within is None:
        return
    assert len("List-Unsubscribe") + len(within) <= 996
    assert len(within) <= LONGEST_LINK < MOST_TARGET_CHARACTERS
    assert within.count("<") == without.count("<")
    room = len(without) + 23 * without.count("<") <= LONGEST_LINK
    assert ("3." in within) or not room
