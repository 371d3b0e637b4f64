"""The channels: each hands a notice to one target, and returns what the target answered."""

from collections.abc import Callable

import orjson

from engine.account.services import AwsServices, open_services
from engine.clock import Clock
from engine.errors import MailrunError
from engine.notify.bodies import make_slack, make_sns, make_subject, make_teams, make_text, to_json
from engine.notify.notice import Notice
from engine.notify.signature import ID_HEADER, sign
from engine.notify.targets import read_secret, read_url
from engine.notify.webhook import TargetAnswer, post
from engine.notify_targets.target import NotifyTarget
from engine.settings import Settings

_BODIES: dict[str, Callable[[Notice], bytes]] = {
    "slack": lambda notice: orjson.dumps(make_slack(notice)),
    "teams": lambda notice: orjson.dumps(make_teams(notice)),
    "json": to_json,
}


async def hand_over(name: str, target: NotifyTarget, notice: Notice, settings: Settings, clock: Clock) -> TargetAnswer:
    """Hand a notice to a target; every failure is an answer.

    Args:
        name: of the target.
        target: its settings.
        notice: what it reads.
        settings: with URLs and secrets.
        clock: for the time of the signature.
    """
    try:
        if target.kind in _BODIES:
            return await _post(name, target, notice, settings, clock)
        async with open_services(clock=clock) as services:
            send = _send_email if target.kind == "email" else _publish
            return await send(services, target, notice)
    except MailrunError as error:
        return TargetAnswer(accepted=False, text=error.what if not error.remedy else f"{error.what}; {error.remedy}")


async def _post(name: str, target: NotifyTarget, notice: Notice, settings: Settings, clock: Clock) -> TargetAnswer:
    body, headers = _BODIES[target.kind](notice), {ID_HEADER: str(notice["id"])}
    if target.kind == "json":
        secret = read_secret(name, target, settings)
        headers |= sign(body, secret, int(clock.now().timestamp()))
    return await post(read_url(name, target, settings), body, headers)


async def _send_email(services: AwsServices, target: NotifyTarget, notice: Notice) -> TargetAnswer:
    """Send an e-mail without mailrun's message tags: its events are of no run."""
    client = await services.open("sesv2")
    content = {
        "Subject": {"Data": make_subject(notice), "Charset": "UTF-8"},
        "Body": {"Text": {"Data": make_text(notice), "Charset": "UTF-8"}},
        "Headers": [{"Name": "X-Mailrun-Notification", "Value": str(notice["id"])}],
    }
    sent = await client.send_email(
        FromEmailAddress=target.sender,
        Destination={"ToAddresses": list(target.to)},
        Content={"Simple": content},
    )
    return TargetAnswer(accepted=True, text=f"SES: {sent['MessageId']}")


async def _publish(services: AwsServices, target: NotifyTarget, notice: Notice) -> TargetAnswer:
    topic = target.topic or ""
    client = await services.open("sns", topic.split(":")[3])
    ordered = {"MessageGroupId": "mailrun", "MessageDeduplicationId": str(notice["id"])}
    published = await client.publish(TopicArn=topic, **make_sns(notice), **(ordered if topic.endswith(".fifo") else {}))
    return TargetAnswer(accepted=True, text=f"SNS: {published['MessageId']}")
