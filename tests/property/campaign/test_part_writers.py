"""A part written piece by piece has the bytes of the whole part, escaped and encoded at once."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign import part_writers
from engine.campaign.part_writers import PartWriter, make_json_writer, make_nested_json_writer, make_utf8_writer

ODD = st.sampled_from(["{", "{{", '"', "\\", '\\"', "\x00\x1f\x7f", "\u2028\u2029", "é", "😀", "</p>", "&amp;", "\r\n"])
PIECES = st.lists(ODD | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=12)
MESSAGES = st.lists(PIECES, min_size=1, max_size=8)


def write_json(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


def write_nested_json(text: str) -> bytes:
    return write_json(write_json(text).decode())


@given(messages=MESSAGES, most_pieces=st.integers(1, 4), most_bytes=st.integers(0, 8))
def test_a_part_in_pieces_is_written_as_if_it_were_whole(messages: list[list[str]], most_pieces: int, most_bytes: int):
    """Whatever the writer keeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_writers, "_MOST_PIECES", most_pieces)
        patch.setattr(part_writers, "_MOST_BYTES", most_bytes)
        for writer, write_whole in (
            (make_utf8_writer(), str.encode),
            (make_json_writer(), write_json),
            (make_nested_json_writer(), write_nested_json),
        ):
            for pieces in messages:
                whole = write_whole("".join(pieces))
                assert writer.write(pieces) == whole == writer.write_text("".join(pieces))
                assert writer.may_have_braces or "{{" not in "".join(pieces)
                assert len(writer) <= most_pieces
                assert sum(map(len, writer.values())) <= most_bytes


@given(PIECES)
def test_nested_json_is_read_twice(pieces: list[str]):
    document = b'"{\\"a\\":\\"' + make_nested_json_writer().write(pieces) + b'\\"}"'
    assert json.loads(json.loads(document)) == {"a": "".join(pieces)}


@pytest.mark.parametrize("writer", [make_utf8_writer(), make_json_writer(), make_nested_json_writer()])
def test_half_a_character_is_never_written(writer: PartWriter):
    """Two halves in two pieces are not a character either: UTF-8 has no surrogates."""
    for pieces in (["a", "\ud83d"], ["\ud83d", "\ude00"]):
        with pytest.raises(UnicodeEncodeError):
            writer.write(pieces)
