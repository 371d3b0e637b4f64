"""Why an address is on a list: the words and codes in exports of other systems.

The whole cell is compared, without case, spaces and punctuation, or a cell that begins with an SMTP reply. Words in
free text are ignored: a person wrote `no bounces, please`, and it does not mean a bounce.

Sources: the exports of SendGrid (bounces, blocks, spam reports, invalid e-mails, unsubscribes), Mailchimp (cleaned,
unsubscribed), Postmark (suppressions and bounces, API reference "Bounce types"), Mailgun (bounces, complaints,
unsubscribes), Brevo (blocked contacts) and SES (ListSuppressedDestinations); RFC 3463 for enhanced status codes.
"""

import re
import unicodedata
from enum import StrEnum
from functools import lru_cache


class Reason(StrEnum):
    """Why an address is suppressed, by priority: of two reasons from events, the first in this order is kept."""

    COMPLAINT = "complaint"
    BOUNCE = "bounce"  # permanent
    SOFT_BOUNCES = "soft_bounces"  # several transient ones in some days
    PROVIDER = "provider"  # SES itself suppresses it: its account, tenant or global list, or its validation
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"  # a person's decision


# Columns that may have the reason, by `plain_name`; the first one with a known reason wins.
REASON_NAMES = (
    *("reason", "suppressionreason", "suppressiontype", "bouncetype", "type", "bouncesubtype", "category"),
    *("classification", "event", "status", "error", "code", "description", "details", "diagnosticcode", "unsubreason"),
)
# Columns with a time, such as `unsubscribed_at`: one that is not empty implies the reason, too.
TIME_NAMES = {
    **dict.fromkeys(("complainttime", "complainedat", "spamreportedat"), Reason.COMPLAINT),
    **dict.fromkeys(("cleantime", "cleanedat", "bouncedat", "bouncetime"), Reason.BOUNCE),
    **dict.fromkeys(("unsubtime", "unsubscribetime", "unsubscribedat", "optouttime", "optedoutat"), Reason.UNSUBSCRIBE),
}
_WORDS = {
    Reason.COMPLAINT: """
        complaint complaints complained spamcomplaint spamcomplaints spamreport spamreports spamreported spam abuse
        abusereport abusecomplaint markedasspam contactflaggedasspam feedbackloop
    """,
    Reason.BOUNCE: """
        bounce bounces bounced hardbounce hardbounces hardbounced hard permanent permanentbounce permanentfailure
        permanentfail cleaned invalid invalidemail invalidemails invalidemailaddress invalidaddress bademailaddress
        undeliverable nosuchuser unknownuser noemail knownbaddomain maildomainmentionedinemailaddressisunknown
    """,
    Reason.SOFT_BOUNCES: """
        softbounce softbounces softbounced soft transient transientbounce temporaryfailure temporaryfail block blocks
        blocked mailboxfull dnserror spamnotification
    """,
    Reason.PROVIDER: "provider onaccountsuppressionlist ontenantsuppressionlist",
    Reason.UNSUBSCRIBE: """
        unsubscribe unsubscribes unsubscribed unsub unsubs unsubscription optout optouts optedout globalunsubscribe
        globalunsubscribes groupunsubscribe groupunsubscribes listunsubscribe oneclickunsubscribe
        unsubscribedviaemail unsubscribedviaapi unsubscribedviama
    """,
    Reason.MANUAL: "manual manualsuppression manuallydeactivated admin adminblocked",
}
_BY_WORD = {word: reason for reason, words in _WORDS.items() for word in words.split()}
_REPLY = re.compile(
    r"(?:smtp\s*;\s*)?(?:(?P<code>421|45[0-5]|50[0-4]|52[0-5]|53[0-8]|55[0-7])(?=$|[\s\-:;,.#]))?[\s\-:;,#(<\[]*"
    r"(?:(?P<class>[45])\.(?P<subject>\d{1,3})\.(?P<detail>\d{1,3})(?!\d))?",
    re.IGNORECASE,
)
# Permanent failures that do not prove that the mailbox does not exist: a full mailbox, the message's size, a policy.
_NOT_OF_THE_ADDRESS = re.compile(r"2\.[2-9]\d*|3\.\d+|6\.\d+|7\.\d+")


def plain_name(text: str) -> str:
    """Return a name as it is compared: letters and digits alone, in one case.

    >>> plain_name("Contact E-Mail"), plain_name("UNSUB_TIME")
    ('contactemail', 'unsubtime')
    """
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


@lru_cache(maxsize=4096)
def classify_reason(text: str) -> Reason | None:
    """Return the reason that a cell names, in the words of any system, or None where it names none.

    >>> classify_reason("Soft-Bounces"), classify_reason("HardBounce"), classify_reason("no bounces, please")
    (<Reason.SOFT_BOUNCES: 'soft_bounces'>, <Reason.BOUNCE: 'bounce'>, None)
    >>> classify_reason("550 5.1.1 no such user"), classify_reason("552-5.2.2 mailbox full")
    (<Reason.BOUNCE: 'bounce'>, <Reason.SOFT_BOUNCES: 'soft_bounces'>)
    """
    return _BY_WORD.get(plain_name(text)) or _classify_reply(text.strip())


def _classify_reply(text: str) -> Reason | None:
    found = _REPLY.match(text)
    if found is None or not (found["code"] or found["class"]):
        return None
    if (found["class"] or found["code"])[0] == "4":
        return Reason.SOFT_BOUNCES
    is_of_the_address = not _NOT_OF_THE_ADDRESS.fullmatch(f"{found['subject']}.{found['detail']}")
    return Reason.BOUNCE if is_of_the_address and found["code"] != "552" else Reason.SOFT_BOUNCES


def read_reason(text: str) -> str:
    """Return the value of `Reason` that a text means; otherwise the text.

    >>> read_reason("Soft-Bounces"), read_reason("asked by phone")
    ('soft_bounces', 'asked by phone')
    """
    found = classify_reason(text)
    return text.strip() if found is None else str(found)
