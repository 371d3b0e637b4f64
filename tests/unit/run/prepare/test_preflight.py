"""Before a launch a campaign's own link is tried: one that is not answered, or fits into no header, stops it."""

import pytest

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.errors import ConfigurationError
from engine.run.prepare.preflight import check_unsubscribe_links

SIGNER = TokenSigner([b"a-signing-key-of-32-characters-x"])
ADDRESS, TOPIC = "Ann@b.example", "news"
TOKEN = SIGNER.sign(ADDRESS, TOPIC)


@pytest.mark.parametrize(
    "header",
    [
        f"<https://acme.example/u/{TOKEN}>",
        f"<https://acme.example?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&token={TOKEN}#top>",
        f"<https://acme.example/u/{TOKEN}>, <mailto:unsubscribe@acme.example?subject={TOKEN}>",
        f"<mailto:%75nsubscribe@acme.example?subject={TOKEN}>",
    ],
)
def test_unsubscribe_link_that_is_answered_passes(header: str) -> None:
    check_unsubscribe_links(header, SIGNER, ADDRESS, TOPIC)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (f"<https://acme.example/u#{TOKEN}>", "url"),
        ("<https://acme.example/u>", "url"),
        (f"<https://acme.example/u/{SIGNER.sign('eve@b.example', TOPIC)}>", "url"),
        (f"<https://acme.example/u/{TOKEN}>, <mailto:unsubscribe@acme.example?subject=hello>", "mailto"),
    ],
)
def test_unsubscribe_link_that_is_not_answered_stops_the_launch(header: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"the unsubscribe link does not work.*\[unsubscribe\] {key}"):
        check_unsubscribe_links(header, SIGNER, ADDRESS, TOPIC)


def test_keys_that_do_not_verify_the_link_stop_the_launch() -> None:
    other = TokenSigner([b"somebody-elses-key-of-32-letters"])
    with pytest.raises(ConfigurationError):
        check_unsubscribe_links(f"<https://acme.example/u/{TOKEN}>", other, ADDRESS, TOPIC)
