"""Check decoded words: letters, case and spelling of the languages of mailing lists.

Encodings of short lists are distinguished by spellings that no language has: "Jørg" as "J鰎g", "Jiří" as "Jiøí",
"Андрей" as "Àíäðåé".
"""

# ruff: noqa: RUF001 - it contains letters of many languages

import re
from collections.abc import Callable
from functools import cache

_WESTERN = ("äöüßé", "àâæçéèêëîïôœùûüÿ", "áéíóúüñçàèòï", "áâãàçéêíóôõúü", "àèéìíîòóùú", "åäöæøéüšžõ", "áðéíóúýþæö",
            "áéíóöúü", "áäčéíóôšúýž")  # fmt: skip
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüßé")
_BALTIC = ("ąčęėįšųūž", "āčēģīķļņšūž", "äöüõšžé", "åäöé")
_V = "aeiouyáéíóúýäëïöüåæøœàâãèêìîòôõùûąęěůőűăıāēėīįųūÿ"
_C = "bcdfghjklmnpqrstvwxzßñçšžčćđďłńňřŕśşťţźżľĺðþğģķļņ"
_ALWAYS = f"(?<![{_V}])ß|ß[rcdgjkpqtxzáéíóúüöä]|[{_C}]š[{_C}]|[{_C}]ž[{_C}]"
# Spellings that do not exist; each line is for one letter that another encoding has at the same byte.
_NEVER = {
    "western": "|".join(
        (
            _ALWAYS,
            f"ñ(?![{_V}])",
            f"[aeouáéíóú]è[{_C}{_V}]|è[{_V}]|^è(?!v)|[iy]è[kn]",
            f"[{_V}]ø|ø[{_V[:4]}{_V[6:]}]".replace("y", ""),
            f"ò[{_V}]|[aeou]ò|iò.",
            f"ì(?=[{_C}{_V}])",
            "(?<![aeou])ï|ù[^s]",
            f"[{_C}]æ$|[{_V}]æ|æ[{_V}w]",
            f"[{_V}]œ|œ(?![utdnli])|^œ[^uid]",
            "õ$|õs$|ã(?![oei]|$)|(?<=[iy])ê",
            f".þ(?![óo])|^ý.|yý|ý.*ý|ý[{_V}]|^ð|[{_C}]{{6}}",
            f"[aeiouöü].*ý[{_C}]$|ç[{_C}]|[{_C}]ë$|úu|uú|^ÿ",
        )
    ),
    "central": "|".join(
        (
            _ALWAYS,
            f"ń[{_V}]|ś[{_V}]|ź[{_V}]|[{_C}]ź[{_C}]",
            f"[{_C}]č[{_C}]|[{_C}]č$|[{_V}]č[vr]|^čve|^ę",
            f"[{_C}]ř[{_C}]|^ř[{_C}]|řy",
            f"[{_C}]ň[{_C}]|ď[{_C}]|[{_C}]ď[{_C}]",
            f"ů[{_V}]|[{_V}]ů|[{_V}]ě|^ě",
            f"[{_C}]ć[{_C}]|^ć[{_C}]|[{_C}]ś[{_C}]|[ęąőű][{_V}]|ęs$|ă[eoáéu]|^ű|ŕ$",
            "(?<![dtvhmk])ĺ|ĺ(?![žkčbp])|hĺk",
            f"ţ[{_C}]|[{_C}]đ[{_C}]|đ[bcdfghklmnprstvz]",
            f"^ý|yý|ý.*ý|[aeiouöü].*ý[{_C}]$|[{_C}]{{6}}",
        )
    ),
    "turkish": f"(?<![{_V}])ğ|[{_C}]ş[{_C}]|ı[{_V}]|[{_V}]ı|[{_C}]{{5}}",
    "baltic": "|".join(
        (
            _ALWAYS,
            f"[{_C}]č[{_C}]|[{_C}]č$|^čve|ķ[{_C}]|[{_C}]ķ|.į.|^į[nlr]|ģ[{_C}]|[{_C}]ģ$|[{_C}]{{6}}|ļ[{_C}]|[{_C}]ļ[{_C}]",
            f"[{_V}][āėēī]|[āėēī][{_V}]|[{_C}]ņ$|ą$|ń|ję|^ę|(?<!i)ų(?!$)|^ų|õ$|õs$",
        )
    ),
}
_NEVER["dos"] = f"{_NEVER['western']}|^[íû]|[{_C}]ý|[õãþð]"
_TURKISH = ("çğıiöşüâî",)
_PREFIXES = "o|d|l|n|m|t|c|j|s|qu|jusqu|lorsqu|puisqu|aujourd|dell|dall|nell|sant|all|un|mc|x|a|e|i|u"
_SUFFIXES = "s|t|ll|re|ve|m|d|n"
_APOSTROPHE = re.compile(rf"(?:{_PREFIXES})’[a-zà-ÿ]\w+|\w+’(?:{_SUFFIXES})?", re.IGNORECASE)
_PLAIN_MARKS = re.compile(
    r"^\d+(?=[^\W\d])|(?<=[^\W\d])\d+$|^[“„‘‚•·–—]+|^«(?=[A-ZÀ-Þ])|[”“»’…–—®™©]+$"
    r"|(?<=\d)[€£°ºª²³½%]+$|^[€£§](?=\d)|(?<=\d)[–—](?=\d)"
)
_TITLE = re.compile(r"(?:Mc|Mac|De|Di|La|Le|Van|Von)[A-ZÀ-Þ]\w+")
Judge = Callable[[str], bool]


def _has_case(word: str) -> bool:
    """Whether capitals are where people write them: at the beginning, everywhere, or nowhere."""
    return word.islower() or word.isupper() or word[1:].islower() or _TITLE.fullmatch(word) is not None


def _latin(alphabets: tuple[str, ...], spelling: str) -> Judge:
    def judge(word: str) -> bool:
        word = _PLAIN_MARKS.sub("", word)
        if "’" in word:
            return _APOSTROPHE.fullmatch(word) is not None
        if word.isascii():
            return True
        low = word.replace("İ", "i").replace("ẞ", "ß").lower()
        letters = {letter for letter in low if not letter.isascii()}
        others = sum(not letter.isascii() for letter in low)
        return (
            word.isalpha()
            and others <= (len(word) + 1) // 2
            and (_has_case(word) or _has_case(word.replace("ß", "SS")))
            and any(letters <= set(alphabet) for alphabet in alphabets)
            and not _compile(_NEVER[spelling]).search(low)
        )

    return judge


def _cased(alphabet: str, vowels: str, never: str) -> Judge:
    """Return the check for a script with capitals: names begin with one."""

    def judge(word: str) -> bool:
        low = word.lower()
        return (
            set(low) <= set(alphabet)
            and (word[:1].isupper() and _has_case(word))
            and (len(low) < 3 or bool(set(low) & set(vowels)))
            and not _compile(never).search(low)
        )

    return judge


def _pattern(text: str) -> Judge:
    return lambda word: _compile(text).fullmatch(word) is not None


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    """Compile a pattern at its first use: it takes milliseconds, and most files are UTF-8."""
    return re.compile(pattern)


_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґў"
_CYRILLIC_VOWELS = "аеёиоуыэюяіїє"
_CYRILLIC_NEVER = (
    f"[^{_CYRILLIC_VOWELS}]й|^[ыьъ]|[{_CYRILLIC_VOWELS}][ьъ]|[^{_CYRILLIC_VOWELS}]{{5}}|[бвгджзйклмнпрстфхцчшщ]э$"
)
_GREEK = "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ"
_GREEK_VOWELS = "αεηιουωάέήίόύώϊϋ"
_GREEK_NEVER = f"ς.|σ$|[^{_GREEK_VOWELS}]{{4}}|[{_GREEK_VOWELS}]{{5}}|[άέήίόύώ].*[άέήίόύώ]"
# The most frequent characters of names and places, by language.
_CHINESE = (
    "蔡潘戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段婷欣怡浩宇子涵轩嘉晨晓东峰珍俊思佳"
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕小大明伟芳娜敏静丽强"
    "磊军洋勇艳杰娟涛超秀霞平刚桂英华玉兰建国文红梅春海燕志雪北京上海广州深圳市省区路中天津成都武汉杭州南"
    "西东安山先生女士"
)
_TRADITIONAL = (
    "王李張劉陳楊趙黃周吳徐孫胡朱高林何郭馬羅梁宋鄭謝韓唐馮於董蕭程曹袁鄧許傅沈曾彭呂小大明偉芳娜敏靜麗強"
    "磊軍洋勇艷傑娟濤超秀霞平剛桂英華玉蘭建國文紅梅春海燕志雪怡君雅婷淑惠美玲宗翰家豪臺北台中市縣區路高雄"
    "南新竹香港先生小姐"
)
_JAPANESE = (
    "山田中佐藤鈴木高橋伊渡辺本小林加吉村井上松斎口清水崎森池橋阿部石川前岡長谷後近坂遠青西福太三浦原野竹"
    "金子和大東京都市区県新宿町丁目阪横浜一二郎花美咲子健翔陽真由裕恵香明智久男雄介樹輔様株式会社日本"
)
_KOREAN = (
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민지수영현준진철희은경"
    "미선숙아연예도윤재혁동훈태상호시서울부산대구인천광주시길로님"
)
_WIDE_KANA = "ぁ-んァ-ヶー・々〆"
_KANA = f"{_WIDE_KANA}ｦ-ﾟ"


class Script:
    """The language of a multi-byte encoding.

    Attributes:
        frequent: the most frequent characters of names.
        judge: whether a word has only common characters.
    """

    def __init__(self, frequent: str, codec: str, leads: range, extra: str = "") -> None:
        self.frequent = frozenset(frequent)
        self._codec, self._leads = codec, leads
        self._extra = f"[0-9０-９Ａ-Ｚａ-ｚ　-〟（），．－：；{extra}]"
        # Half-width kana are single bytes, which any text may have.
        self._kana = f"[{_WIDE_KANA}]" if extra else None

    def judge(self, word: str) -> bool:
        """Whether a word has only common characters, none of them next to an ASCII letter."""
        return all(self._is_common(character) for character in word)

    def weigh(self, text: str) -> float:
        """Return the share of frequent characters and of kana."""
        known = [letter for letter in text if not letter.isascii()]
        hits = sum(c in self.frequent or bool(self._kana and _compile(self._kana).match(c)) for c in known)
        return hits / max(1, len(known))

    def _is_common(self, character: str) -> bool:
        if _compile(self._extra).match(character):
            return True
        if character.isascii():
            return False
        data = character.encode(self._codec, "replace")
        return len(data) == 2 and data[0] in self._leads


SCRIPTS = {
    "gb18030": Script(_CHINESE, "gb2312", range(0xB0, 0xD8)),
    "big5": Script(_TRADITIONAL, "big5", range(0xA4, 0xC7)),
    "cp932": Script(_JAPANESE, "cp932", range(0x88, 0x99), _KANA),
    "euc_jp": Script(_JAPANESE, "euc_jp", range(0xB0, 0xD0), _WIDE_KANA),
    "cp949": Script(_KOREAN, "euc_kr", range(0xB0, 0xC9)),
}
# In order of preference for encodings that decode the text to the same.
JUDGES: dict[str, Judge] = {
    "cp1252": _latin(_WESTERN, "western"),
    "cp1250": _latin(_CENTRAL, "central"),
    "cp1254": _latin(_TURKISH, "turkish"),
    "cp1257": _latin(_BALTIC, "baltic"),
    "cp1251": _cased(_CYRILLIC, _CYRILLIC_VOWELS, _CYRILLIC_NEVER),
    "koi8_r": _cased(_CYRILLIC, _CYRILLIC_VOWELS, _CYRILLIC_NEVER),
    "cp1253": _cased(_GREEK, _GREEK_VOWELS, _GREEK_NEVER),
    "cp1255": _pattern("(?:[א-ת][\u05b0-\u05c2]?)+[״׳]?"),
    "cp1256": _pattern("[آ-غف-يپچژگ\u064b-\u0652ـ،]*(?<![ةى])(?:[ةىآ-غف-ي]|(?<=[اوي])ء)"),
    "cp874": _pattern("(?:[เแโใไ]?[ก-ฮ][ัิีึืฺุู็่้๊๋์ํ]*[ะาำๅ]?[ฯๆ]?)+"),
    **{name: script.judge for name, script in SCRIPTS.items()},
    "mac_roman": _latin(_WESTERN, "western"),
    "cp850": _latin(_WESTERN, "dos"),
    "cp437": _latin(_WESTERN, "dos"),
}
