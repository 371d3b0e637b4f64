"""The port to the way out. A transport hands over one message and says what the answer means."""

from typing import Protocol

from engine.campaign.message import Message
from engine.delivery.replies import Reply


class Transport(Protocol):
    """A way out. It sends once: every retry is the engine's decision."""

    async def send(self, message: Message) -> Reply:
        """Hand over one message.

        Returns:
            What the answer means. A transport raises nothing but cancellation: what it cannot explain is in doubt.
        """
