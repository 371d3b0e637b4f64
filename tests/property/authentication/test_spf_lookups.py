"""Lookups are counted as a naive reference counts them, and hostile records cost a bounded number of questions."""

import asyncio
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from engine.authentication.domains.spf_lookups import (
    LOOKUPS_MAXIMUM,
    QUESTIONS_MAXIMUM,
    VOID_LOOKUPS_MAXIMUM,
    Known,
    LookupCount,
    NeededAnswer,
    SpfFault,
    check_lookups,
    count_lookups,
)
from engine.authentication.resolver import Absence, Absent, Answer, Doubt, Records, Unknown
from engine.authentication.results import Verdict

SIMPLE = st.sampled_from(["ip4:192.0.2.1", "ip6:2001:db8::1", "a", "a:void", "mx", "mx:void", "exists", "macro"])
Tree = list["str | Tree"]
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.lists(SIMPLE, max_size=4), lambda below: st.lists(SIMPLE | below, max_size=4), max_leaves=14
)


def publish(tree: Tree, known: Known, numbers: "count[int]", end: str) -> str:
    """Write a tree as a record, and its includes to what is known."""
    terms = ["v=spf1"]
    for term in tree:
        name = f"n{next(numbers)}.acme.example"
        match term:
            case list():
                known[name, "TXT"] = Records(name, (publish(term, known, numbers, "-all"),))
                terms.append(f"include:{name}")
            case "a" | "mx":
                known[name, "A"], known[name, "MX"] = Records(name, ("192.0.2.1",)), Records(name, (f"10 {name}",))
                terms.append(f"{term}:{name}")
            case "a:void" | "mx:void":
                known[name, "A"] = known[name, "MX"] = Absent(name, Absence.NODATA)
                terms.append(f"{term.partition(':')[0]}:{name}")
            case "exists":
                terms.append(f"exists:{name}")
            case "macro":
                terms.append(f"a:%{{i}}.{name}")
            case _:
                terms.append(str(term))
        known.setdefault((name, "AAAA"), Absent(name, Absence.NODATA))
    return " ".join([*terms, end])


def count_naively(tree: Tree) -> tuple[int, int]:
    """Return the lookups, and those that find nothing (RFC 7208 4.6.4)."""
    lookups = void = 0
    for term in tree:
        if isinstance(term, list):
            below = count_naively(term)
            lookups, void = lookups + 1 + below[0], void + below[1]
        elif not term.startswith("ip"):
            lookups, void = lookups + 1, void + term.endswith(":void")
    return lookups, void


@given(tree=TREES)
def test_count_equals_that_of_a_naive_reference(tree: Tree):
    known: Known = {}
    record = publish(tree, known, count(), "~all")
    lookups, void = count_naively(tree)
    found = count_lookups(record, "acme.example", known)
    if lookups <= LOOKUPS_MAXIMUM and void <= VOID_LOOKUPS_MAXIMUM:
        assert found == LookupCount(lookups, void)
    else:
        exceeded = {"spf_lookups"} if lookups > LOOKUPS_MAXIMUM else set()
        exceeded |= {"spf_void_lookups"} if void > VOID_LOOKUPS_MAXIMUM else set()
        assert isinstance(found, SpfFault)
        assert found.code in exceeded


@given(tree=TREES, data=st.data())
def test_count_is_unknown_when_any_needed_answer_is(tree: Tree, data: st.DataObject):
    """A time-out never becomes a fault or a count."""
    known: Known = {}
    record = publish(tree, known, count(), "~all")
    lost = data.draw(st.sampled_from(sorted(known) or [("x.example", "A")]))
    asked: list[tuple[str, str]] = []

    class Resolver:
        async def query(self, name: str, kind: str) -> Answer:
            asked.append((name, kind))
            return Unknown(name, Doubt.TIMEOUT) if (name, kind) == lost else known[name, kind]

    results = asyncio.run(check_lookups(Resolver(), "acme.example", record))
    assert (lost in asked) == (results[0].verdict is Verdict.UNKNOWN)
    assert len(asked) == len(set(asked))


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300), rest=st.text(max_size=20))
def test_count_takes_any_text(text: str, rest: str):
    for record in (f"v=spf1 {text}", f"v=spf1 include:{rest} a:{text} redirect={rest}", text):
        try:
            found = count_lookups(record, "acme.example", {})
        except NeededAnswer as needed:
            found = SpfFault("", needed.name)
        assert isinstance(found, LookupCount | SpfFault)


class Maze:
    """Answers every question with more to ask."""

    def __init__(self, record: str) -> None:
        self.record, self.asked = record, 0

    async def query(self, name: str, kind: str) -> Answer:
        self.asked += 1
        match kind:
            case "TXT":
                return Records(name, (self.record.replace("NAME", f"x{self.asked}"),))
            case "MX":
                return Records(name, tuple(f"{i} h{i}.{name}" for i in range(10)))
        return Absent(name, Absence.NODATA)


def test_hostile_records_cost_a_bounded_number_of_questions():
    for record in (
        "v=spf1 include:NAME.example -all",
        "v=spf1 redirect=NAME.example",
        "v=spf1 " + " ".join(f"mx:m{i}.example" for i in range(11)) + " -all",
        "v=spf1 " + " ".join(f"ip4:192.0.2.{i % 256}" for i in range(5000)) + " include:NAME.example",
        "v=spf1 " + "a" * 64_000,
        "v=spf1 " + "%{" * 30_000,
        "v=spf1" + " include:a.example" * 3000,
    ):
        maze = Maze(record)
        results = asyncio.run(check_lookups(maze, "acme.example", record.replace("NAME", "x0")))
        assert maze.asked <= QUESTIONS_MAXIMUM
        assert all(len(one.what) < 500 for one in results)
        assert results[0].verdict is not Verdict.PASS
