"""The rules, as data: which program opened a message or clicked a link, and whether a person was behind it. Pure.

An event of SES has the user agent and the IP address of the request. Both are personal data, so events keep neither:
they keep the name of the first rule that matches. Without a match they keep nothing: a person, or not known.
Only what the table says is certain is certain; every rule prefers to take a machine for a person.
"""

from enum import StrEnum

from msgspec import Struct

OPEN, CLICK = "Open", "Click"
SCANNER_SECONDS = 5.0
_LONGEST = 1000  # of a user agent that is looked at, in characters; those of browsers have about 150


class Agent(StrEnum):
    """Programs that request images or links in place of a person's browser or mail program."""

    GMAIL_PROXY = "Gmail image proxy"
    GMAIL_PREFETCH = "Gmail image prefetch"
    YAHOO_PROXY = "Yahoo image proxy"
    APPLE_MPP = "Apple Mail Privacy Protection"
    SCANNER = "security scanner"
    LINK_PREVIEW = "link preview"
    CRAWLER = "crawler or script"


class Match(StrEnum):
    """How a rule recognises its agent."""

    CONTAINS = "the user agent contains"
    ENDS = "the user agent ends in"
    EQUALS = "the user agent is exactly"
    SOONER = "seconds after SES accepted the message, fewer than"


class AgentRule(Struct, frozen=True):
    """How one agent is recognised.

    Attributes:
        agent: its name.
        events: the types of event that the rule applies to.
        match: what is compared.
        values: any of them, in lower case.
        is_person: whether the agent makes its request because a person opens the message.
        is_certain: whether the rule is published by the agent's maker; else it is experience.
        source: where the rule is from, and what it cannot see.
    """

    agent: Agent
    events: tuple[str, ...]
    match: Match
    values: tuple[str, ...]
    is_person: bool
    is_certain: bool
    source: str


AGENT_RULES: tuple[AgentRule, ...] = (
    AgentRule(
        Agent.GMAIL_PROXY, (OPEN,), Match.CONTAINS, ("googleimageproxy",), is_person=True, is_certain=True,
        source="Google fetches images when a person opens the message, and hides who and where; "
        "it stores them, so later opens may be missing",
    ),
    AgentRule(
        Agent.GMAIL_PREFETCH, (OPEN,), Match.ENDS, ("edge/12.246 mozilla/5.0",), is_person=False, is_certain=False,
        source="experience of senders: Google fetches images within a minute of the delivery, from its own addresses, "
        "before anybody opens the message",
    ),
    AgentRule(
        Agent.YAHOO_PROXY, (OPEN,), Match.CONTAINS, ("yahoomailproxy",), is_person=True, is_certain=False,
        source="Yahoo names its proxy (help.yahoo.com, SLN28749); that it waits for a person is experience",
    ),
    AgentRule(
        Agent.APPLE_MPP, (OPEN,), Match.EQUALS, ("mozilla/5.0",), is_person=False, is_certain=False,
        source="Apple's documentation: Mail Privacy Protection fetches images in the background, whether the message "
        "is read or not; that its relays send this bare user agent is experience. A person who reads is not seen: "
        "the image is fetched already",
    ),
    AgentRule(
        Agent.SCANNER, (OPEN, CLICK), Match.CONTAINS,
        ("barracuda sentinel", "proofpoint", "mimecast", "messagelabs", "symantec", "forcepoint", "fortiguard",
         "trendmicro", "ironport", "bingpreview", "google-safety", "safelinks"),
        is_person=False, is_certain=True, source="the scanner names itself; most do not",
    ),
    AgentRule(
        Agent.LINK_PREVIEW, (OPEN, CLICK), Match.CONTAINS,
        ("slackbot-linkexpanding", "slack-imgproxy", "skypeuripreview", "facebookexternalhit", "whatsapp/",
         "twitterbot", "telegrambot", "discordbot", "linkedinbot"),
        is_person=False, is_certain=True, source="the program names itself: it shows a link that a person passed on",
    ),
    AgentRule(
        Agent.CRAWLER, (OPEN, CLICK), Match.CONTAINS,
        ("googlebot", "bingbot", "applebot", "yandexbot", "ahrefsbot", "petalbot", "crawler", "spider/",
         "headlesschrome", "python-requests/", "python/", "aiohttp/", "curl/", "wget/", "go-http-client/", "java/",
         "apache-httpclient/", "libwww-perl/", "lua-resty-http/", "node-fetch/", "axios/"),
        is_person=False, is_certain=True, source="the program names itself",
    ),
    AgentRule(
        Agent.CRAWLER, (CLICK,), Match.EQUALS, ("mozilla/5.0",), is_person=False, is_certain=False,
        source="no browser sends this bare user agent",
    ),
    AgentRule(
        Agent.SCANNER, (CLICK,), Match.SOONER, (f"{SCANNER_SECONDS:g}",), is_person=False, is_certain=False,
        source="experience of senders: scanners of receivers, such as Microsoft's Safe Links, follow links on "
        "delivery under the user agent of a browser. Those that wait longer count as people",
    ),
)  # fmt: skip

MACHINES = frozenset(str(rule.agent) for rule in AGENT_RULES if not rule.is_person)
"""The names of agents that open or click without a person."""


def find_agent(kind: str, user_agent: object, seconds: float) -> str | None:
    """Name the program that opened a message or clicked a link.

    Args:
        kind: the type of the event; those other than `Open` and `Click` have no agent.
        user_agent: as the event has it, of any type, size and content.
        seconds: from SES's acceptance of the message to the event; infinite where it is not known.

    Returns:
        A value of `Agent`; None for a person's own browser or mail program, or where it is not known.
    """
    if kind not in (OPEN, CLICK):
        return None
    text = user_agent[:_LONGEST].strip().lower() if isinstance(user_agent, str) else ""
    for rule in AGENT_RULES:
        if kind in rule.events and _matches(rule, text, seconds):
            return str(rule.agent)
    return None


def _matches(rule: AgentRule, text: str, seconds: float) -> bool:
    match rule.match:
        case Match.CONTAINS:
            return any(value in text for value in rule.values)
        case Match.ENDS:
            return text.endswith(rule.values)
        case Match.EQUALS:
            return text in rule.values
        case Match.SOONER:
            return 0 <= seconds < SCANNER_SECONDS
