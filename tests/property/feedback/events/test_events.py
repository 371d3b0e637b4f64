"""Events in any order, any number of times, in any batches, across crashes: one end; nothing breaks the parser."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events import OBJECTS
from support.feedback import make
from support.wrecked import values, wreck

from engine.feedback.events.envelopes import Passed, Quarantined, open_body, split_documents
from engine.feedback.events.matching import make_frame
from engine.feedback.unsubscribe.pages import ONE_CLICK
from engine.feedback.unsubscribe.requests import has_field


@settings(max_examples=300)
@given(st.sampled_from(sorted(OBJECTS)), st.integers(0, 2**32), values)
def test_whatever_is_wrong_with_a_record_it_is_an_event_or_set_aside(kind: str, seed: int, value: Any):
    dice = random.Random(seed)
    record = wreck(wreck(make(kind, 1), dice, value), dice, value)
    opened = open_body(json.dumps(record), lambda _: None)
    assert isinstance(opened, (Passed, Quarantined)) or all(event.id and event.address for event in opened)
    if isinstance(opened, list):
        make_frame(opened)  # every text and time of it can be written


@settings(max_examples=100)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), max_size=6),
    st.sampled_from(["", "\n", "\n\n", " ", "\r\n", ","]),
)
def test_documents_are_found_whatever_stands_between_them(documents: list[dict[str, Any]], between: str):
    texts = [json.dumps(document) for document in documents]
    found = list(split_documents(between.join(texts)))
    assert [document for document, _ in found] == documents
    assert [text for _, text in found] == texts


def case_of(text: str) -> st.SearchStrategy[str]:
    """Return the text in any mixture of capitals and small letters."""
    flags = st.lists(st.booleans(), min_size=len(text), max_size=len(text))
    return flags.map(
        lambda ups: "".join(letter.upper() if up else letter.lower() for letter, up in zip(text, ups, strict=True))
    )


SPACES = st.sampled_from(["", "\r\n", "\n", " "])


@given(case_of("List-Unsubscribe"), case_of("One-Click"), SPACES, SPACES)
def test_form_is_one_click_in_any_spelling(name: str, value: str, before: str, after: str):
    assert has_field("application/x-www-form-urlencoded", f"{before}{name}={value}{after}".encode(), *ONE_CLICK)
    assert not has_field("application/x-www-form-urlencoded", f"{before}{name}=not-{value}{after}".encode(), *ONE_CLICK)
    assert not has_field("application/x-www-form-urlencoded", f"{before}x{name}={value}{after}".encode(), *ONE_CLICK)


@given(
    case_of("boundary"),
    st.sampled_from(["x", '"x"', '"a; b"', '"----x=y"']),
    case_of('name="List-Unsubscribe"') | case_of("name=List-Unsubscribe"),
    case_of("One-Click"),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from(["", "; a=b"]),
)
def test_multipart_form_is_one_click_in_any_spelling(  # noqa: PLR0917 - hypothesis gives them so
    word: str, boundary: str, name: str, value: str, end: str, more: str
):
    mark = boundary.strip('"')
    lines = [f"--{mark}", f"Content-Disposition: form-data; {name}{more}", "", value, f"--{mark}--", ""]
    assert has_field(f"multipart/form-data; {word}={boundary}", end.join(lines).encode(), *ONE_CLICK)
    assert not has_field(
        f"multipart/form-data; {word}={boundary}", end.join(lines).replace(value, "No").encode(), *ONE_CLICK
    )


@given(st.text(max_size=60), st.binary(max_size=200))
def test_form_reader_accepts_any_body(kind: str, body: bytes):
    for content_type in (kind, f"multipart/form-data;{kind}", "application/x-www-form-urlencoded"):
        has_field(content_type, body, *ONE_CLICK)


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"])
def test_a_time_at_the_end_of_the_calendar_is_set_aside(time: str):
    assert isinstance(open_body(json.dumps(make("Bounce", 1, timestamp=time)), lambda _: None), Quarantined)
