"""Planning: every row of the audience is accepted, or excluded for the first reason that holds."""

import stat
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.plans import excluded, plan, recipients

from engine.audience.exclusions import ExclusionReason
from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.plan_files import (
    content_of,
    excluded_file,
    prove_balance,
    read_lease,
    recipients_file,
    stored_name,
    write_plan_file,
)
from engine.audience.planning.recipients import rows_per_lease
from engine.errors import ConfigurationError, DataError


def write_many(folder: Path, number: int) -> None:
    lines = "".join(f"user{n}@example.com,{n}\n" for n in range(number))
    (folder / "list.csv").write_text("email,n\n" + lines)


def test_each_reason_has_its_detail(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("email,reason,topic\nSue@example.com,complained,\ntom@example.com,,news\n")
    (tmp_path / "list.csv").write_text(
        "email,name,points\n"
        "ann@example.com,Ann,200\n"
        "bob@example.com,Bob,200,more\n"
        ",Cy,200\n"
        "dan@,Dan,200\n"
        "eve@example.com,Eve,5\n"
        "ANN@EXAMPLE.COM,Ann again,200\n"
        "sue@example.com,Sue,200\n"
        "tom@example.com,Tom,200\n"
        "zoe@example.com, ,200\n"
    )
    found = plan(tmp_path, where="points > 100", required=["name"], suppressed=["gone.csv"], topic="news")
    assert excluded(tmp_path) == [
        (3, "malformed_row", "the row has 4 fields, the header has 3"),
        (4, "missing_address", "the column email is empty"),
        (5, "invalid_address", "there is nothing after the @"),
        (6, "filtered", "it does not meet the condition: points > 100"),
        (7, "duplicate", "the same address as in list.csv line 2"),
        (8, "suppressed", "suppressed by gone.csv line 2: complained"),
        (9, "suppressed", "suppressed by gone.csv line 3"),
        (10, "missing_data", "missing values: name"),
    ]
    assert recipients(tmp_path).get_column("address").to_list() == ["ann@example.com"]
    assert (found.rows_read, found.accepted) == (9, 1)
    assert found.excluded == {
        "malformed_row": 1,
        "missing_address": 1,
        "invalid_address": 1,
        "filtered": 1,
        "duplicate": 1,
        "suppressed": 2,
        "missing_data": 1,
    }


def test_a_row_has_the_first_reason_that_holds(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("email\nann@example.com\n")
    (tmp_path / "list.csv").write_text(
        "email,name,n\n"
        ",,1,x\n"  # malformed before missing
        ",,1\n"  # missing before filtered and missing data
        "x,,1\n"  # invalid before filtered
        "ann@example.com,,1\n"  # filtered before suppressed
        "ann@example.com,,9\n"  # suppressed before missing data
        "ann@example.com,,9\n"  # duplicate before suppressed
        "bob@example.com,,9\n"  # missing data
    )
    found = plan(tmp_path, where="n > 5", required=["name"], suppressed=["gone.csv"])
    reasons = ["malformed_row", "missing_address", "invalid_address", "filtered", "suppressed", "duplicate"]
    assert [reason for _, reason, _ in excluded(tmp_path)] == [*reasons, "missing_data"]
    assert list(found.excluded) == [reason for reason in ExclusionReason if reason in found.excluded]


def test_the_reasons_stand_in_the_order_of_precedence() -> None:
    assert list(ExclusionReason) == [
        *("malformed_row", "missing_address", "invalid_address", "filtered", "duplicate", "suppressed"),
        *("missing_data", "capped", "held_out"),
    ]


def test_a_filtered_row_does_not_make_a_later_one_a_duplicate(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,n\nann@example.com,1\nAnn@example.com,9\nann@EXAMPLE.com,9\n")
    plan(tmp_path, where="n > 5")
    assert recipients(tmp_path).select("line", "address").rows() == [(3, "Ann@example.com")]
    assert excluded(tmp_path)[1] == (4, "duplicate", "the same address as in list.csv line 3")


def test_full_width_and_named_forms_are_the_same_address(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "email\nann@gmail.example\nann@\uff47\uff4d\uff41\uff49\uff4c.example\nAnn <ANN@gmail.example>\n"
    )
    assert plan(tmp_path).excluded == {"duplicate": 2}


def test_a_condition_that_is_null_filters_the_row_out(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,n\nann@example.com,\nbob@example.com,7\n")
    assert plan(tmp_path, where="n > 5").excluded == {"filtered": 1}
    assert plan(tmp_path, where="NOT n > 5").excluded == {"filtered": 2}


def test_opt_outs_by_topic_do_not_apply_to_transactional_campaigns(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("email,topic\nann@example.com,news\nbob@example.com,\n")
    (tmp_path / "list.csv").write_text("email\nann@example.com\nbob@example.com\n")
    assert plan(tmp_path, suppressed=["gone.csv"], topic="news").accepted == 0
    plan(tmp_path, suppressed=["gone.csv"], topic="news", kind="transactional")
    assert recipients(tmp_path).get_column("key").to_list() == ["ann@example.com"]


def test_all_missing_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,a,b,c\nann@example.com,,x, \n")
    plan(tmp_path, required=["c", "a", "b"])
    assert excluded(tmp_path) == [(2, "missing_data", "missing values: c, a")]


def test_a_default_stands_in_for_nulls_and_blanks(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,name,vip\na@example.com,Ann,\nb@example.com,,no\nc@example.com,  ,\n")
    found = plan(tmp_path, required=["name"], defaults={"name": "there", "vip": True})
    assert found.excluded == {}
    cells = content_of(recipients(tmp_path).sort("row"), ["name", "vip"])
    assert cells.rows() == [("Ann", "true"), ("there", "no"), ("there", "true")]


def test_a_default_has_the_type_of_its_column(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["a@example.com", "b@example.com"], "n": [None, 2]}).write_parquet(tmp_path / "list.parquet")
    plan(tmp_path, source="list.parquet", defaults={"n": 7})
    assert recipients(tmp_path).sort("row").get_column("n").to_list() == [7, 2]
    with pytest.raises(DataError, match=r"the default 'x' does not fit the column n, which is Int64 .*defaults\.n"):
        plan(tmp_path, source="list.parquet", defaults={"n": "x"})


def test_a_column_that_content_does_not_use_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,a,b,c\nann@example.com,1,2,3\n")
    found = plan(tmp_path, columns=frozenset({"c", "a"}), where="b = 2", defaults={"b": "x"})
    assert found.columns == ("a", "c")
    assert recipients(tmp_path).columns == ["row", "file", "line", "address", "key", "a", "c"]
    assert plan(tmp_path, columns=frozenset()).columns == ()
    assert recipients(tmp_path).columns == ["row", "file", "line", "address", "key"]


def test_columns_named_like_the_plans_own_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("address,key,row,file,line,audience.key\n Ann@example.com,k,r,f,l,x\n")
    found = plan(tmp_path, address="address")
    (lease,) = found.leases
    content = content_of(read_lease(tmp_path, lease), found.columns)
    assert content.to_dicts() == [
        {"address": " Ann@example.com", "key": "k", "row": "r", "file": "f", "line": "l", "audience.key": "x"}
    ]
    assert [stored_name(name) for name in ("key", "city")] == ["audience.key", "city"]


def test_the_files_have_their_schema_also_without_rows(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email,n\n")
    found = plan(tmp_path)
    assert (found.rows_read, found.accepted, found.excluded, found.leases) == (0, 0, {}, ())
    place = {"row": pl.UInt64, "file": pl.String, "line": pl.UInt64, "address": pl.String}
    texts = dict.fromkeys(("key", "email", "n"), pl.String)
    assert recipients(tmp_path).schema == {**place, **texts}
    said = dict.fromkeys(("reason", "detail"), pl.String)
    assert pl.read_parquet(tmp_path / excluded_file(0)).schema == {**place, **said}


def test_empty_parquet_file_is_an_empty_audience(tmp_path: Path) -> None:
    pl.DataFrame(schema={"email": pl.String}).write_parquet(tmp_path / "list.parquet")
    assert plan(tmp_path, source="list.parquet").rows_read == 0


def test_an_address_is_excluded_as_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\n Nobody @\n")
    plan(tmp_path)
    assert pl.read_parquet(tmp_path / excluded_file(0)).row(0)[:4] == (1, "list.csv", 2, " Nobody @")


def test_the_first_in_the_plans_order_are_within_the_limit(tmp_path: Path) -> None:
    write_many(tmp_path, 50)
    plan(tmp_path)
    everybody = recipients(tmp_path).get_column("key").to_list()
    found = plan(tmp_path, limit=7)
    assert recipients(tmp_path).get_column("key").to_list() == everybody[:7]
    assert (found.accepted, found.excluded) == (7, {"held_out": 43})
    assert {detail for _, _, detail in excluded(tmp_path)} == {"it is beyond the limit of 7 recipients"}
    assert plan(tmp_path, limit=50).excluded == {}
    assert plan(tmp_path, limit=0).accepted == 0


def test_the_same_inputs_give_the_same_bytes_and_another_key_another_order(tmp_path: Path) -> None:
    write_many(tmp_path, 1000)
    plan(tmp_path)
    first = (tmp_path / recipients_file(0)).read_bytes()
    plan(tmp_path)
    assert (tmp_path / recipients_file(0)).read_bytes() == first
    before = recipients(tmp_path)
    plan(tmp_path, order_key="welcome/tomorrow")
    assert not recipients(tmp_path).equals(before)
    assert recipients(tmp_path).sort("row").equals(before.sort("row"))


@pytest.mark.parametrize(
    ("accepted", "rows"),
    [(0, 250), (1, 250), (2000, 250), (2001, 251), (80_000, 10_000), (80_001, 10_000), (10**8, 10_000)],
)
def test_a_lease_is_an_eighth_of_the_plan_within_bounds(accepted: int, rows: int) -> None:
    assert rows_per_lease(accepted) == rows


def test_the_leases_are_the_plan_in_order_without_gaps(tmp_path: Path) -> None:
    write_many(tmp_path, 2300)
    found = plan(tmp_path)
    assert [(lease.ordinal, lease.first_row, lease.rows) for lease in found.leases] == [
        (ordinal, ordinal * 288, 288 if ordinal < 7 else 284) for ordinal in range(8)
    ]
    leases = [read_lease(tmp_path, lease) for lease in found.leases]
    assert pl.concat(leases).equals(recipients(tmp_path))


def test_a_lease_does_not_depend_on_the_files_row_groups(tmp_path: Path) -> None:
    write_many(tmp_path, 1000)
    found = plan(tmp_path)
    before = [read_lease(tmp_path, lease) for lease in found.leases]
    write_plan_file(tmp_path / recipients_file(0), recipients(tmp_path), row_group_rows=77)
    assert all(read_lease(tmp_path, lease).equals(rows) for lease, rows in zip(found.leases, before, strict=True))


def test_reading_a_lease_touches_little_else_of_the_file(tmp_path: Path) -> None:
    """Damage in all the other leases goes unnoticed, so they were not read."""
    write_many(tmp_path, 20_000)
    found = plan(tmp_path)
    lease = found.leases[3]
    whole = read_lease(tmp_path, lease)
    data = bytearray((tmp_path / recipients_file(0)).read_bytes())
    share = len(data) // len(found.leases)
    data[4 : 2 * share] = bytes(2 * share - 4)
    data[5 * share : 7 * share] = bytes(2 * share)
    (tmp_path / recipients_file(0)).write_bytes(data)
    assert read_lease(tmp_path, lease).equals(whole)


def test_a_lease_beyond_the_file_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    write_many(tmp_path, 300)
    plan(tmp_path)
    with pytest.raises(DataError, match="the plan file has 50 of the 250 rows of lease 1"):
        read_lease(tmp_path, LeaseRange(1, recipients_file(0), 250, 250))
    with pytest.raises(DataError, match="the plan cannot be read"):
        read_lease(tmp_path, LeaseRange(0, "recipients-0001.parquet", 0, 1))
    whole = (tmp_path / recipients_file(0)).read_bytes()
    (tmp_path / recipients_file(0)).write_bytes(whole[:-9])
    with pytest.raises(DataError, match="the plan cannot be read"):
        read_lease(tmp_path, LeaseRange(0, recipients_file(0), 0, 250))


def test_a_plan_that_does_not_balance_is_refused(tmp_path: Path) -> None:
    write_many(tmp_path, 10)
    plan(tmp_path)
    prove_balance(tmp_path, rows_read=10, accepted=10, excluded={})
    for rows_read, accepted in ((11, 10), (10, 9), (10, 11)):
        with pytest.raises(DataError, match="does not balance"):
            prove_balance(tmp_path, rows_read=rows_read, accepted=accepted, excluded={})
    twice = recipients(tmp_path)
    write_plan_file(tmp_path / recipients_file(0), twice.head(5).vstack(twice.head(5)), row_group_rows=250)
    with pytest.raises(DataError, match="does not balance"):
        prove_balance(tmp_path, rows_read=10, accepted=10, excluded={})


def test_plan_files_are_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_many(tmp_path, 10)
    (tmp_path / recipients_file(0)).touch(mode=0o644)
    found = plan(tmp_path)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in found.files} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {"list.csv", *found.files}


def test_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        write_plan_file(tmp_path / "no" / recipients_file(0), pl.DataFrame(), row_group_rows=1)


def test_a_suppression_entry_that_cannot_match_stops_the_plan(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("email\nnobody\n")
    write_many(tmp_path, 1)
    with pytest.raises(DataError, match=r"1 of 1 entries match no address.*gone\.csv, line 2.*skip_invalid = true"):
        plan(tmp_path, suppressed=["gone.csv"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"required": ["nam"]}, r"\[audience\] required names the column nam, .* did you mean name\?"),
        ({"defaults": {"nam": "x"}}, r"\[audience\] defaults names the column nam, .* did you mean name\?"),
        ({"where": "nam = 'x'"}, r"\[audience\] where names the column nam, .* did you mean name\?"),
        ({"columns": frozenset({"nam"})}, r"the templates use the column nam, .* did you mean name\?"),
        ({"address": "e_mail"}, r"there is no address column e_mail .*\(list\.csv; .* did you mean email\?"),
        (
            {"address": "to"},
            r'the column email holds addresses: set address = "email".* available: email, name',
        ),
    ],
)
def test_missing_column_is_refused_with_its_key_and_the_nearest(
    wrong: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text("name,email\nAnn,ann@example.com\n")
    with pytest.raises(DataError, match=words):
        plan(tmp_path, **wrong)


def test_a_file_without_header_is_not_taken_for_one_with(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("ann@example.com,Ann\nbob@example.com,Bob\n")
    with pytest.raises(DataError, match=r"the first line contains an address.*add a header line with the column names"):
        plan(tmp_path)


def test_an_address_column_without_text_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"email": [1, 2]}).write_parquet(tmp_path / "list.parquet")
    with pytest.raises(DataError, match="the address column email has the type Int64, not text"):
        plan(tmp_path, source="list.parquet")


def test_addresses_may_be_categories_or_all_null(tmp_path: Path) -> None:
    table = pl.DataFrame({"email": ["a@example.com", None]}, schema={"email": pl.Categorical})
    table.write_parquet(tmp_path / "list.parquet")
    assert plan(tmp_path, source="list.parquet").excluded == {"missing_address": 1}
    pl.DataFrame({"email": [None, None]}).write_parquet(tmp_path / "list.parquet")
    assert plan(tmp_path, source="list.parquet").excluded == {"missing_address": 2}
