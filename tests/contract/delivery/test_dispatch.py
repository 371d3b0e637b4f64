"""A dispatch: admitted, recorded durably as an intent, handed over once; every reply has its outcome."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from msgspec import structs
from support.clock import START, ClockedStop, VirtualClock
from support.messages import make_message
from support.recorded import read_journal

from engine.campaign.message import Message
from engine.campaign.part_writers import make_utf8_writer
from engine.delivery.dispatch import CALLS_TOGETHER, Answered, Call, Dispatcher
from engine.delivery.pacing.budgets import Allowance, Budget
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.retry import POLICIES
from engine.delivery.transport import Item, TakeReplies
from engine.errors import PausedError
from engine.ledger import leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.journal import Outcome, Replay, Result, replay
from engine.ledger.leases import Lease
from engine.ledger.recorder import LeaseLostError, Recorder
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.stopping.stop import StopCause, StopReason

NAME = "welcome/1"
RUN = Run(NAME, RunState.SENDING, None, False, "f", "d", 9, 9, {}, START, None, None)  # noqa: FBT003 - a row, in order
MESSAGE = make_message(row=7, address="ann@b.example", subject="Hi", html=None, text="x", headers=(), tags=())
ITEM = Item(7, MESSAGE, b"x")
SENT = SendReply(ReplyMeaning.SENT, message_id="id-1")
SIGNAL = StopReason(StopCause.SIGNAL, "stopped by SIGTERM")


def reply(meaning: ReplyMeaning) -> SendReply:
    return SENT if meaning is ReplyMeaning.SENT else SendReply(meaning, detail=f"{meaning}: no", remedy="fix it")


class ScriptedTransport:
    """Answers with the script, then with its last line; calls `look` before each answer."""

    most_items = 50
    most_bytes = 1_000
    most_calls = 8
    writer = make_utf8_writer()
    needs_task = False

    def __init__(self, *replies: SendReply | list[SendReply], look: Callable[[], object] = lambda: None) -> None:
        self._replies = list(replies)
        self._look = look
        self.sent: list[list[int]] = []
        self.seen: list[object] = []

    def prepare(self, message: Message) -> Item:
        return Item(message.row, message, b"x")

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:
        if self.needs_task:
            return False
        take(self._answer(items))
        return True

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        return self._answer(items)

    def _answer(self, items: Sequence[Item]) -> Sequence[SendReply]:
        self.seen.append(self._look())
        self.sent.append([item.row for item in items])
        told = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return told if isinstance(told, list) else [told] * len(items)


@dataclass
class Desk:
    """A dispatcher whose parts are real except transport and time."""

    ledger: Ledger
    recorder: Recorder
    clock: VirtualClock
    stop: ClockedStop
    lease: Lease
    needs_task: bool
    left: float = 1000.0
    observed: list[float] = field(default_factory=list)
    gate: Gate = field(init=False)
    quota: Budget = field(init=False)

    def __post_init__(self) -> None:
        async def reread() -> None: ...

        self.quota = Budget("the quota", Allowance(self.left), reread, lambda: SIGNAL, self.stop, self.clock)
        self.gate = Gate(Pacer(1e6, self.clock.monotonic()), self.clock, self.stop, [self.quota])

    def make_dispatcher(
        self, transport: ScriptedTransport, *, resend: bool = False, wait_for_quota: bool = False
    ) -> Dispatcher:
        return Dispatcher(
            transport=transport,
            gate=self.gate,
            recorder=self.recorder,
            stop=self.stop,
            clock=self.clock,
            observe=self.observed.extend,
            jitter=lambda: 0.5,
            resend_in_doubt=resend,
            wait_for_quota=wait_for_quota,
        )

    async def dispatch_all(
        self,
        transport: ScriptedTransport,
        rows: Sequence[int],
        *,
        attempts: int = 0,
        resend: bool = False,
        doubtful: bool = False,
        wait_for_quota: bool = False,
        not_due: Collection[int] = (),
    ) -> dict[int, Result]:
        dispatcher = self.make_dispatcher(transport, resend=resend, wait_for_quota=wait_for_quota)
        kept: dict[int, Result] = {}
        if await self.gate.admit(len(rows)):
            items = [structs.replace(ITEM, row=row) for row in rows]
            call = Call(self.lease, items, dict.fromkeys(rows, attempts), set(rows) if doubtful else set())

            async def find_due(call: Call) -> Sequence[Item]:
                return [item for item in call.items if item.row not in not_due]

            def keep(results: Sequence[Result]) -> None:
                kept.update({result.row: result for result in results})

            await dispatcher.begin([call], lambda _: None)
            answered = list[Answered]()
            if self.needs_task or not dispatcher.hand_over(call, lambda *one: answered.append(one)):
                await dispatcher.dispatch(call, keep=keep, find_due=find_due)
            elif others := dispatcher.take_sent(answered, keep):
                ((_, replies),) = others
                await dispatcher.dispatch(call, keep=keep, find_due=find_due, replies=replies)
            await self.recorder.flush()
        return kept

    async def dispatch(
        self, transport: ScriptedTransport, *, attempts: int = 0, resend: bool = False, doubtful: bool = False
    ) -> Result:
        kept = await self.dispatch_all(transport, [7], attempts=attempts, resend=resend, doubtful=doubtful)
        return kept.get(7) or Result(7, Outcome.UNSENT, None, None, 0.0, attempts + len(transport.sent))

    def journal(self) -> Replay:
        with self.ledger.read() as tx:
            return replay(read_journal(tx, NAME, self.lease.ordinal))

    @property
    def quota_used(self) -> float:
        assert self.quota.left is not None
        return self.left - self.quota.left


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with opened.write() as tx:
        runs.insert_run(tx, RUN, lease_rows=[9])
    yield opened
    opened.close()


@pytest.fixture(params=[True, False], ids=["in a task", "without a task"])
async def desk(request: pytest.FixtureRequest, ledger: Ledger, clock: VirtualClock) -> AsyncIterator[Desk]:
    """Every law holds for calls that have a task, and for those that need none until something goes wrong."""
    recorder = Recorder(ledger)
    lease = await recorder.transact(lambda tx: leases.take_lease(tx, NAME, worker="me", live={"me"}))
    assert lease is not None
    yield Desk(ledger, recorder, clock, ClockedStop(clock), lease, request.param)
    await recorder.close()


# -- the order of things -----------------------------------------------------------------------------------------------


async def test_intent_is_durable_before_each_attempt(desk: Desk):
    transport = ScriptedTransport(
        reply(ReplyMeaning.SLOW_DOWN), SENT, look=lambda: (desk.journal().open_intents, desk.journal().attempts)
    )
    await desk.dispatch(transport)
    assert transport.seen == [(frozenset({7}), {7: 1}), (frozenset({7}), {7: 2})]


async def test_what_is_returned_is_what_the_journal_holds(desk: Desk):
    result = await desk.dispatch(ScriptedTransport(SENT))
    assert result == Result(7, Outcome.SENT, "id-1", None, desk.clock.now().timestamp(), 1)
    assert desk.journal() == Replay({7: result}, frozenset(), {7: 1})


async def test_nothing_is_handed_over_where_the_intent_cannot_be_recorded(desk: Desk):
    with desk.ledger.write() as tx:
        tx.exec_driver_sql("CREATE TRIGGER f BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    transport = ScriptedTransport(SENT)
    with pytest.raises(PausedError, match="full"):
        await desk.dispatch(transport)
    assert transport.sent == []


async def test_nothing_is_handed_over_under_a_lost_lease(desk: Desk):
    with desk.ledger.write() as tx:
        leases.take_lease(tx, NAME, worker="other", live={"other"})
    transport = ScriptedTransport(SENT)
    with pytest.raises(LeaseLostError):
        await desk.dispatch(transport)
    assert transport.sent == []


async def test_a_dispatch_cancelled_during_the_call_leaves_its_intent_open(desk: Desk):
    called = asyncio.Event()

    class Silent(ScriptedTransport):
        needs_task = True

        async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
            called.set()
            await asyncio.Event().wait()
            return await super().send(items)

    task = asyncio.create_task(desk.dispatch(Silent(SENT)))
    await called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.journal().open_intents == {7}


async def test_after_a_stop_nothing_is_handed_over_and_the_row_is_unsent(desk: Desk):
    desk.stop.request(SIGNAL)
    transport = ScriptedTransport(SENT)
    assert (await desk.dispatch(transport)).outcome is Outcome.UNSENT
    assert transport.sent == []
    assert desk.journal() == Replay({}, frozenset(), {})


async def test_calls_that_begin_together_share_a_commit_and_pass_a_few_at_a_time(desk: Desk):
    """A group of calls that a commit wakes must not compute all at once: other tasks run between them."""
    rows, started, at_once = range(9 * CALLS_TOGETHER), list[int](), list[int]()
    assert await desk.gate.admit(len(rows))
    calls = [Call(desk.lease, [structs.replace(ITEM, row=row)], {}) for row in rows]
    dispatcher = desk.make_dispatcher(ScriptedTransport(SENT))
    beginning = asyncio.create_task(dispatcher.begin(calls, lambda call: started.append(call.items[0].row)))
    while not beginning.done():
        before = len(started)
        await asyncio.sleep(0)
        at_once.append(len(started) - before)
    assert started == list(rows)
    assert max(at_once) <= CALLS_TOGETHER
    assert desk.journal().open_intents == set(rows)
    with desk.ledger.read() as tx:
        assert len(read_journal(tx, NAME, desk.lease.ordinal)) == 1


async def test_calls_that_were_not_started_are_withdrawn_when_cancelled(desk: Desk):
    """What was handed over is in doubt, and nothing else."""
    calls = [Call(desk.lease, [structs.replace(ITEM, row=row)], {}) for row in range(3 * CALLS_TOGETHER)]
    assert await desk.gate.admit(len(calls))
    started, dispatcher = list[int](), desk.make_dispatcher(ScriptedTransport(SENT))

    def start(call: Call) -> None:
        started.append(call.items[0].row)
        if len(started) == CALLS_TOGETHER:
            beginning.cancel()

    beginning = asyncio.create_task(dispatcher.begin(calls, start))
    with pytest.raises(asyncio.CancelledError):
        await beginning
    await desk.recorder.flush()
    assert started == list(range(CALLS_TOGETHER))
    assert desk.journal().open_intents == set(started)


# -- outcomes ----------------------------------------------------------------------------------------------------------

FOR_GOOD = {
    ReplyMeaning.SENT: Outcome.SENT,
    ReplyMeaning.REFUSED: Outcome.REFUSED,
    ReplyMeaning.IN_DOUBT: Outcome.IN_DOUBT,
}


@pytest.mark.parametrize(("meaning", "outcome"), FOR_GOOD.items())
async def test_a_final_reply_ends_the_dispatch_after_one_call(desk: Desk, meaning: ReplyMeaning, outcome: Outcome):
    transport = ScriptedTransport(reply(meaning))
    result = await desk.dispatch(transport)
    assert (result.outcome, result.attempts, len(transport.sent)) == (outcome, 1, 1)
    assert result.error == (None if meaning is ReplyMeaning.SENT else f"{meaning}: no")
    assert desk.journal().results == {7: result}
    assert not desk.stop.requested


@pytest.mark.parametrize("meaning", [ReplyMeaning.RETRY, ReplyMeaning.UNREACHABLE, ReplyMeaning.SLOW_DOWN])
async def test_temporary_failure_is_retried_and_every_attempt_counts(desk: Desk, meaning: ReplyMeaning):
    transport = ScriptedTransport(reply(meaning), reply(meaning), SENT)
    result = await desk.dispatch(transport, attempts=2)
    assert (result.outcome, result.attempts, len(transport.sent)) == (Outcome.SENT, 5, 3)
    assert desk.journal() == Replay({7: result}, frozenset(), {7: 3})


async def test_retries_that_are_used_up_with_certainty_fail_the_message_alone(desk: Desk):
    transport = ScriptedTransport(reply(ReplyMeaning.RETRY))
    result = await desk.dispatch(transport)
    assert result.outcome is Outcome.FAILED
    assert len(transport.sent) == result.attempts == POLICIES[ReplyMeaning.RETRY].attempts
    assert not desk.stop.requested
    assert desk.journal().results == {7: result}


@pytest.mark.parametrize("meaning", [ReplyMeaning.UNREACHABLE, ReplyMeaning.SLOW_DOWN])
async def test_run_pauses_and_row_stays_unsent_while_ses_is_unreachable(desk: Desk, meaning: ReplyMeaning):
    begun = desk.clock.monotonic()
    result = await desk.dispatch(ScriptedTransport(reply(meaning)))
    assert result.outcome is Outcome.UNSENT
    assert desk.stop.reason is not None
    assert desk.stop.reason.cause is StopCause.PAUSED
    assert f"given up after {result.attempts} attempts: {meaning}: no" in desk.stop.reason.text
    assert desk.clock.monotonic() - begun <= POLICIES[meaning].seconds
    assert desk.journal() == Replay({}, frozenset(), {7: result.attempts})


async def test_reply_that_pauses_leaves_the_row_unsent_with_a_remedy(desk: Desk):
    transport = ScriptedTransport(reply(ReplyMeaning.PAUSE))
    result = await desk.dispatch(transport)
    assert (result.outcome, len(transport.sent)) == (Outcome.UNSENT, 1)
    assert desk.stop.reason == StopReason(StopCause.PAUSED, "pause: no", "fix it")
    assert desk.journal().results == {}


async def test_a_stop_during_the_wait_for_a_retry_leaves_the_row_unsent(desk: Desk):
    transport = ScriptedTransport(reply(ReplyMeaning.RETRY), look=lambda: desk.stop.request(SIGNAL))
    assert (await desk.dispatch(transport)).outcome is Outcome.UNSENT
    assert len(transport.sent) == 1
    assert desk.journal() == Replay({}, frozenset(), {7: 1})


async def test_waits_grow_from_one_attempt_to_the_next(desk: Desk):
    await desk.dispatch(ScriptedTransport(reply(ReplyMeaning.RETRY)))
    assert desk.stop.waits == [0.5, 1.0, 2.0, 4.0, 8.0]


async def test_in_doubt_is_retried_only_when_the_campaign_says_resend(desk: Desk):
    transport = ScriptedTransport(reply(ReplyMeaning.IN_DOUBT), SENT)
    result = await desk.dispatch(transport, resend=True)
    assert (result.outcome, len(transport.sent)) == (Outcome.SENT, 2)


async def test_message_that_stays_in_doubt_is_reported_as_such(desk: Desk):
    result = await desk.dispatch(ScriptedTransport(reply(ReplyMeaning.IN_DOUBT)), resend=True)
    assert (result.outcome, result.attempts) == (Outcome.IN_DOUBT, POLICIES[ReplyMeaning.RETRY].attempts)
    assert desk.journal().results == {7: result}


@pytest.mark.parametrize("later", [ReplyMeaning.REFUSED, ReplyMeaning.RETRY])
async def test_a_doubt_stays_whatever_later_attempts_say(desk: Desk, later: ReplyMeaning):
    result = await desk.dispatch(ScriptedTransport(reply(ReplyMeaning.IN_DOUBT), reply(later)), resend=True)
    assert result.outcome is Outcome.IN_DOUBT
    assert desk.journal().results == {7: result}


@pytest.mark.parametrize("later", [ReplyMeaning.PAUSE, ReplyMeaning.UNREACHABLE])
async def test_doubt_stays_when_the_run_pauses(desk: Desk, later: ReplyMeaning):
    result = await desk.dispatch(ScriptedTransport(reply(ReplyMeaning.IN_DOUBT), reply(later)), resend=True)
    assert result.outcome is Outcome.UNSENT
    assert desk.journal().open_intents == {7}


async def test_a_doubt_that_an_earlier_worker_left_stays_as_well(desk: Desk):
    result = await desk.dispatch(ScriptedTransport(reply(ReplyMeaning.REFUSED)), attempts=1, resend=True, doubtful=True)
    assert result.outcome is Outcome.IN_DOUBT


async def test_a_message_id_ends_every_doubt(desk: Desk):
    result = await desk.dispatch(ScriptedTransport(SENT), attempts=1, resend=True, doubtful=True)
    assert result.outcome is Outcome.SENT


# -- rate and quota ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meaning", ReplyMeaning)
async def test_quota_is_given_back_only_where_nothing_was_accepted_for_certain(desk: Desk, meaning: ReplyMeaning):
    transport = ScriptedTransport(reply(meaning), look=lambda: desk.stop.request(SIGNAL))
    await desk.dispatch(transport)
    assert desk.quota_used == (1 if meaning in (ReplyMeaning.SENT, ReplyMeaning.IN_DOUBT) else 0)


@pytest.mark.parametrize("meaning", ReplyMeaning)
async def test_only_a_throttle_lowers_the_limit(desk: Desk, meaning: ReplyMeaning):
    transport = ScriptedTransport(reply(meaning), look=lambda: desk.stop.request(SIGNAL))
    await desk.dispatch(transport)
    assert (desk.gate.pacer.limit < desk.gate.pacer.ceiling) is (meaning is ReplyMeaning.SLOW_DOWN)


async def test_an_empty_quota_hands_nothing_over(desk: Desk):
    empty = replace(desk, left=0.0)
    transport = ScriptedTransport(SENT)
    assert (await empty.dispatch(transport)).outcome is Outcome.UNSENT
    assert transport.sent == []


# -- calls of many -----------------------------------------------------------------------------------------------------


async def test_each_message_of_a_bulk_call_has_its_own_result_and_retry(desk: Desk):
    first = [
        SENT,
        reply(ReplyMeaning.REFUSED),
        reply(ReplyMeaning.SLOW_DOWN),
        reply(ReplyMeaning.IN_DOUBT),
        reply(ReplyMeaning.RETRY),
    ]
    transport = ScriptedTransport(first, SENT)
    kept = await desk.dispatch_all(transport, [1, 2, 3, 4, 5])
    assert transport.sent == [[1, 2, 3, 4, 5], [3, 5]]
    assert {row: (result.outcome, result.attempts) for row, result in kept.items()} == {
        1: (Outcome.SENT, 1),
        2: (Outcome.REFUSED, 1),
        3: (Outcome.SENT, 2),
        4: (Outcome.IN_DOUBT, 1),
        5: (Outcome.SENT, 2),
    }
    assert desk.journal().results == kept
    assert desk.quota_used == 4


async def test_refused_bulk_call_is_sent_again_one_by_one(desk: Desk):
    transport = ScriptedTransport(
        SendReply(ReplyMeaning.SPLIT, detail="Illegal address"), SENT, reply(ReplyMeaning.REFUSED), SENT
    )
    kept = await desk.dispatch_all(transport, [1, 2, 3])
    assert transport.sent == [[1, 2, 3], [1], [2], [3]]
    assert [kept[row].outcome for row in (1, 2, 3)] == [Outcome.SENT, Outcome.REFUSED, Outcome.SENT]
    assert desk.journal().results == kept
    assert desk.quota_used == 2


@pytest.mark.parametrize("first", [ReplyMeaning.SLOW_DOWN, ReplyMeaning.SPLIT])
async def test_row_no_longer_due_after_a_wait_is_skipped_without_quota(desk: Desk, first: ReplyMeaning):
    transport = ScriptedTransport(reply(first), SENT)
    kept = await desk.dispatch_all(transport, [1, 2, 3], not_due=[2])
    assert transport.sent == [[1, 2, 3], [1, 3]] if first is ReplyMeaning.SLOW_DOWN else [[1, 2, 3], [1], [3]]
    assert kept.keys() == {1, 3}
    assert desk.quota_used == 2


async def test_a_failure_without_a_reason_is_tried_once_more_and_then_fails(desk: Desk):
    transport = ScriptedTransport(reply(ReplyMeaning.RETRY_ONCE))
    assert (await desk.dispatch(transport)).outcome is Outcome.FAILED
    assert len(transport.sent) == 2


async def test_run_pauses_or_waits_at_the_end_of_the_quota(desk: Desk):
    paused = await desk.dispatch(ScriptedTransport(reply(ReplyMeaning.QUOTA)))
    assert (paused.outcome, desk.stop.requested) == (Outcome.UNSENT, True)
    waiting = replace(desk, stop=ClockedStop(desk.clock))
    transport = ScriptedTransport(reply(ReplyMeaning.QUOTA), reply(ReplyMeaning.QUOTA), SENT)
    kept = await waiting.dispatch_all(transport, [8], wait_for_quota=True)
    assert (kept[8].outcome, waiting.stop.requested) == (Outcome.SENT, False)
    assert sum(waiting.stop.waits) >= 10


async def test_dispatch_withdraws_intents_where_the_store_fails_before_the_call(ledger: Ledger, clock: VirtualClock):
    """They are in the journal already, and nothing was handed over: unsent, and not in doubt."""

    def fail(_lease: Lease, _sequence: int) -> None:
        raise PausedError("the disk with the store is full", remedy="free some space")

    recorder, transport = Recorder(ledger, durable=fail), ScriptedTransport(SENT)
    lease = await recorder.transact(lambda tx: leases.take_lease(tx, NAME, worker="me", live={"me"}))
    assert lease is not None
    desk = Desk(ledger, recorder, clock, ClockedStop(clock), lease, needs_task=False)
    with pytest.raises(PausedError):
        await desk.dispatch(transport)
    await recorder.close()
    assert transport.sent == []
    assert desk.journal().open_intents == frozenset()
    assert desk.journal().results == {}


async def test_each_call_that_is_answered_has_its_own_duration(desk: Desk):
    """Calls are answered together that began at different times."""
    dispatcher, now = desk.make_dispatcher(ScriptedTransport(SENT)), desk.clock.monotonic()
    answered: list[Answered] = []
    for row, seconds in enumerate((3.0, 0.5)):
        call = Call(desk.lease, [structs.replace(ITEM, row=row)], {}, set())
        call.attempt_at = now - seconds
        answered.append((call, [SENT]))
    dispatcher.take_sent(answered, lambda _: None)
    await desk.recorder.flush()
    assert desk.observed == [3.0, 0.5]
