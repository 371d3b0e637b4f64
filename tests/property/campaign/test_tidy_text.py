"""A text that is tidied piece by piece is the text tidied as a whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign.content import html_text
from engine.campaign.content.html_text import TextTidier, tidy_text

ODD = st.sampled_from(
    [" ", "  ", "\t", "\n", "\x01", "\x02", "\x03", "\u00a0", "\u200b", "\ufeff", "\u2003", "a", "- "]
)
PIECES = st.lists(st.lists(ODD | st.text(max_size=2), max_size=4).map("".join), max_size=8)


@given(texts=st.lists(PIECES, min_size=1, max_size=3), most_pieces=st.integers(1, 4), longest=st.integers(0, 4))
def test_a_text_in_pieces_is_tidied_as_if_it_were_whole(texts: list[list[str]], most_pieces: int, longest: int):
    """Whatever is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html_text, "_MOST_PIECES", most_pieces)
        patch.setattr(html_text, "_LONGEST_PIECE", longest)
        tidier = TextTidier()
        for pieces in texts:
            assert "".join(tidier.tidy(pieces)) == tidy_text("".join(pieces))
            assert len(tidier) <= most_pieces
