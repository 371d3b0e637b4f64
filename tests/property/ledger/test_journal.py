"""Laws of the journal that hold for every history."""

from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.journal import Entry, Intent, Outcome, Result, decode_entries, encode_entries, replay

ROWS = st.integers(0, 2**63 - 1)
TEXTS = st.none() | st.text()
TIMES = st.floats(0, 4e9)


def results(rows: st.SearchStrategy[int]) -> st.SearchStrategy[Result]:
    return st.builds(
        Result,
        row=rows,
        outcome=st.sampled_from(Outcome),
        message_id=TEXTS,
        error=TEXTS,
        at=TIMES,
        attempts=st.integers(0, 1_000),
    )


def histories(rows: st.SearchStrategy[int]) -> st.SearchStrategy[list[Entry]]:
    return st.lists(st.one_of(st.builds(Intent, rows), results(rows)))


@given(entries=histories(ROWS))
def test_entries_are_read_as_they_were_written(entries: list[Entry]) -> None:
    assert decode_entries(encode_entries(entries)) == entries


@given(groups=st.lists(histories(st.integers(0, 4))))
def test_replay_does_not_depend_on_commit_grouping(groups: list[list[Entry]]) -> None:
    together = encode_entries([entry for group in groups for entry in group])
    assert replay(encode_entries(group) for group in groups) == replay([together])


@given(entries=histories(st.integers(0, 4)))
def test_replay_gives_each_row_the_state_of_its_own_history(entries: list[Entry]) -> None:
    said = replay([encode_entries(entries)])
    for row in range(5):
        own = [entry for entry in entries if entry.row == row]
        told = [entry for entry in own if isinstance(entry, Result)]
        final = told[-1] if told and told[-1].outcome is not Outcome.UNSENT else None
        assert said.results.get(row) == final
        assert (row in said.open_intents) == (bool(own) and isinstance(own[-1], Intent))
        assert said.attempts.get(row, 0) == len(own) - len(told)


@given(entries=histories(st.integers(0, 4)), cut=st.integers(0, 200))
def test_truncated_value_is_never_treated_as_complete(entries: list[Entry], cut: int) -> None:
    value = encode_entries(entries)
    try:
        read = decode_entries(value[: min(cut, len(value) - 1)])
    except ValueError:
        return
    raise AssertionError(f"a torn value was read as {read}")


@given(value=st.binary())
def test_bytes_that_are_not_a_journal_are_a_value_error(value: bytes) -> None:
    try:
        read = decode_entries(value)
    except ValueError:
        return
    assert all(isinstance(entry, Intent | Result) for entry in read)
