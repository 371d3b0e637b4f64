"""No record breaks a check, and none shows control characters or long texts."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from engine.authentication.domains.bimi import judge_certificate, judge_logo, list_bimi_records
from engine.authentication.domains.dkim_key import KeyFault, PublishedKey, parse_key
from engine.authentication.domains.dkim_records import judge_record
from engine.authentication.domains.dmarc import judge_extent, judge_permission, judge_policy, judge_syntax
from engine.authentication.domains.dmarc_record import judge_walk
from engine.authentication.domains.facts import describe_domain
from engine.authentication.domains.mail_from import judge_mx
from engine.authentication.domains.reply_security import judge_report_record, judge_sts_policy, judge_sts_record
from engine.authentication.domains.rules import SHOWN_CHARACTERS
from engine.authentication.domains.spf_record import judge_terms, read_spf_record
from engine.authentication.https_fetch import Fetched
from engine.authentication.resolver import Absence, Absent, Records
from engine.authentication.result_lines import write_results
from engine.authentication.results import RuleResult

TAGS = [
    "v=DKIM1",
    "v=DMARC1",
    "v=spf1",
    "v=BIMI1",
    "v=STSv1",
    "v=TLSRPTv1",
    "p=",
    "p=reject",
    "l=https://",
    "rua=",
    "id=1",
]
PIECES = st.sampled_from([*TAGS, ";", " ", "=", "\x1b[2J", "\u202e", "\n", "include:", "+all", "\\xff", "%{"])
TEXTS = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=30).map("".join)
LONG = st.builds(lambda text, times: (text * times)[:65_000], TEXTS, st.sampled_from([1, 1, 1, 5000]))
NAME = "x.acme.example"


def judge_everything(values: tuple[str, ...]) -> Iterator[RuleResult]:
    answer = Records(NAME, values)
    yield from judge_record(NAME, "", Absent(NAME, Absence.NODATA), answer)
    yield from judge_record(NAME, "y.example", answer, answer)
    record = read_spf_record(NAME, answer)
    yield from [record] if isinstance(record, RuleResult) else judge_terms(NAME, record)
    yield from judge_terms(NAME, f"v=spf1 {values[0]}")
    for records in (values, ("v=DMARC1;" + values[0],)):
        found, result = judge_walk({NAME: Records(f"_dmarc.{NAME}", records)})
        yield result
        if found is not None:
            yield from [judge_policy(found, NAME), judge_syntax(found), *judge_extent(found)]
    yield judge_permission("y.example", NAME, answer)
    list_bimi_records(answer)
    yield judge_certificate(values[0], NAME)
    yield judge_logo(values[0], Fetched(values[0].encode(), values[0]))
    sts = judge_sts_record(NAME, answer)
    yield from [sts] if sts else []
    yield judge_sts_policy(NAME, "https://y.example", Fetched(values[0].encode()))
    yield judge_report_record(NAME, answer)
    yield judge_mx(describe_domain("acme.example", mail_from=NAME), Records(NAME, ("10 \\000\\027[31m.example",)))


@given(values=st.lists(LONG, min_size=1, max_size=3))
def test_no_record_breaks_a_check_or_reaches_the_terminal(values: list[str]):
    results = list(judge_everything(tuple(values)))
    assert all(len(one.what) + len(one.where) < 8 * SHOWN_CHARACTERS for one in results)
    for line in write_results(results):
        assert not {"\x1b", "\n", "\u202e", "\x9b"} & set(line)


@given(record=LONG | st.binary(max_size=300).map(lambda data: "p=" + data.hex()))
def test_key_is_parsed_or_named_a_fault(record: str):
    assert isinstance(parse_key(record), PublishedKey | KeyFault)
