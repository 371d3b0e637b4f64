"""Turns: calls that were woken together do not block the event loop together."""

import asyncio

from engine.delivery.pacing.concurrency import TURNS_SECONDS, Turns


async def compute(turns: Turns, done: list[int], number: int) -> None:
    await turns.take()
    loop = asyncio.get_running_loop()
    until = loop.time() + TURNS_SECONDS / 2
    while loop.time() < until:
        pass
    done.append(number)


async def test_calls_woken_at_once_keep_their_order_and_leave_the_loop_free():
    turns, done, seen = Turns(), list[int](), list[int]()
    calls = [asyncio.create_task(compute(turns, done, number)) for number in range(12)]
    while not all(call.done() for call in calls):
        before = len(done)
        await asyncio.sleep(0)
        seen.append(len(done) - before)
    assert done == list(range(12))
    assert max(seen) <= 3  # two take the time of a round; the clock may be a little early for a third


async def test_calls_that_come_alone_never_wait():
    turns, rounds = Turns(), 0
    for _ in range(5):
        await turns.take()
        await asyncio.sleep(0)
        rounds += 1
    assert rounds == 5
