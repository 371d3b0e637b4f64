"""The short way to read an answer accepts nothing that llhttp reads in another way or refuses."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from engine.delivery.transports.http_answer import AnswerReader, UnreadableAnswerError, read_usual

LINES = st.lists(
    st.sampled_from(
        [
            b"Date: Sun, 29 Nov 2026 19:08:05 GMT",
            b"Content-Type: application/json",
            b"Connection: keep-alive",
            b"Connection: close",
            b"Connection: keep-alive, close",
            b"connection: upgrade",
            b"Keep-Alive: timeout=5",
            b"Content-Length: 2",
            b"Content-Length: 3",
            b"Content-Length : 2",
            b"content-length: 2",
            b"Transfer-Encoding: chunked",
            b"Content-Encoding: gzip",
            b"x-amzn-RequestId: 11111111-2222-3333-4444-555555555555",
            b"X-Amzn-ErrorType: Throttled",
            b"Upgrade: h2c",
            b"Server: a\tb",
            b"Server: \x00",
            b"Server: a\nb",
            b"Server: a\rb",
            b"Server: ",
            b"Date: \xff",
            b" folded",
            b"",
        ]
    ),
    max_size=6,
)
STATUS = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"http/1.1 200 OK", b"HTTP/1.1 429 OK", b"200"])
BODIES = st.sampled_from([b"{}", b"", b"{}x", b"2\r\n{}\r\n0\r\n\r\n", b"{}HTTP/1.1 200 OK\r\n"])
USUAL = (
    b"HTTP/1.1 200 OK\r\nDate: Sun, 29 Nov 2026 19:08:05 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 17\r\nConnection: keep-alive\r\nx-amzn-RequestId: 1-2\r\n\r\n" + b'{"MessageId":"1"}'
)


def make_stream(status: bytes, lines: list[bytes], body: bytes, end: bytes) -> bytes:
    return end.join([status, *lines, b"", body])


STREAMS = st.builds(make_stream, STATUS, LINES, BODIES, st.sampled_from([b"\r\n", b"\n"]))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    at = draw(st.integers(0, len(USUAL) - 1))
    return USUAL[:at] + draw(st.binary(max_size=3)) + USUAL[at + draw(st.integers(0, 3)) :]


def read_all(stream: bytes, cuts: list[int]) -> AnswerReader:
    reader = AnswerReader()
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        reader.feed(stream[start:end])
    return reader


@given(stream=STREAMS | damaged(), cuts=st.lists(st.integers(0, 300), max_size=3))
@example(stream=USUAL, cuts=[])
def test_what_is_read_the_short_way_is_read_so_by_llhttp_in_any_pieces(stream: bytes, cuts: list[int]):
    answer = read_usual(stream)
    if answer is None:
        return
    reader = read_all(stream, cuts)
    assert reader.complete
    assert (reader.read(), reader.keeps_connection, reader.is_followed) == (answer, True, False)
    assert reader.idle_seconds is None


@given(cut=st.integers(0, len(USUAL) - 1))
def test_a_part_of_an_answer_is_never_read_the_short_way(cut: int):
    assert read_usual(USUAL[:cut]) is None
    assert read_usual(USUAL) is not None
    assert read_usual(USUAL + USUAL[: cut + 1]) is None


@given(stream=damaged())
def test_what_llhttp_refuses_is_not_read_the_short_way(stream: bytes):
    try:
        reader = read_all(stream, [])
    except UnreadableAnswerError:
        assert read_usual(stream) is None
    else:
        assert reader.complete or read_usual(stream) is None
