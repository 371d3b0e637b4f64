"""Standard queues as in SQS: delivery at least once, without a fixed order, hidden for a while once received.

Source: SQS developer guide, "Amazon SQS visibility timeout", "Short and long polling", "Message quotas".
"""

import heapq
import secrets
from collections import deque
from collections.abc import Callable
from datetime import datetime
from hashlib import md5
from itertools import count
from typing import NamedTuple

from msgspec import Struct, field

from engine.clock import Clock
from engine.sandbox.http.replies import ApiError

MOST_IN_FLIGHT = 120_000  # of a standard queue
MOST_WAITING = 120_000  # sent by clients; a limit of this server, so that its memory is bounded
DEFAULT_VISIBILITY_SECONDS = 30
MOST_VISIBILITY_SECONDS = 12 * 60 * 60


class Arrival(NamedTuple):
    """A message on its way into a queue.

    Attributes:
        body: its text, UTF-8.
        origin: where to read the record again if the message is lost; None where that does not help.
        sent_at: when it was sent.
    """

    body: bytes
    origin: int | None
    sent_at: datetime


Source = Callable[[int], list[Arrival]]  # so many messages at most that have come by now


class QueueMessage(Struct):
    """A message that was received and not deleted."""

    number: int
    body: bytes
    md5: str
    message_id: str
    origin: int | None
    sent_at: datetime
    first_received_at: datetime
    received: int = 0
    handle: str = ""
    visible_at: float = 0.0


class SandboxQueue(Struct):
    """One queue.

    Attributes:
        name: its name.
        clock: time.
        source: makes messages when they are received, so that none is kept before; None for a queue of sent messages.
        visibility_seconds: how long a received message is hidden.
        created_at: when it was made.
    """

    name: str
    clock: Clock
    created_at: datetime
    source: Source | None = None
    visibility_seconds: int = DEFAULT_VISIBILITY_SECONDS
    wait_seconds: int = 0
    _waiting: deque[Arrival] = field(default_factory=deque)
    _messages: dict[int, QueueMessage] = field(default_factory=dict)
    _hidden: list[tuple[float, int]] = field(default_factory=list)  # heap of (visible at, number)
    _numbers: "count[int]" = field(default_factory=count)

    def send(self, body: bytes, *, delay_seconds: float = 0) -> str:
        """Put a message into the queue; return its id."""
        if len(self._waiting) >= MOST_WAITING:
            raise ApiError("OverLimit", f"This server keeps {MOST_WAITING} messages.", status=403)
        arrival = Arrival(body, None, self.clock.now())
        if not delay_seconds:
            self._waiting.append(arrival)
            return _name_message(body, len(self._waiting))
        message = self._admit(arrival)
        self._hide(message, delay_seconds)
        return message.message_id

    def receive(self, most: int, *, visibility_seconds: int | None = None) -> list[QueueMessage]:
        """Receive up to so many available messages, and hide them.

        Raises:
            ApiError: OverLimit, where too many are hidden already.
        """
        seconds = self.visibility_seconds if visibility_seconds is None else visibility_seconds
        taken = self._take_visible(most)
        if len(taken) < most:
            if len(self._hidden) + most > MOST_IN_FLIGHT:
                raise ApiError("OverLimit", f"There are {MOST_IN_FLIGHT} messages in flight.", status=403)
            taken += [self._admit(arrival) for arrival in self._take_new(most - len(taken))]
        for message in taken:
            message.received += 1
            message.handle = f"{message.number}.{message.received}.{secrets.token_urlsafe(24)}"
            self._hide(message, seconds)
        return taken

    def delete(self, handle: str) -> None:
        """Delete the message of a receipt handle. An outdated handle deletes nothing, without an error."""
        message = self._find(handle)
        if message is not None:
            del self._messages[message.number]

    def change_visibility(self, handle: str, seconds: int) -> None:
        """Hide a message for so long from now; 0 shows it at once."""
        message = self._find(handle)
        if message is None or message.visible_at <= self.clock.monotonic():
            raise ApiError("MessageNotInflight", "The message is not in flight.")
        self._hide(message, seconds)

    def purge(self) -> None:
        """Delete all messages, hidden or not."""
        self._waiting.clear()
        self._messages.clear()
        self._hidden.clear()
        while self.source is not None and self.source(1000):
            pass

    def seconds_to_visible(self) -> float | None:
        """Return how long until a hidden or delayed message becomes visible; None where there is none."""
        if self._waiting:
            return 0.0
        self._drop_stale()
        return max(self._hidden[0][0] - self.clock.monotonic(), 0.0) if self._hidden else None

    @property
    def origins(self) -> list[int]:
        """The origins of the messages that are not deleted."""
        return [message.origin for message in self._messages.values() if message.origin is not None]

    def counts(self) -> tuple[int, int]:
        """Return how many messages are visible (of those that were taken from the source), and how many hidden."""
        now = self.clock.monotonic()
        hidden = sum(message.visible_at > now for message in self._messages.values())
        return len(self._waiting) + len(self._messages) - hidden, hidden

    def _take_visible(self, most: int) -> list[QueueMessage]:
        now = self.clock.monotonic()
        taken: list[QueueMessage] = []
        while len(taken) < most:
            self._drop_stale()
            if not self._hidden or self._hidden[0][0] > now:
                break
            taken.append(self._messages[heapq.heappop(self._hidden)[1]])
        return taken

    def _drop_stale(self) -> None:
        """Remove heap entries of messages that were deleted, or hidden again."""
        while self._hidden:
            at, number = self._hidden[0]
            message = self._messages.get(number)
            if message is not None and message.visible_at == at:
                return
            heapq.heappop(self._hidden)

    def _take_new(self, most: int) -> list[Arrival]:
        sent = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        return sent + (self.source(most - len(sent)) if self.source is not None and len(sent) < most else [])

    def _admit(self, arrival: Arrival) -> QueueMessage:
        number = next(self._numbers)
        digest = md5(arrival.body, usedforsecurity=False).hexdigest()
        message = QueueMessage(
            number=number,
            body=arrival.body,
            md5=digest,
            message_id=_name_message(arrival.body, number),
            origin=arrival.origin,
            sent_at=arrival.sent_at,
            first_received_at=self.clock.now(),
        )
        self._messages[number] = message
        return message

    def _hide(self, message: QueueMessage, seconds: float) -> None:
        message.visible_at = self.clock.monotonic() + seconds
        heapq.heappush(self._hidden, (message.visible_at, message.number))

    def _find(self, handle: str) -> QueueMessage | None:
        """Return the message of its latest handle, None for an outdated one.

        Raises:
            ApiError: ReceiptHandleIsInvalid, for a handle that this server did not issue.
        """
        number, _, rest = handle.partition(".")
        if not (number.isdecimal() and rest):
            raise ApiError(
                "ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.'
            )
        message = self._messages.get(int(number))
        return message if message is not None and message.handle == handle else None


def _name_message(body: bytes, number: int) -> str:
    digits = md5(body + str(number).encode(), usedforsecurity=False).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
