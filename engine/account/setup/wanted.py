"""The wanted state of the account: what `mailrun ses setup` creates or changes."""

from enum import StrEnum

from msgspec import Struct

from engine.account.setup.resource import Place


class EventsService(StrEnum):
    """How SES publishes events."""

    SQS = "sqs"
    EVENTBRIDGE = "eventbridge"
    FIREHOSE = "firehose"


class TlsPolicy(StrEnum):
    """Whether SES delivers only over TLS."""

    REQUIRE = "REQUIRE"
    OPTIONAL = "OPTIONAL"


class WantedState(Struct, frozen=True, kw_only=True):
    """The wanted state.

    Attributes:
        domain: that mail is sent from, as A-labels in lower case.
        mail_from: the whole domain of the envelope sender.
        mail_from_rejects: whether SES rejects a message while the MX record of `mail_from` is missing.
        dkim_selector: of a key of one's own; empty for Easy DKIM.
        dmarc: the wanted DMARC record; empty for none.
        configuration_set: its name.
        tls: None keeps what is.
        pool: of dedicated addresses; empty keeps what is.
        tracking_domain: of links and pixels; empty keeps what is.
        events: None publishes none.
        events_name: of the queue, topic, rule or stream, and of the event destination.
        events_bucket: that Firehose writes to; empty for the default of `find_events_bucket`.
        inbound_domain: the whole domain that receives mail; empty for none.
        inbound_name: of the queue, topic and receipt rule.
        inbound_rule_set: receipt rule set that the rule belongs to; one is active in an account.
        inbound_bucket: of received mail; empty for the default of `find_inbound_bucket`.
    """

    domain: str
    mail_from: str
    mail_from_rejects: bool = False
    dkim_selector: str = ""
    dmarc: str = ""
    configuration_set: str = "mailrun"
    tls: TlsPolicy | None = None
    pool: str = ""
    tracking_domain: str = ""
    events: EventsService | None = None
    events_name: str = "mailrun-events"
    events_bucket: str = ""
    inbound_domain: str = ""
    inbound_name: str = "mailrun-inbound"
    inbound_rule_set: str = "mailrun"
    inbound_bucket: str = ""

    @property
    def on_mx_failure(self) -> str:
        """SES's word for `mail_from_rejects`."""
        return "REJECT_MESSAGE" if self.mail_from_rejects else "USE_DEFAULT_VALUE"

    def find_events_bucket(self, place: Place) -> str:
        """Return the bucket of events; names of buckets are unique in the whole partition."""
        return self.events_bucket or f"mailrun-events-{place.account}-{place.region}"

    def find_inbound_bucket(self, place: Place) -> str:
        """Return the bucket of received mail."""
        return self.inbound_bucket or f"mailrun-inbound-{place.account}-{place.region}"
