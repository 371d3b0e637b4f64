"""The sandbox's queue: in any order of calls no message is lost, and no deleted message comes again."""

from hypothesis import given
from hypothesis import strategies as st
from support.clock import VirtualClock

from engine.sandbox.sqs.queues import SandboxQueue

ACTIONS = st.lists(
    st.one_of(
        st.just(("send", 0)),
        st.tuples(st.just("receive"), st.integers(1, 10)),
        st.tuples(st.just("delete"), st.integers(0, 50)),
        st.tuples(st.just("show"), st.integers(0, 50)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_every_message_is_there_until_it_is_deleted_and_never_after(actions: list[tuple[str, int]]) -> None:
    clock = VirtualClock()
    queue = SandboxQueue("q", clock, clock.now())
    sent: set[bytes] = set()
    deleted: set[bytes] = set()
    held: dict[bytes, tuple[str, float]] = {}  # the latest handle, and until when it is hidden
    for what, number in actions:
        if what == "send":
            body = f"m{len(sent)}".encode()
            queue.send(body)
            sent.add(body)
        elif what == "receive":
            for message in queue.receive(number):
                assert message.body not in deleted
                assert message.body not in held or held[message.body][1] <= clock.monotonic(), "it is hidden"
                held[message.body] = message.handle, clock.monotonic() + 30
        elif what == "wait":
            clock.advance(number)
        elif held:
            body = sorted(held)[number % len(held)]
            handle, until = held[body]
            if what == "delete":
                queue.delete(handle)
                del held[body]
                deleted.add(body)
            elif until > clock.monotonic():
                queue.change_visibility(handle, 0)
                held[body] = handle, clock.monotonic()
    clock.advance(1000)
    left: set[bytes] = set()
    while messages := queue.receive(10):
        left |= {message.body for message in messages}
    assert left == sent - deleted
