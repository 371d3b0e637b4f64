# ruff: noqa: INP001, RUF001, S311 - a script beside its data, no package; in many scripts; random only for variety
"""Write the sample audience: `subscribers.csv` and `suppressed.csv`, the same bytes every time.

Run it from anywhere: `python audiences/make_sample.py [FOLDER]`. The people are made up. Their addresses are in
domains that nobody can own (RFC 2606: example.com, example.net, example.org, .example, .test) or at the SES mailbox
simulator. Like real lists, this one has duplicates, gaps and mistakes: about one row in nine cannot be mailed.
"""

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

SEED = 20_260_101
PEOPLE = 1_800
COLUMNS = (
    *("email", "first_name", "last_name", "country", "city", "locale"),
    *("plan", "points", "signed_up", "last_order"),
)
FIRST_DAY = date(2021, 1, 4)
DAYS = 1_800
PLANS = ("free", "free", "free", "basic", "basic", "pro")
DOMAINS = (
    *("example.com", "example.net", "example.org", "mail.example.com", "post.example.net", "students.example.org"),
    *("acme.example", "bakery.example", "northwind.example", "harbour.test", "orchard.test"),
)


@dataclass(frozen=True)
class Group:
    """People of one language: names as they write them, with a Latin spelling for the address."""

    locale: str
    country: str
    cities: tuple[str, ...]
    first: tuple[tuple[str, str], ...]
    last: tuple[tuple[str, str], ...]


def _named(text: str) -> tuple[tuple[str, str], ...]:
    """Read `name/latin name/latin …`."""
    return tuple((name, latin) for name, _, latin in (pair.partition("/") for pair in text.split()))


GROUPS = (
    Group(
        "en-GB",
        "GB",
        ("London", "Leeds", "Bath", "St Andrews"),
        _named("Ann/ann Oliver/oliver Siân/sian Zoë/zoe George/george Amelia/amelia Seán/sean"),
        _named("Lee/lee Taylor/taylor O'Brien/o'brien Hughes/hughes Brontë/bronte Shaw/shaw"),
    ),
    Group(
        "de-DE",
        "DE",
        ("München", "Köln", "Lübeck", "Leipzig"),
        _named("Jürgen/juergen Käthe/kaethe Björn/bjoern Anja/anja Sören/soeren Lea/lea"),
        _named("Müller/mueller Weiß/weiss Schröder/schroeder Groß/gross Becker/becker"),
    ),
    Group(
        "fr-FR",
        "FR",
        ("Orléans", "Besançon", "Lyon", "Nîmes"),
        _named("Chloé/chloe François/francois Hélène/helene Loïc/loic Noël/noel Inès/ines"),
        _named("Lefèvre/lefevre Gagné/gagne Dubois/dubois Bérenger/berenger Moreau/moreau"),
    ),
    Group(
        "pl-PL",
        "PL",
        ("Łódź", "Kraków", "Gdańsk", "Poznań"),
        _named("Łukasz/lukasz Małgorzata/malgorzata Zofia/zofia Paweł/pawel Jędrzej/jedrzej"),
        _named("Wójcik/wojcik Wiśniewska/wisniewska Kowalska/kowalska Dąbrowski/dabrowski"),
    ),
    Group(
        "tr-TR",
        "TR",
        ("İstanbul", "İzmir", "Eskişehir"),
        _named("Ayşe/ayse Çağla/cagla Işıl/isil Ömer/omer Gökhan/gokhan"),
        _named("Yılmaz/yilmaz Öztürk/ozturk Şahin/sahin Çelik/celik"),
    ),
    Group(
        "vi-VN",
        "VN",
        ("Hà Nội", "Đà Nẵng", "Huế", "TP. Hồ Chí Minh"),
        _named("Ánh/anh Dũng/dung Hằng/hang Quỳnh/quynh Thảo/thao Tuấn/tuan Ngọc/ngoc"),
        _named("Nguyễn/nguyen Trần/tran Lê/le Phạm/pham Đặng/dang Vũ/vu"),
    ),
    Group(
        "uk-UA",
        "UA",
        ("Київ", "Львів", "Харків", "Одеса"),
        _named("Оксана/oksana Тарас/taras Юлія/yuliia Богдан/bohdan Ірина/iryna"),
        _named("Шевченко/shevchenko Коваленко/kovalenko Бондар/bondar Лисенко/lysenko"),
    ),
    Group(
        "bg-BG",
        "BG",
        ("София", "Пловдив", "Варна"),
        _named("Иван/ivan Елена/elena Георги/georgi Цветана/tsvetana"),
        _named("Петров/petrov Димитрова/dimitrova Иванов/ivanov Стоянова/stoyanova"),
    ),
    Group(
        "el-GR",
        "GR",
        ("Αθήνα", "Θεσσαλονίκη", "Πάτρα"),
        _named("Ελένη/eleni Γιώργος/giorgos Σοφία/sofia Νίκος/nikos Δήμητρα/dimitra"),
        _named("Παπαδόπουλος/papadopoulos Γεωργίου/georgiou Νικολάου/nikolaou"),
    ),
    Group(
        "ar-EG",
        "EG",
        ("القاهرة", "الإسكندرية", "أسوان"),
        _named("ليلى/layla يوسف/youssef مريم/mariam عمر/omar نور/nour"),
        _named("حسن/hassan منصور/mansour إبراهيم/ibrahim فاروق/farouk"),
    ),
    Group(
        "he-IL",
        "IL",
        ("תל אביב", "חיפה", "ירושלים"),
        _named("נועה/noa דוד/david תמר/tamar אורי/uri"),
        _named("כהן/cohen לוי/levi מזרחי/mizrahi פרידמן/friedman"),
    ),
    Group(
        "hi-IN",
        "IN",
        ("दिल्ली", "मुंबई", "जयपुर"),
        _named("अनिता/anita राहुल/rahul प्रिया/priya विक्रम/vikram दीपा/deepa"),
        _named("शर्मा/sharma सिंह/singh गुप्ता/gupta पटेल/patel"),
    ),
    Group(
        "zh-CN",
        "CN",
        ("北京", "上海", "成都"),
        _named("伟/wei 秀英/xiuying 芳/fang 子涵/zihan 磊/lei"),
        _named("王/wang 李/li 张/zhang 欧阳/ouyang 陈/chen"),
    ),
    Group(
        "ja-JP",
        "JP",
        ("東京", "京都", "札幌"),
        _named("さくら/sakura 健太/kenta 陽子/yoko ユウキ/yuki 翔/sho"),
        _named("佐藤/sato 鈴木/suzuki 高橋/takahashi 渡辺/watanabe"),
    ),
    Group(
        "ko-KR",
        "KR",
        ("서울", "부산", "제주"),
        _named("지우/jiwoo 민준/minjun 서연/seoyeon 하준/hajun"),
        _named("김/kim 이/lee 박/park 최/choi"),
    ),
    Group(
        "th-TH",
        "TH",
        ("กรุงเทพฯ", "เชียงใหม่", "ภูเก็ต"),
        _named("สมชาย/somchai มาลี/malee อรุณ/arun ปิติ/piti"),
        _named("สุขใจ/sukjai แก้วมณี/kaewmanee ทองดี/thongdee"),
    ),
)

# Invalid addresses as they occur in real lists: every row with one is excluded.
INVALID_ADDRESSES = (
    *("", "", "", "", "   ", "n/a", "none", "-", "no email", "tba"),
    *("ann.lee.example.com", "@example.com", "ann.lee@", "ann@lee@example.com", "ann@example.com; bob@example.com"),
    *(".ann@example.com", "ann.@example.com", "ann..lee@example.com", "ann lee@example.com", "ann@exam ple.com"),
    *("ann@localhost", "ann@example", "ann@.example.com", "ann@example..com", "ann@example.com."),
    *("ann@-mail.example.com", "ann@mail-.example.com", "ann@mail_server.example.com", "ann@example.123"),
    *("ann@192.0.2.7", "ann@[192.0.2.7]", '"ann lee"@example.com', "ann(work)@example.com", "ann,lee@example.com"),
    *(
        "jürgen@example.com",
        "юлія@example.org",
        "さくら@example.net",
        "mailto:ann@example.com",
        "ann@exa\u200bmple,com",
    ),
    *(f"{'a' * 65}@example.com", f"ann@{'b' * 64}.example", f"ann@{'.'.join(['c' * 60] * 4)}.example"),
    *(
        "ann@xn--.example",
        "https://example.com/ann",
        "ann\\@example.com",
        "<>",
        "Ann Lee <ann.lee>",
        "ann@ex!ample.com",
    ),
)

# Rare, but valid.
SPECIAL_ADDRESSES = (
    *("Ann Lee <ann.lee@acme.example>", '"Nguyễn, Ánh" <anh.nguyen+news@example.com>', "<kenta@orchard.test>"),
    *("Käthe Weiß <kaethe@bäckerei.example>", "wei@例子.example", "Oksana@HARBOUR.TEST", "o'brien+list@example.org"),
    *("x@a.example", "very.common_name-with/slash=and{braces}@example.com", "ｓａｋｕｒａ＠ｅｘａｍｐｌｅ．ｎｅｔ"),
)
SIMULATOR = "simulator.amazonses.com"


def make_subscribers() -> Iterator[list[str]]:
    """Make the rows of the audience, without the header."""
    random = Random(SEED)
    people = [_make_person(random, number) for number in range(PEOPLE)]
    rows = [_leave_gaps(random, person) for person in people]
    rows += [_with_address(random.choice(people), _respell(random, random.choice(people)[0])) for _ in range(90)]
    rows += [_with_address(random.choice(people), address) for address in (*INVALID_ADDRESSES, *INVALID_ADDRESSES)]
    rows += [_with_address(random.choice(people), address) for address in (*SPECIAL_ADDRESSES, *_at_the_simulator())]
    rows += [_with_unquoted_comma(random.choice(people)) for _ in range(3)]
    random.shuffle(rows)
    yield from rows


def _make_person(random: Random, number: int) -> list[str]:
    group = random.choice(GROUPS)
    (first, latin_first), (last, latin_last) = random.choice(group.first), random.choice(group.last)
    dot = random.choice((".", ".", "-", "_", ""))
    # The number makes the address a person's own.
    address = f"{latin_first}{dot}{latin_last}{number}@{random.choice(DOMAINS)}"
    signed_up = FIRST_DAY + timedelta(days=random.randrange(DAYS))
    last_order = min(signed_up + timedelta(days=random.randrange(900)), FIRST_DAY + timedelta(days=DAYS))
    ordered = last_order.isoformat() if random.random() < 0.6 else ""
    points = str(int(random.expovariate(1 / 180)))
    # fmt: off
    return [
        _capitals(random, address), first, last, group.country, random.choice(group.cities), group.locale,
        random.choice(PLANS), points, signed_up.isoformat(), ordered,
    ]
    # fmt: on


def _capitals(random: Random, address: str) -> str:
    """Write some addresses in title case, as some people do."""
    return address.title() if random.random() < 0.04 else address


def _leave_gaps(random: Random, person: list[str]) -> list[str]:
    """Empty some cells: no first name (the campaign greets with its default), no city."""
    row = list(person)
    for column, share in (("first_name", 0.05), ("city", 0.08), ("last_name", 0.02)):
        if random.random() < share:
            row[COLUMNS.index(column)] = random.choice(("", "", " "))
    return row


def _respell(random: Random, address: str) -> str:
    """Write the same address differently, as a person may the second time."""
    full_width = address.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    spellings = (address, address.upper(), address.swapcase(), f"  {address} ", full_width, f"Member <{address}>")
    return random.choice(spellings)


def _with_address(person: list[str], address: str) -> list[str]:
    return [address, *person[1:]]


def _with_unquoted_comma(person: list[str]) -> list[str]:
    """Add an unquoted comma, which splits a cell in two and makes the row malformed."""
    city = COLUMNS.index("city")
    return [*person[:city], person[city], " old town", *person[city + 1 :]]


def _at_the_simulator() -> Iterator[str]:
    """Yield addresses of the SES mailbox simulator, which accepts labels: each address is a separate recipient."""
    for number in range(30):
        yield f"success+{number:02}@{SIMULATOR}"
    for kind in ("bounce", "complaint", "ooto"):
        for number in range(3):
            yield f"{kind}+{number:02}@{SIMULATOR}"


def make_suppressed() -> Iterator[list[str]]:
    """Make the rows of the suppression list: some of the subscribers, and people who are not in the list at all."""
    random = Random(SEED + 1)
    known = [_make_person(people, number)[0] for people in [Random(SEED)] for number in range(PEOPLE)]
    reasons = ("unsubscribed", "unsubscribed", "bounced", "complained", "asked by letter")
    for number, address in enumerate(random.sample(known, 70)):
        spelled = random.choice((address, address.upper(), f" {address}"))
        topic = ("", "newsletter", "newsletter", "surveys")[number % 4]
        yield [spelled, random.choice(reasons), topic, _some_day(random)]
    for number in range(30):
        yield [f"former.member{number}@{random.choice(DOMAINS)}", random.choice(reasons), "", _some_day(random)]


def _some_day(random: Random) -> str:
    return (FIRST_DAY + timedelta(days=random.randrange(DAYS))).isoformat()


def write_sample(folder: Path) -> None:
    """Write both files into a folder, UTF-8 with line feeds."""
    _write(folder / "subscribers.csv", COLUMNS, make_subscribers())
    _write(folder / "suppressed.csv", ("email", "reason", "topic", "since"), make_suppressed())


def _write(path: Path, header: Iterable[str], rows: Iterable[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
