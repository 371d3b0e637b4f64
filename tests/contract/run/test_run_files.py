"""run.json, the frozen files, a lease's outcomes, accounts and audit."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import event
from support.clock import START, VirtualClock

from engine.audience.planning import recipients
from engine.campaign.spec import load_campaign
from engine.errors import DataError, PausedError, UsageError
from engine.ledger import leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.journal import Intent, Outcome, Result, encode_entries
from engine.ledger.leases import Settlement
from engine.ledger.recorder import Recorder
from engine.report.run_accounts import list_accounts, require_accounts, require_run
from engine.run.frozen import FrozenRun, open_run
from engine.run.manifest import FILE, Manifest, digest_tree, find_damage, read_manifest, write_manifest
from engine.run.outcomes import CRASH_DETAIL, OUTCOME_SCHEMA, encode_outcomes
from engine.run.prepare.planning import PlanRequest, stage_run
from engine.run.prepare.replan import SHELVES, replan
from engine.run.retain.leftovers import finish_or_remove_staged
from engine.run.send.open_lease import open_lease
from engine.run.send.registration import clear_place, register_run
from engine.run.settle.audit import Audit, audit_run
from engine.run.settle.resolve import list_in_doubt, rewrite_lease
from engine.store.files import digest_bytes
from engine.store.folder import FolderStore
from engine.store.port import Store

NAME = "hello/test"
PEOPLE = 300  # two leases: 250 and 50
CAMPAIGN = """\
from = "Acme <news@acme.example>"
subject = "Hello {{ first_name }}"
kind = "transactional"
audience.source = "people.csv"
content.text = "body.txt"
"""


@dataclass(frozen=True)
class Shop:
    """A store and a ledger with one frozen run, of which nothing was sent yet."""

    workspace: Path
    store: Store
    ledger: Ledger
    frozen: FrozenRun

    @property
    def outcomes(self) -> Path:
        return self.frozen.folder / "outcomes"

    def plan_rows(self) -> pl.DataFrame:
        return pl.read_parquet(self.frozen.folder / "plan" / "recipients-*.parquet")

    def begin(self) -> None:
        with self.ledger.write() as tx:
            runs.start_run(tx, NAME, START)

    def take(self) -> leases.Lease:
        with self.ledger.write() as tx:
            lease = leases.take_lease(tx, NAME, worker="me", live=set())
        assert lease is not None
        return lease

    def settle(self) -> Path:
        """Settle the next lease with all recipients sent; returns its outcome file."""
        lease = self.take()
        span = self.frozen.manifest.leases[lease.ordinal]
        rows = self.plan_rows().slice(span.first_row, span.rows)
        data = encode_outcomes(rows, {row: sent(row) for row in rows["row"]})
        path = self.outcomes / f"lease-{lease.ordinal:05d}-{lease.epoch}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        settlement = Settlement({Outcome.SENT: span.rows}, path.name, digest_bytes(data))
        with self.ledger.write() as tx:
            assert leases.settle_lease(tx, lease, settlement, START)
        return path

    def audit(self) -> Audit:
        return audit_run(self.ledger, require_run(self.ledger, NAME), self.store)


def sent(row: int, attempts: int = 1) -> Result:
    return Result(row, Outcome.SENT, f"id-{row}", None, 1764000000.1239, attempts)


def request_in(workspace: Path) -> PlanRequest:
    campaign = load_campaign(workspace / "hello")
    return PlanRequest(campaign=campaign, key="test", workspace=workspace, limit=None, sandbox=False, created_at=START)


@contextmanager
def open_shop(folder: Path, people: int = PEOPLE) -> Iterator[Shop]:
    (folder / "hello").mkdir(parents=True)
    (folder / "hello" / "campaign.toml").write_text(CAMPAIGN)
    (folder / "hello" / "body.txt").write_text("Dear {{ first_name }}")
    rows = "".join(f"p{i}@b.example,N{i}\n" for i in range(people))
    (folder / "people.csv").write_text("email,first_name\n" + rows + "broken,N\n")
    store = FolderStore(folder / "store")
    ledger = open_ledger(f"sqlite:///{store.local_folder / 'ledger.db'}")
    with store.stage(NAME) as staging:
        frozen = register_run(stage_run(request_in(folder), staging), store, ledger)
    yield Shop(folder, store, ledger, frozen)
    ledger.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


# -- run.json ----------------------------------------------------------------------------------------------------------


def test_manifest_is_read_as_it_was_written(shop: Shop, tmp_path: Path):
    digest = write_manifest(tmp_path, shop.frozen.manifest)
    assert digest == digest_bytes((tmp_path / FILE).read_bytes())
    assert read_manifest(tmp_path, digest) == shop.frozen.manifest


def test_a_manifest_names_what_was_frozen(shop: Shop):
    manifest = shop.frozen.manifest
    assert (manifest.run, manifest.rows_read, manifest.accepted) == (NAME, PEOPLE + 1, PEOPLE)
    assert manifest.excluded == {"invalid_address": 1}
    assert manifest.columns == ("first_name",)
    assert [lease.rows for lease in manifest.leases] == [250, 50]
    assert set(manifest.campaign_files) == {"body.txt", "campaign.toml"}
    assert [(s.name, s.size_bytes) for s in manifest.sources] == [
        ("people.csv", (shop.workspace / "people.csv").stat().st_size)
    ]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"run": 7}', b"\xff\xfe"])
def test_a_damaged_manifest_is_named_and_nothing_is_begun_again(tmp_path: Path, data: bytes):
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(DataError, match=r"is damaged.*backup") as raised:
        read_manifest(tmp_path)
    assert raised.value.where == str(tmp_path / FILE)


def test_manifest_with_an_unknown_member_is_damaged(shop: Shop, tmp_path: Path):
    document = shop.frozen.manifest.model_dump_json().replace('{"run"', '{"ruin":1,"run"', 1)
    (tmp_path / FILE).write_text(document)
    with pytest.raises(DataError, match="is damaged"):
        read_manifest(tmp_path)


def test_a_missing_manifest_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_manifest(tmp_path)


def test_manifest_with_another_digest_than_the_ledgers_is_refused(shop: Shop, tmp_path: Path):
    digest = write_manifest(tmp_path, shop.frozen.manifest)
    changed = Manifest(**{**shop.frozen.manifest.model_dump(), "rows_read": 1})
    write_manifest(tmp_path, changed)
    with pytest.raises(DataError, match="was changed after the launch"):
        read_manifest(tmp_path, digest)


def test_tree_has_a_digest_for_every_file_by_its_path(tmp_path: Path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "d").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    assert digest_tree(tmp_path) == {"a": digest_bytes(b""), "b/c/d": digest_bytes(b"abc")}
    assert list(digest_tree(tmp_path)) == ["a", "b/c/d"]


def test_damage_is_a_sentence_for_each_file_that_differs_or_is_missing(tmp_path: Path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    digests = digest_tree(tmp_path)
    assert find_damage(tmp_path, digests) == []
    (tmp_path / "a").write_text("A")
    (tmp_path / "b").unlink()
    assert find_damage(tmp_path, digests) == [
        f"{tmp_path / 'a'} was changed: its digest differs",
        f"{tmp_path / 'b'} is missing",
    ]


def test_prune_places_recorded_outcomes_and_removes_the_rest(shop: Shop):
    shop.begin()
    settled = shop.settle()
    staged = shop.frozen.folder / "staged"
    staged.mkdir()
    settled.rename(staged / settled.name)  # as before the move that the kill cut off
    shop.take()
    (staged / "lease-00001-0.parquet").write_bytes(b"of an owner whose lease was taken over")
    assert finish_or_remove_staged(shop.store, shop.ledger, START) == 2
    assert settled.exists()
    assert list(staged.iterdir()) == []
    assert finish_or_remove_staged(shop.store, shop.ledger, START) == 0


# -- planning ----------------------------------------------------------------------------------------------------------


def test_two_launches_at_once_share_the_first_plan(shop: Shop):
    (shop.workspace / "people.csv").write_text("email,first_name\nother@b.example,O\n")
    with shop.store.stage(NAME) as staging:
        second = register_run(stage_run(request_in(shop.workspace), staging), shop.store, shop.ledger)
    assert second == shop.frozen
    with shop.ledger.read() as tx:
        assert len(leases.list_leases(tx, NAME)) == 2


@pytest.mark.parametrize("shelf", SHELVES)
def test_plan_check_preview_and_test_refuse_what_is_not_a_regular_file(shop: Shop, shelf: str):
    os.mkfifo(shop.workspace / "hello" / "pipe")
    os.mkfifo(shop.workspace / "hello" / ".pipe")
    with pytest.raises(DataError, match=r"^pipe is a named pipe"):
        replan(request_in(shop.workspace), shop.store, shelf)
    (shop.workspace / "hello" / "pipe").unlink()
    _, folder = replan(request_in(shop.workspace), shop.store, shelf)
    assert sorted(digest_tree(folder / "campaign")) == ["body.txt", "campaign.toml"]


def test_folder_without_a_run_in_the_ledger_is_never_used_as_the_run(shop: Shop):
    """Such as one that a crash left: what it froze may be wrong by now."""
    (shop.workspace / "people.csv").write_text("email,first_name\nright@b.example,R\n")
    fresh = open_ledger(f"sqlite:///{shop.workspace / 'fresh.db'}")
    with pytest.raises(DataError, match="is not the one that"), shop.store.stage(NAME) as staging:
        register_run(stage_run(request_in(shop.workspace), staging), shop.store, fresh)
    with fresh.read() as tx:
        assert runs.find_run(tx, NAME) is None
    clear_place(NAME, shop.store, fresh, START)
    with shop.store.stage(NAME) as staging:
        frozen = register_run(stage_run(request_in(shop.workspace), staging), shop.store, fresh)
    fresh.close()
    plan = pl.read_parquet(frozen.folder / "plan" / "recipients-*.parquet")
    assert plan["address"].to_list() == ["right@b.example"]


@pytest.mark.parametrize("name", ["campaign/body.txt", "campaign/campaign.toml", FILE])
def test_a_run_whose_frozen_files_were_changed_is_not_sent(shop: Shop, name: str):
    with (shop.frozen.folder / name).open("ab") as file:
        file.write(b"\n ")
    with pytest.raises(DataError, match="nothing was sent"):
        open_run(shop.frozen.run, shop.store)


def test_a_run_in_order_is_opened_as_it_was_frozen(shop: Shop):
    assert open_run(shop.frozen.run, shop.store) == shop.frozen


# -- outcomes ----------------------------------------------------------------------------------------------------------


def test_outcomes_are_parquet_of_the_published_schema_in_the_plan_s_order():
    recipients = pl.DataFrame(
        {"row": [9, 2], "address": ["b@x.example", "a@x.example"]}, schema_overrides={"row": pl.UInt64}
    )
    refused = Result(2, Outcome.REFUSED, None, "MessageRejected: no", 1764000000.1239, 3)
    frame = pl.read_parquet(BytesIO(encode_outcomes(recipients, {2: refused, 9: sent(9)})))
    at = datetime(2025, 11, 24, 16, 0, 0, 123000, tzinfo=UTC)
    assert frame.schema == pl.Schema(OUTCOME_SCHEMA)
    assert frame.rows() == [
        (9, "b@x.example", "sent", "id-9", None, at, 1),
        (2, "a@x.example", "refused", None, "MessageRejected: no", at, 3),
    ]


def test_a_recipient_without_a_result_is_never_written_as_something(shop: Shop):
    with pytest.raises(KeyError):
        encode_outcomes(shop.plan_rows(), {})


@pytest.mark.parametrize("resend", [False, True])
async def test_opened_lease_has_earlier_records_and_holds_what_was_in_flight(
    shop: Shop, clock: VirtualClock, *, resend: bool
):
    shop.begin()
    lease = shop.take()
    done, open_, fresh = shop.plan_rows()["row"][:3]
    with shop.ledger.write() as tx:
        entries = encode_entries([Intent(done), sent(done), Intent(open_)])
        assert leases.append_journal(tx, lease, sequence=1, entries=entries)
    with shop.ledger.read() as tx:
        begun = leases.replay_lease(tx, NAME, 0).begun  # by the ledger's clock
    recorder = Recorder(shop.ledger)
    opened = await open_lease(shop.take(), shop.frozen, recorder=recorder, resend_in_doubt=resend, clock=clock)
    await recorder.close()
    with shop.ledger.read() as tx:
        assert leases.replay_lease(tx, NAME, 0).results == opened.results, "what is found out is journaled"
    held = {open_: Result(open_, Outcome.IN_DOUBT, None, CRASH_DETAIL, begun[open_], 1)}
    assert opened.results == {done: sent(done)} | ({} if resend else held)
    left = [recipient.row for recipient in opened.left()]
    assert left[0] == (open_ if resend else fresh)
    assert len(left) == 250 - len(opened.results)
    assert not opened.complete


def test_leases_of_a_possibly_live_worker_are_not_listed_or_settled(shop: Shop, clock: VirtualClock):
    shop.begin()
    lease, row = shop.take(), shop.plan_rows()["row"].item(0)
    with shop.ledger.write() as tx:
        assert leases.append_journal(tx, lease, sequence=1, entries=encode_entries([Intent(row)]))
    much_later = clock.now() + timedelta(days=1)  # by whatever wall clock
    listed = list_in_doubt(shop.ledger, shop.frozen, set(), much_later)
    assert (listed.recipients.height, listed.in_flight, listed.leases) == (0, 1, ())
    found = list_in_doubt(shop.ledger, shop.frozen, {"me"}, much_later)
    assert (found.recipients["row"].to_list(), found.in_flight, found.leases) == ([row], 0, (0,))
    with shop.ledger.write() as tx:
        assert leases.take_lease(tx, NAME, worker="successor", live=set())
    resend = [Result(row, Outcome.UNSENT, None, None, 1.0, 1)]
    with pytest.raises(PausedError, match="changed at this moment"):
        rewrite_lease(shop.ledger, shop.frozen, 0, lambda _: resend, what="x", gone={"me"}, clock=clock)


# -- accounts and audit ------------------------------------------------------------------------------------------------


def test_unknown_run_is_refused_with_the_nearest_name(shop: Shop):
    with pytest.raises(UsageError, match=r"no run hello/tset.*did you mean hello/test"):
        require_run(shop.ledger, "hello/tset")


def test_accounts_are_the_settled_leases_and_the_journals_of_open_ones(shop: Shop):
    shop.begin()
    shop.settle()
    lease = shop.take()
    first, second = shop.plan_rows()["row"][250:252]
    with shop.ledger.write() as tx:
        leases.append_journal(
            tx, lease, sequence=1, entries=encode_entries([Intent(first), sent(first), Intent(second)])
        )
    accounts = require_accounts(shop.ledger, NAME, shop.store, START)
    assert list_accounts(shop.ledger, shop.store, START) == [accounts]
    told = {str(outcome): accounts.count(outcome) for outcome in Outcome}
    assert told == {"sent": 251, "refused": 0, "failed": 0, "in_doubt": 1, "unsent": 48}
    assert accounts.balanced
    assert accounts.in_flight == 0  # no live worker expects an answer
    assert shop.audit().accounts.to_json() == accounts.to_json()


def test_an_audit_proves_a_run_at_every_stage(shop: Shop):
    assert shop.audit().problems == []
    shop.begin()
    for settled in (250, 300):
        shop.settle()
        audit = shop.audit()
        assert audit.problems == []
        assert audit.accounts.count(Outcome.SENT) == settled
        assert audit.to_json()["balanced"] is True


OPENED: list[str] = []
sys.addaudithook(lambda event, args: OPENED.append(str(args[0])) if event == "open" else None)


def count_reads(folder: Path, settled: int) -> tuple[int, int, int]:
    """Count what `audit` and `status` do for a run of so many leases: files opened, queries, bytes read."""
    with open_shop(folder, people=settled * 20) as shop:
        assert len(shop.frozen.manifest.leases) == settled
        shop.begin()
        for _ in range(settled):
            shop.settle()
        shop.audit()  # what is made once is made now
        queries: list[str] = []
        event.listen(shop.ledger._engine, "before_cursor_execute", lambda *told: queries.append(told[2]))
        OPENED.clear()
        before = read_bytes_so_far()
        assert shop.audit().problems == []
        require_accounts(shop.ledger, NAME, shop.store, START)
        opened = sum(path.startswith(str(shop.store.local_folder)) for path in OPENED)
        return opened, len(queries), read_bytes_so_far() - before


def read_bytes_so_far() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def test_what_audit_and_status_read_grows_with_the_leases_and_no_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recipients, "MIN_LEASE_ROWS", 20)
    monkeypatch.setattr(recipients, "LEASES_WANTED", 1_000)
    counted = [count_reads(tmp_path / str(settled), settled) for settled in (20, 40, 80)]
    assert len({queries for _, queries, _ in counted}) == 1, counted  # each looks at all leases
    for few, more, most in zip(*counted, strict=True):
        assert most - more <= 2 * (more - few) * 1.1, counted  # a tenth for what others read in this process


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    [
        "plan/recipients-0000.parquet",
        "plan/excluded-0000.parquet",
        "campaign/body.txt",
        "outcomes/lease-00000-1.parquet",
    ],
)
def test_an_audit_finds_a_flipped_bit_and_a_missing_file(shop: Shop, name: str):
    shop.begin()
    shop.settle()
    path = shop.frozen.folder / name
    flip_a_bit(path)
    audit = shop.audit()
    aside = shop.frozen.folder / "damaged" / path.name
    is_ours_to_move = path.parent == shop.outcomes
    told = f"; it was set aside as {aside}" if is_ours_to_move else ""
    assert audit.problems == [f"{path} was changed: its digest differs{told}"]
    assert audit.to_json()["balanced"] is False
    (aside if is_ours_to_move else path).unlink()
    assert shop.audit().problems == [f"{path} is missing"]


def test_audit_names_an_outcome_file_without_a_lease(shop: Shop):
    shop.begin()
    stranger = shop.settle().with_name("lease-00009-1.parquet")
    stranger.write_bytes(b"x")
    assert shop.audit().problems == [f"{stranger} belongs to no settled lease"]


def test_audit_ignores_outcomes_that_a_worker_is_about_to_record(shop: Shop):
    shop.begin()
    lease = shop.take()
    results = [sent(row) for row in shop.plan_rows()["row"][:250]]
    with shop.ledger.write() as tx:
        assert leases.append_journal(tx, lease, sequence=1, entries=encode_entries(results))
    staged = shop.frozen.key("staged", "lease-00000-1.parquet")
    shop.store.write(staged, b"x")
    audit = shop.audit()
    assert (audit.problems, audit.accounts.count(Outcome.SENT)) == ([], 250)
    assert shop.store.read(staged) == b"x"


def test_an_audit_names_a_lease_with_a_recipient_missing_or_another_twice(shop: Shop):
    shop.begin()
    path = shop.settle()
    whole = pl.read_parquet(path)
    for frame in (whole.head(-1), whole.head(-1).vstack(whole.head(1))):
        frame.write_parquet(path)
        change_settlement(shop, path, sent=250)
        problem = f"{path} does not have exactly one outcome for each recipient of its lease"
        assert problem in shop.audit().problems


def test_an_audit_compares_the_ledger_s_counts_with_the_file(shop: Shop):
    shop.begin()
    path = shop.settle()
    change_settlement(shop, path, sent=249)
    assert shop.audit().problems == [f"{path} adds up to other counts than the ledger has for its lease"]


def change_settlement(shop: Shop, path: Path, *, sent: int) -> None:
    with shop.ledger.write() as tx:
        tx.exec_driver_sql(
            "UPDATE lease SET sent = ?, outcomes_digest = ? WHERE ordinal = 0", (sent, digest_bytes(path.read_bytes()))
        )


def test_an_audit_of_a_run_without_its_folder_says_so(shop: Shop):
    shutil.rmtree(shop.frozen.folder)
    with pytest.raises(DataError, match="cannot be read"):
        shop.audit()
