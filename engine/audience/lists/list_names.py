"""Names of a suppression list's columns: does a column hold the suppressed address, or who made the entry?"""

import re
import unicodedata
from enum import IntEnum

from engine.ledger.suppressed.reasons import plain_name

_EXACT = frozenset({"email", "emailaddress", "emailadresse"})
_MAIL = re.compile("mail|courriel|correo")
_RECIPIENT = re.compile("addres|adress|recipient|rcpt|subscriber|destinat|empfänger|empfaenger")
_DOMAIN = re.compile("domain|domaine|domäne|dominio")
_DOMAIN_WORDS = frozenset({"host", "hostname", "hosts"})
# Words for the author or owner of an entry. A long word may be a part of another one, a short one may not.
_ACTOR = re.compile(
    r"owner|sender|agent|creator|author|operator|admin|staff|employee|assign|manager|reporter|editor|approver|"
    r"replyto|returnpath|(?:ed|t)by$"
)
_ACTOR_WORDS = frozenset(
    {"by", "from", "added", "created", "updated", "modified", "source", "rep", "von", "durch", "par", "por"}
)
# Of `email_type` the last word is what the column holds, of `ip_address` the first.
_PROPERTIES = frozenset({"type", "format", "status", "date", "time", "count", "subject", "mailed"})
_OTHER_ADDRESSES = frozenset({"ip", "mac", "street", "postal"})
_WORD = re.compile(r"[^\W_]+")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class NameRank(IntEnum):
    """How clearly a name says that the column holds the suppressed addresses; the clearest first."""

    EXACT = 0  # `email`
    EXACT_WITHIN = 1  # `contact.email`
    MAIL = 2
    RECIPIENT = 3
    DOMAIN = 4
    OTHER = 5


def rank_name(name: str) -> NameRank:
    """Return how clearly a name says that its column holds the suppressed addresses.

    >>> [rank_name(one).name for one in ("E-Mail", "contact.email", "email_b64", "To", "Email domain", "Contact")]
    ['EXACT', 'EXACT_WITHIN', 'MAIL', 'RECIPIENT', 'DOMAIN', 'OTHER']
    """
    plain, words = plain_name(name), _words(name)
    if plain in _EXACT:
        return NameRank.EXACT
    if plain_name(name.rpartition(".")[2]) in _EXACT:
        return NameRank.EXACT_WITHIN
    if _DOMAIN.search(plain) or not _DOMAIN_WORDS.isdisjoint(words):
        return NameRank.DOMAIN
    if not words or words[-1] in _PROPERTIES or not _OTHER_ADDRESSES.isdisjoint(words):
        return NameRank.OTHER
    if _MAIL.search(plain):
        return NameRank.MAIL
    is_recipient = (_RECIPIENT.search(plain) and words[-1] != "name") or words == ["to"]
    return NameRank.RECIPIENT if is_recipient else NameRank.OTHER


def names_actor(name: str) -> bool:
    """Whether a name means the author, sender or owner of an entry, and not the suppressed address.

    >>> [names_actor(one) for one in ("Added by", "addedBy", "mail_from", "account.owner", "Contact e-mail")]
    [True, True, True, True, False]
    """
    words = _words(name)
    return not _ACTOR_WORDS.isdisjoint(words) or any(_ACTOR.search(word) for word in (*words, plain_name(name)))


def _words(name: str) -> list[str]:
    divided = _CAPITAL.sub(" ", unicodedata.normalize("NFKC", name))
    return _WORD.findall(divided.casefold())
