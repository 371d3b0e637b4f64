"""A short list that is not UTF-8 is read correctly or refused, never read wrongly."""

# ruff: noqa: RUF001 - it contains letters of many languages

from itertools import combinations

import pytest

from engine.audience.reading.text_files.encoding_guess import guess_encoding
from engine.errors import DataError

NAMES = {
    "German": "Jörg Björn Jürgen Günther Käthe Sören Götz Müller Schäfer Schröder Böhm Weiß Groß Voß Özil Süß Löw",
    "French": "François Hélène André Zoé Noël Benoît Chloé Léa Jérôme Éric Thérèse Gaëlle Geneviève Loïc Ève Cœur",
    "Spanish": "Peña María José Núñez Muñoz García Raúl Jesús Ramón Ángel Íñigo Begoña Suárez Martínez Díaz Ibáñez",
    "Portuguese": "João Conceição Inês Antônio Gonçalves Magalhães Simões Luís Fátima Mendonça Araújo São Camões",
    "Italian": "Niccolò Noè Cantù Forlì Mosè Giosuè Città Salò D’Angelo",
    "Nordic": "Søren Kjær Bjørn Åse Århus Øystein Jørgensen Sjöberg Åkesson Þórunn Guðrún Sigurðsson Davíð Ægir Håkon",
    "Polish": "Łukasz Wałęsa Zieliński Zięba Michał Paweł Żaneta Wójcik Kępa Śliwa Małgorzata Świątek Woźniak Bąk Kość",
    "Czech": "Jiří Dvořák Kučera Novotný Černý Růžička Tomáš Přemysl Zdeněk Němec Božena Šimůnek Řehoř Hlavička Krňák",
    "Hungarian": "Győző Erdős Szűcs László Jenő Petőfi Gábor Őri Béla Fűzesi",
    "Turkish": "Ayşe Erdoğan Yıldız Şahin İbrahim Aydın Çelik Gülşen Özgür Işık Doğan Ağaoğlu Kılıç Barış Tuğba",
    "Greek": "Γιώργος Νίκος Μαρία Ελένη Παπαδόπουλος Δημήτρης Κώστας Γιάννης Θανάσης Αλέξανδρος",
    "Russian": "Анна Иванова Пётр Сергеев Мария Кузнецова Андрей Дмитрий Ольга Юрий Эльвира Жуков Щукин",
    "Japanese": "山田太郎 佐藤花子 鈴木一郎 高橋美咲 渡辺健 ヤマダ 田中さくら 小林ひろし 斉藤由美 松本",
    "Chinese": "王小明 李娜 张伟 刘洋 陈静 杨丽 赵强 黄磊 周杰 吴敏 北京市",
    "Taiwanese": "王小明 陳怡君 林雅婷 黃志明 張家豪 李淑惠 吳美玲 劉建國 臺北市",
    "Korean": "김철수 이영희 박지민 최민수 정수빈 강호동 조현우 윤아 장동건 서울시",
}
WRITTEN = [
    *(("windows-1252", language) for language in ("German", "French", "Spanish", "Portuguese", "Italian", "Nordic")),
    *(("windows-1250", language) for language in ("Polish", "Czech", "Hungarian", "German")),
    *(("mac-roman", language) for language in ("German", "French", "Spanish")),
    ("cp850", "German"),
    ("windows-1254", "Turkish"),
    ("windows-1253", "Greek"),
    ("windows-1251", "Russian"),
    ("koi8-r", "Russian"),
    ("shift_jis", "Japanese"),
    ("euc_jp", "Japanese"),
    ("gb18030", "Chinese"),
    ("big5", "Taiwanese"),
    ("euc_kr", "Korean"),
]
FEWEST_RIGHT = {"German": 17, "French": 12, "Spanish": 16, "Portuguese": 12, "Nordic": 13}


def guess(names: tuple[str, ...], encoding: str) -> str | None:
    """How the names are read; None where that is refused."""
    text = "\n".join(f"p@example.com;{name}" for name in names if not name.isascii())
    try:
        return text.encode(encoding).decode(guess_encoding(text.encode(encoding), "list.csv")[0])
    except DataError:
        return None


@pytest.mark.parametrize(("encoding", "language"), WRITTEN)
def test_guess_is_right_or_refused_for_few_names(encoding: str, language: str) -> None:
    """In every language, for each name, every two and some more of them."""
    names = NAMES[language].split()
    some = [tuple(names[begin : begin + 4]) for begin in range(len(names) - 3)]
    right = 0
    for chosen in [*((name,) for name in names), *combinations(names, 2), *some]:
        written = [name for name in chosen if not name.isascii()]
        if not written:
            continue
        read = guess(chosen, encoding)
        assert read in (None, "\n".join(f"p@example.com;{name}" for name in written)), chosen
        right += read is not None and len(chosen) == 1
    if encoding == "windows-1252":
        assert right >= FEWEST_RIGHT.get(language, 0)


@pytest.mark.parametrize(("encoding", "language"), WRITTEN)
def test_guess_reads_a_list_of_many_names(encoding: str, language: str) -> None:
    names = tuple(NAMES[language].split())
    assert guess(names, encoding) == "\n".join(f"p@example.com;{name}" for name in names if not name.isascii())


@pytest.mark.parametrize(
    ("encoding", "families", "names"),
    [
        (
            "gb18030",
            "王李张刘陈杨赵黄周吴蔡潘戴夏钟",
            "浩然 子涵 欣怡 晓东 海峰 淑珍 梓轩 昊天 琪 璐 瑶 翊 雨婷 俊熙 睿",
        ),
        ("big5", "陳林黃張李王吳劉蔡楊", "怡君 雅婷 冠宇 承恩 品妤 宥廷 柏翰 芷晴 鈺婷"),
        ("cp932", "佐鈴高田伊渡櫻濱菅堀", "翔太 陽菜 結衣 葵 蓮 颯太 凛 悠真 莉子 優子"),
        ("windows-1255", " ", "שלום דוד משה שרה יעקב רחל אברהם יצחק מרים נועה תמר"),
        ("windows-1256", " ", "محمد أحمد فاطمة علي حسن خالد مريم يوسف إبراهيم سارة"),
    ],
)
def test_guess_reads_many_names_with_rare_characters(encoding: str, families: str, names: str) -> None:
    text = "\n".join(f"p@example.com;{family.strip()}{name}" for family in families for name in names.split())
    assert guess_encoding(text.encode(encoding), "list.csv")[0] in (encoding, encoding.replace("windows-", "cp"))
