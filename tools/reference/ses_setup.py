"""What `mailrun ses setup` creates, from the resources that it compares."""

from pathlib import Path

from engine.account.setup.resource import Place
from engine.account.setup.wanted import EventsService, WantedState
from engine.account.setup.whole.composition import list_resources
from tools.reference.markdown import make_table

_PLACE = Place("123456789012", "eu-west-1")
_HEADS = ("created by", "kind", "name", "for")
_PURPOSES = {
    "configuration set": "TLS policy, reputation metrics, suppression, pool; campaigns name it",
    "identity": "signs mail of the domain by DKIM",
    "MAIL FROM domain": "the envelope sender, so that SPF is aligned",
    "event destination": "publishes events of all ten types",
    "SQS queue": "`events pull` or `inbound pull` reads it",
    "SNS topic": "SES publishes to it",
    "SNS subscription": "brings what SES publishes to the queue, signed",
    "EventBridge rule": "sends the events of the configuration set to the queue",
    "S3 bucket": "private and encrypted: `events import` or `inbound pull` reads it",
    "IAM role": "SES puts events into the stream, or Firehose writes to the bucket",
    "Firehose stream": "writes events to the bucket, compressed",
    "receipt rule set": "holds the rule",
    "receipt rule": "stores each mail in the bucket, and notifies the topic",
    "active receipt rule set": "SES applies the rules of one set alone",
}


def describe_ses_setup() -> str:
    """Return the table of resources."""
    always: set[str] = set()
    rows = []
    for option, wanted in _list_set_ups():
        resources = list_resources(wanted, _PLACE, Path("key.pem"))
        always |= {resource.name for resource in resources if not option}
        for resource in resources:
            if not option or resource.name not in always:
                is_dead = resource.name.endswith("-dead-letters")
                purpose = "messages that could not be read" if is_dead else _PURPOSES[resource.kind]
                rows.append((option or "always", resource.kind, f"`{resource.name}`", purpose))
    return make_table(_HEADS, rows)


def _list_set_ups() -> list[tuple[str, WantedState]]:
    plain = WantedState(domain="acme.example", mail_from="bounce.acme.example")
    events = [
        (f"`--events {service.value}`", WantedState(domain=plain.domain, mail_from=plain.mail_from, events=service))
        for service in EventsService
    ]
    inbound = WantedState(domain=plain.domain, mail_from=plain.mail_from, inbound_domain="inbound.acme.example")
    return [("", plain), *events, ("`--inbound`", inbound)]
