"""Opt-outs of the server, the Lambda handler and inbound mail are counted for the run; otherwise they only suppress."""

from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import event, update
from support.feedback import NEXT_RUN, PEOPLE, RUN, make_run
from support.mails import mail

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.feedback.inbound.authority import MailTrust, ReceivedMail
from engine.feedback.inbound.intake import InboundIntake, judge
from engine.feedback.unsubscribe import lambda_handler
from engine.feedback.unsubscribe.lambda_handler import make_lambda_handler
from engine.feedback.unsubscribe.opt_out import LedgerOptOuts, is_forgotten
from engine.feedback.unsubscribe.pages import BY_PAGE, ONE_CLICK, UNDO, UnsubscribePages
from engine.feedback.unsubscribe.requests import LinkMeaning, LinkRequest, answer_request
from engine.feedback.unsubscribe.server import LinkServer
from engine.ledger import event_flags, leases, runs
from engine.ledger.event_flags import Flag
from engine.ledger.identity import digest_run, read_identity
from engine.ledger.schema import feedback_table
from engine.ledger.suppressed.forgotten import add_forgotten
from engine.ledger.suppressed.opt_outs import (
    OptOutMethod,
    UnsubscribeCounts,
    collapse_opt_outs,
    count_unsubscribes,
    list_opt_outs,
)
from engine.ledger.suppressed.suppressions import find_suppressions
from engine.store.keys import read_forget_key
from engine.workspace import Workspace, open_workspace

KEY = b"a-key-that-only-tests-use"
FORM = "application/x-www-form-urlencoded"
CLICK = "=".join(ONE_CLICK)
BUTTON = f"{CLICK}&{'='.join(BY_PAGE)}"
SIGNER = TokenSigner([KEY])
PAGES = UnsubscribePages()
NOTHING = UnsubscribeCounts(total=0, ses=0, one_click=0, page=0, mailto=0)


class Office:
    """A workspace whose ledger has two runs, with all that receives opt-outs."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.workspace = workspace
        self.ledger = self.workspace.ledger
        self.identity = read_identity(self.ledger)
        with self.ledger.write() as tx:
            for name in (RUN, NEXT_RUN):
                runs.insert_run(tx, make_run(name), lease_rows=[8, 8, 4])
        self.opt_outs = LedgerOptOuts(self.workspace)
        self.handler = make_lambda_handler(folder)

    def sign(self, person: int, lease: int, index: int, run: str = RUN, identity: str | None = None) -> str:
        digest = digest_run(identity or self.identity, run)
        return SIGNER.bind_run("news", digest).sign(PEOPLE[person], lease, index)

    def post(self, token: str, body: str = CLICK) -> LinkMeaning:
        return answer_request(
            LinkRequest("POST", f"/u/{token}", FORM, body.encode()), SIGNER, self.opt_outs, PAGES
        ).meaning

    def post_to_lambda(self, token: str, body: str = CLICK) -> None:
        event = {
            "rawPath": f"/u/{token}",
            "headers": {"content-type": FORM},
            "requestContext": {"http": {"method": "POST"}},
            "body": body,
        }
        assert self.handler(event, None)["statusCode"] == 200

    def receive(self, *mails: bytes) -> None:
        intake = InboundIntake(
            self.ledger,
            SIGNER,
            lambda _: set(),
            lambda key: is_forgotten(self.workspace, key),
            self.workspace.clock,
            lambda *_: None,
        )
        intake.record(judge(ReceivedMail(raw), MailTrust()) for raw in mails)

    def count(self, run: str = RUN) -> UnsubscribeCounts:
        with self.ledger.read() as tx:
            return count_unsubscribes(tx, run)

    def is_suppressed(self, person: int) -> bool:
        with self.ledger.read() as tx:
            return [one.topic for one in find_suppressions(tx, [PEOPLE[person]])] == ["news"]


@pytest.fixture
def office(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setenv("MAILRUN_LEDGER", ledger_url)
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", KEY.decode())
    (tmp_path / "work" / "campaigns").mkdir(parents=True)
    workspace = open_workspace(tmp_path / "work")
    monkeypatch.setattr(lambda_handler, "open_workspace", lambda _: workspace)  # so that its ledger is closed
    opened = Office(tmp_path / "work", workspace)
    yield opened
    opened.ledger.close()


async def test_each_way_is_counted_for_the_row_of_the_token(office: Office) -> None:
    """By the server over HTTP, the Lambda handler, and mail; repeated by other ways, the first is kept."""
    runner = web.ServerRunner(web.Server(LinkServer(SIGNER, office.opt_outs, PAGES).handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/u/"
    async with aiohttp.ClientSession() as client:
        for token, body in ((office.sign(0, 0, 3), CLICK), (office.sign(1, 2, 3), BUTTON)):
            async with client.post(url + token, data=body, headers={"Content-Type": FORM}) as reply:
                assert reply.status == 200
    await runner.cleanup()
    office.post_to_lambda(office.sign(2, 1, 0))
    office.post_to_lambda(office.sign(3, 1, 1), BUTTON)
    office.receive(mail(Subject=office.sign(4, 1, 7)), mail(Subject=office.sign(5, 0, 0, NEXT_RUN)))
    expected = [
        (0, 3, OptOutMethod.ONE_CLICK),
        (1, 0, OptOutMethod.ONE_CLICK),
        (1, 1, OptOutMethod.PAGE),
        (1, 7, OptOutMethod.MAILTO),
        (2, 3, OptOutMethod.PAGE),
    ]
    office.receive(mail(Subject=office.sign(0, 0, 3)), mail(Subject=office.sign(2, 1, 0)))
    office.post_to_lambda(office.sign(4, 1, 7), BUTTON)
    with office.ledger.read() as tx:
        found = list_opt_outs(tx, RUN)
        flags = {
            (lease, index): bits
            for lease in range(3)
            for index, bits in enumerate(event_flags.read_flags(tx, RUN, lease))
        }
    assert [(one.lease, one.index, one.method) for one in found] == expected
    assert {place for place, bits in flags.items() if bits} == {(lease, index) for lease, index, _ in expected}
    assert set(flags.values()) == {0, Flag.UNSUBSCRIBED}
    assert all(office.is_suppressed(person) for person in range(6))
    assert office.count() == UnsubscribeCounts(total=5, ses=0, one_click=2, page=2, mailto=1)
    assert office.count(NEXT_RUN) == UnsubscribeCounts(total=1, ses=0, one_click=0, page=0, mailto=1)


def test_opt_out_of_a_suppressed_address_is_counted_too(office: Office) -> None:
    """The second run's link, after the first run's: the address is on the list already."""
    office.post(office.sign(0, 0, 3))
    office.post(office.sign(0, 1, 4, NEXT_RUN))
    one = UnsubscribeCounts(total=1, ses=0, one_click=1, page=0, mailto=0)
    assert (office.count(), office.count(NEXT_RUN)) == (one, one)


def _prune(office: Office) -> None:
    with office.ledger.write() as tx:
        leases.collapse_leases(tx, RUN, make_run().created_at)
        event_flags.collapse_feedback(tx, RUN)
        collapse_opt_outs(tx, RUN)
        runs.mark_pruned(tx, RUN, make_run().created_at)


def _damage_flags(office: Office) -> None:
    with office.ledger.write() as tx:
        event_flags.set_flags(tx, RUN, {0: [(1, Flag.DELIVERED)]}, {0: 8})
        tx.execute(update(feedback_table).values(flags=b"damaged"))


UNCOUNTED: dict[str, tuple[Callable[[Office], object], Callable[[Office], str]]] = {
    "no run": (lambda _: None, lambda _: SIGNER.sign(PEOPLE[0], "news")),
    "unknown run": (lambda _: None, lambda office: office.sign(0, 0, 0, "news/never")),
    "same run of another ledger": (lambda _: None, lambda office: office.sign(0, 0, 0, identity="0" * 32)),
    "lease beyond the plan": (lambda _: None, lambda office: office.sign(0, 3, 0)),
    "index beyond the lease": (lambda _: None, lambda office: office.sign(0, 2, 4)),
    "numbers that no ledger holds": (lambda _: None, lambda office: office.sign(0, 2**70, 2**70)),
    "pruned run": (_prune, lambda office: office.sign(0, 0, 0)),
    "damaged flags": (_damage_flags, lambda office: office.sign(0, 0, 0)),
}


@pytest.mark.parametrize("case", UNCOUNTED)
def test_opt_out_that_cannot_be_counted_suppresses(office: Office, case: str) -> None:
    prepare, make_token = UNCOUNTED[case]
    prepare(office)
    token = make_token(office)
    assert office.post(token) is LinkMeaning.UNSUBSCRIBED
    assert office.is_suppressed(0)
    office.receive(mail(Subject=token))
    assert office.count() == office.count(NEXT_RUN) == NOTHING


def test_forgotten_person_stays_suppressed_and_is_not_counted(office: Office) -> None:
    secret = read_forget_key(office.workspace.store)
    with office.ledger.write() as tx:
        add_forgotten(tx, PEOPLE[0], secret, make_run().created_at)
    token = office.sign(0, 0, 0)
    assert office.post(token) is LinkMeaning.UNSUBSCRIBED
    office.receive(mail(Subject=token))
    assert (office.count(), office.is_suppressed(0)) == (NOTHING, False)


def test_complaint_with_a_token_is_not_an_opt_out(office: Office) -> None:
    ours = (
        f"Content-Type: message/rfc822\r\n\r\nList-Unsubscribe: <https://a.example/u/{office.sign(0, 0, 0)}>\r\n\r\nx"
    )
    kind = "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n"
    parts = "".join(f"--x\r\n{part}\r\n" for part in (kind, ours)) + "--x--\r\n"
    head = "From: a@p.example\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=x\r\n\r\n"
    office.receive((head + parts).encode())
    with office.ledger.read() as tx:
        assert [one.reason for one in find_suppressions(tx, [PEOPLE[0]])] == ["complaint"]
    assert office.count() == NOTHING


def test_undo_takes_the_suppression_back_and_not_the_count(office: Office) -> None:
    token = office.sign(0, 0, 3)
    office.post(token, BUTTON)
    assert office.post(token, "=".join(UNDO)) is LinkMeaning.UNDONE
    counts = UnsubscribeCounts(total=1, ses=0, one_click=0, page=1, mailto=0)
    assert (office.is_suppressed(0), office.count()) == (False, counts)
    office.post(token)
    assert (office.is_suppressed(0), office.count()) == (True, counts)


def test_repeated_opt_outs_read_the_runs_once(office: Office) -> None:
    """A token of an unknown run, too: it costs one look-up for each process."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(office.ledger._engine, "before_cursor_execute", note)
    for lease in range(3):
        office.post(office.sign(lease, lease, 0, "news/never"))
    office.post(office.sign(5, 0, 0))
    for person in (5, 6):
        office.post(office.sign(person, 0, 0))
    listed = [one for one in statements if one.split() == ["SELECT", "run.name", "FROM", "run"]]
    assert len(listed) == 1
    assert office.count().one_click == 1


def test_mails_of_one_batch_are_recorded_with_their_suppressions(office: Office) -> None:
    """In one transaction: an error in it leaves neither."""
    tokens = [office.sign(person, 0, person) for person in range(3)]

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INTO suppression" in statement:
            raise RuntimeError

    event.listen(office.ledger._engine, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError):
        office.receive(*(mail(Subject=token) for token in tokens))
    assert office.count() == NOTHING
    event.remove(office.ledger._engine, "before_cursor_execute", fail)
    office.receive(*(mail(Subject=token) for token in tokens))
    assert office.count().mailto == 3
