"""Laws of engine/campaign for all data."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default

from hypothesis import assume, given
from hypothesis import strategies as st
from support.campaigns import SIGNER
from support.messages import make_message

from engine.addresses.mailbox import Mailbox, parse_mailbox
from engine.campaign.content.html_text import derive_text
from engine.campaign.message import Envelope
from engine.campaign.mime import Composer
from engine.toml_lines import locate_keys

PRINTABLE = st.text(st.characters(min_codepoint=32, exclude_categories=["C", "Zl", "Zp"]), min_size=1)
ADDRESSES = st.from_regex(r"[a-z0-9.+_-]{1,64}@[a-z0-9-]{1,60}\.example", fullmatch=True)


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_token_gives_back_what_was_signed(address: str, topic: str) -> None:
    assert SIGNER.verify(SIGNER.sign(address, topic)) == (address, topic)


@given(ADDRESSES, st.text(st.characters(exclude_categories=["Cs"])))
def test_a_token_shows_nothing_of_its_address(address: str, topic: str) -> None:
    """Neither as text nor as base64 or hexadecimal, at any offset; 9 characters do not agree by chance."""
    token = SIGNER.sign(address, topic)
    seen = [token.lower(), *(part.hex() for part in decode_parts(token))]
    written = [address, address.encode().hex(), *(b64(b" " * skip + address.encode()) for skip in range(3))]
    for form in written:
        pieces = {form[start : start + 9].lower() for start in range(len(form) - 8)}
        assert not any(piece in text for piece in pieces for text in seen)


@given(ADDRESSES, st.text(st.characters(exclude_categories=["Cs"])))
def test_a_token_is_shorter_than_one_of_version_1(address: str, topic: str) -> None:
    """A link that fitted into its header still fits."""
    version_1 = 2 + len(b64(f"{address}\0{topic}".encode())) + 1 + 24
    assert len(SIGNER.sign(address, topic)) == version_1 - 2


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode_parts(token: str) -> list[bytes]:
    return [urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")[1:]]


@given(ADDRESSES, st.integers(min_value=0), st.characters())
def test_token_with_one_changed_character_is_invalid(address: str, place: int, mark: str) -> None:
    token = SIGNER.sign(address, "newsletter")
    place %= len(token)
    assume(token[place] != mark)
    assert SIGNER.verify(token[:place] + mark + token[place + 1 :]) is None


@given(st.text())
def test_no_text_makes_verifying_a_token_fail(token: str) -> None:
    assert SIGNER.verify(token) is None


@given(PRINTABLE.map(str.strip).filter(bool), ADDRESSES)
def test_an_encoded_mailbox_is_ascii_and_reads_back(name: str, address: str) -> None:
    assume(".." not in address and ".@" not in address and "-." not in address)
    assume(not address.startswith(".") and "@-" not in address)
    encoded = Mailbox(name, address).encode()
    assert encoded.isascii()
    assert encoded.isprintable()
    if name.isascii():
        assert parse_mailbox(encoded) == Mailbox(name, address)
    else:
        assert str(make_header(decode_header(encoded.rpartition(" ")[0]))) == name


@given(st.text())
def test_any_text_is_a_mailbox_or_a_reasoned_refusal(text: str) -> None:
    try:
        parse_mailbox(text)
    except ValueError as error:
        assert len(error.args) == 2  # noqa: PT017 - most texts are refused, and each refusal has a remedy


BODY = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1
)


@given(PRINTABLE, BODY, BODY)
def test_an_eml_reads_back_to_the_same_parts(subject: str, html_part: str, text: str) -> None:
    message = make_message(1, "ann@example.com", "S" + subject + "S", html_part + "\n", text + "\n", (), ())
    mail = message_from_bytes(Composer(Envelope("a@b.example", (), (), None)).compose(message), policy=default)
    found = [mail.get_body((kind,)) for kind in ("html", "plain")]
    bodies = [part.get_content().replace("\r\n", "\n") for part in found if isinstance(part, EmailMessage)]
    assert bodies == [message.html, message.text]


@given(st.text())
def test_any_html_gives_text_without_runs_of_empty_lines(source: str) -> None:
    text = derive_text(source)
    assert text.endswith("\n")
    assert "\n\n\n" not in text


@given(
    st.lists(
        st.sampled_from(["{k} = 1", '{k} = """\n[x]\n"""', "{k} = [\n1,\n\n2]", "{k} = {{ a = 1 }}", "# x\n{k} = '#'"])
    )
)
def test_every_key_is_located_at_the_line_where_it_stands(statements: list[str]) -> None:
    blocks = [statement.format(k=f"key{number}") for number, statement in enumerate(statements)]
    source = "\n".join(blocks)
    lines = source.split("\n")
    for number in range(len(blocks)):
        assert lines[locate_keys(source)[f"key{number}",] - 1].startswith(f"key{number} =")
