"""Makes a recipient's message ready for its transport, unless the recipient must not be sent to."""

from msgspec import Struct

from engine.campaign.render import Renderer
from engine.campaign.render_error import RenderError
from engine.delivery.transport import Item, Transport
from engine.run.recipients import Recipient
from engine.run.send.open_lease import OpenLease
from engine.run.send.results import ResultKeeper


class MessageMaker(Struct, frozen=True, kw_only=True):
    """Makes the messages of one worker.

    Attributes:
        renderer: of the campaign.
        transport: makes messages ready for itself.
        results: keeps the result of a recipient who gets no message.
    """

    renderer: Renderer
    transport: Transport
    results: ResultKeeper

    def make(self, opened: OpenLease, recipient: Recipient) -> Item | None:
        """Make a recipient's message; None where the recipient gets none, and the result is recorded.

        The recipient must have been looked up, see `Watchlist.look_up`.
        """
        reason = opened.suppressed.get(recipient.row)
        if reason is not None:
            self.results.keep_suppressed(opened, recipient.row, reason)
            return None
        try:
            place = opened.place_of(recipient.row)
            message = self.renderer.render(recipient.content, recipient.row, recipient.address, place=place)
            return self.transport.prepare(message)
        except RenderError as error:
            self.results.keep_failure(opened, recipient.row, error)
        return None
