"""The state of a lease after its journal is replayed."""

import pytest

from engine.ledger.journal import Entry, Intent, Outcome, Replay, Result, decode_entries, encode_entries, replay


def result(row: int, outcome: Outcome = Outcome.SENT, attempts: int = 1) -> Result:
    return Result(row, outcome, "id" if outcome is Outcome.SENT else None, None, 1764000000.25, attempts)


def replay_entries(*entries: Entry) -> Replay:
    return replay([encode_entries(entries)])


def test_a_value_is_a_compact_json_array_whatever_python_reads_it():
    value = encode_entries([Intent(7), Result(7, Outcome.REFUSED, None, "no", 1.5, 2)])
    assert value == b'[[7],[7,"refused",null,"no",1.5,2]]'


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x00\x00",
        b"[[1]",
        b"7",
        b"null",
        b"[7]",
        b"[null]",
        b"[[]]",
        b'[[1,"sent"]]',
        b'[[1,"lost",null,null,1,1]]',
    ],
)
def test_a_damaged_value_is_a_value_error(damaged: bytes):
    with pytest.raises(ValueError, match=r"."):
        decode_entries(damaged)


def test_an_empty_journal_says_nothing():
    assert replay([]) == Replay({}, frozenset(), {})


def test_an_intent_without_a_result_is_open():
    assert replay_entries(Intent(1), Intent(2), result(1)).open_intents == {2}


def test_unsent_takes_the_intent_back_and_keeps_the_attempts():
    said = replay_entries(Intent(1), result(1, Outcome.UNSENT))
    assert said == Replay({}, frozenset(), {1: 1})


def test_the_last_result_wins():
    first, last = result(1, Outcome.FAILED), result(1, Outcome.SENT, 2)
    assert replay_entries(Intent(1), first, Intent(1), last).results == {1: last}


def test_every_intent_counts_as_an_attempt():
    unsent = result(1, Outcome.UNSENT)
    assert replay_entries(Intent(1), unsent, Intent(1), unsent, Intent(1)).attempts == {1: 3}


def test_a_result_without_an_intent_counts_no_attempt():
    failed = Result(1, Outcome.FAILED, None, "cannot be rendered", 1.0, 0)
    assert replay_entries(failed) == Replay({1: failed}, frozenset(), {})


def test_values_are_replayed_in_the_order_in_which_they_are_given():
    values = [encode_entries([Intent(1)]), encode_entries([result(1)])]
    assert replay(values).open_intents == frozenset()
    assert replay(reversed(values)).open_intents == {1}


def test_an_open_intent_keeps_the_time_at_which_it_was_recorded_last():
    values = [encode_entries(entries) for entries in ([Intent(1), Intent(2)], [result(1), result(2, Outcome.UNSENT)])]
    again = encode_entries([Intent(2), Intent(3)])
    said = replay([*values, again, encode_entries([Intent(4)])], [1.0, 2.0, 3.0, None])
    assert said.begun == {2: 3.0, 3: 3.0}
    assert said.open_intents == {2, 3, 4}
