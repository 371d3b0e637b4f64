"""The accounts: whether they add up, as JSON and as a table."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.clock import START

from engine.ledger.event_flags import SHOWN
from engine.ledger.journal import Outcome
from engine.report.accounts import Accounts
from engine.report.tables import render_accounts

ACCOUNTS = Accounts(
    run="welcome/1",
    state="finished",
    reason=None,
    rows_read=1_234_567,
    accepted=1_234_500,
    excluded={"invalid_address": 60, "missing_data": 7},
    outcomes={Outcome.SENT: 1_234_400, Outcome.REFUSED: 90, Outcome.IN_DOUBT: 10},
    started_at=START,
    finished_at=START + timedelta(seconds=61.5),
    store=Path("/store/runs/welcome/1"),
)


def test_unsent_is_what_has_no_outcome():
    accounts = replace(ACCOUNTS, outcomes={Outcome.SENT: 1})
    assert accounts.count(Outcome.UNSENT) == 1_234_499
    assert ACCOUNTS.count(Outcome.UNSENT) == ACCOUNTS.count(Outcome.FAILED) == 0


@pytest.mark.parametrize(
    ("changes", "balanced"),
    [
        ({}, True),
        ({"outcomes": {}}, True),
        ({"rows_read": 1_234_568}, False),
        ({"excluded": {}}, False),
        ({"accepted": 1_234_501}, False),
        ({"outcomes": {Outcome.SENT: 1_234_501}}, False),
    ],
)
def test_accounts_balance_where_every_row_is_in_one_place(changes: dict[str, Any], balanced: bool):  # noqa: FBT001 - a parameter of the case
    assert replace(ACCOUNTS, **changes).balanced is balanced


def test_run_has_no_losses_only_if_all_recipients_are_sent():
    assert not ACCOUNTS.lossless
    assert replace(ACCOUNTS, outcomes={Outcome.SENT: 1_234_500}).lossless
    assert not replace(ACCOUNTS, outcomes={}).lossless


def test_json_has_the_keys_of_the_contract_and_their_values():
    assert ACCOUNTS.to_json() == {
        "run": "welcome/1",
        "state": "finished",
        "reason": None,
        "paused_by": None,
        "rows_read": 1_234_567,
        "accepted": 1_234_500,
        "excluded": {"invalid_address": 60, "missing_data": 7},
        "sent": 1_234_400,
        "refused": 90,
        "failed": 0,
        "in_doubt": 10,
        "unsent": 0,
        "in_flight": 0,
        **dict.fromkeys(SHOWN, 0),
        "balanced": True,
        "started_at": "2026-11-24T09:00:00Z",
        "finished_at": "2026-11-24T09:01:01Z",
        "store": "/store/runs/welcome/1",
        "workers": 0,
    }
    assert replace(ACCOUNTS, started_at=None).to_json()["started_at"] is None


def test_event_counts_have_their_own_key_and_line():
    accounts = replace(ACCOUNTS, feedback={"delivered": 1_234_000, "complained": 3, "opened": 0})
    told = accounts.to_json()
    assert (told["delivered"], told["complained"], told["opened"], told["bounced"]) == (1_234_000, 3, 0, 0)
    contract = {"delivered", "bounced", "complained", "opened", "clicked", "delayed", "unsubscribed"}
    assert contract <= told.keys()
    lines = [line for line in render_accounts(accounts).splitlines() if "←" in line]
    assert [line.split()[1:] for line in lines] == [["delivered", "1,234,000"], ["complained", "3"]]


def test_the_table_has_every_number_and_ends_with_the_proof():
    lines = render_accounts(ACCOUNTS).splitlines()
    assert lines[0] == "welcome/1  finished in 61.5 s"
    assert [line.split()[-1] for line in lines[2:-2]] == ["1,234,567", "60", "7", "1,234,500", "1,234,400", "90", "10"]
    assert lines[-1] == (
        "balanced: 1,234,567 read = 1,234,500 accepted + 67 excluded;"
        " 1,234,500 = 1,234,400 sent + 90 refused + 10 in doubt"
    )


def test_table_shows_where_accounts_do_not_balance():
    assert (
        render_accounts(replace(ACCOUNTS, rows_read=1)).splitlines()[-1]
        == "NOT BALANCED: run `mailrun audit welcome/1`"
    )


def test_table_shows_how_many_in_doubt_are_in_flight():
    table = render_accounts(replace(ACCOUNTS, in_flight=4, state="sending", finished_at=None))
    assert table.startswith("welcome/1  sending\n")
    assert "  → in doubt                                10  (4 in flight)" in table.splitlines()


def test_accounts_without_rows_balance_at_0():
    nobody = replace(ACCOUNTS, rows_read=0, accepted=0, excluded={}, outcomes={})
    assert render_accounts(nobody).splitlines()[-1] == "balanced: 0 read = 0 accepted + 0 excluded; 0 = 0"
