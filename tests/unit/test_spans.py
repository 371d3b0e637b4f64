"""Spans of worker processes."""

from engine.spans import MOST_KEPT, Span, SpanBuffer, forward_spans, is_listened_to, listen_to_spans, record_span


def test_buffer_is_bounded_and_counts_what_it_left_out():
    buffer = SpanBuffer(7)
    with listen_to_spans(buffer):
        assert is_listened_to()
        for _ in range(MOST_KEPT + 3):
            record_span("dispatch", 0.0, calls=1)
        record_span("commit", 0.0)
        kept = buffer.take()
        record_span("dispatch", 0.0, calls=2)
    assert [name for name, *_ in kept] == ["dispatch"] * MOST_KEPT + ["commit"]
    ((_, _, _, attributes),) = buffer.take()
    assert attributes == {"calls": 2, "process": 7, "left_out": 3}


def test_spans_of_another_process_keep_their_times():
    taken = SpanBuffer(7)
    spans: list[Span] = [("dispatch", 1.0, 2.5, {"calls": 3})]
    with listen_to_spans(taken):
        forward_spans(spans)
    assert taken.take() == [("dispatch", 1.0, 2.5, {"calls": 3, "process": 7})]
    forward_spans(spans)
    assert taken.take() == []
