"""The next recipient: order, caps of domains, windows."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery.pacing.interleaving import DomainCap, Interleaving
from engine.run.send.open_lease import spread_domains


@dataclass(frozen=True)
class Person:
    address: str
    zone: str = "UTC"


def drain(interleaving: Interleaving[str, Person], now: float = 0.0) -> list[tuple[float, Person]]:
    turns = []
    while True:
        if found := interleaving.next(now):
            turns.append((now, found[1]))
            continue
        wait = interleaving.seconds_to_next(now)
        if wait is None:
            return turns
        now += wait


DOMAINS = st.sampled_from(["gmail.com", "yahoo.com", "GMAIL.com", "other.example"])
PEOPLE = st.lists(st.builds(lambda i, d: Person(f"p{i}@{d}"), st.integers(0, 9), DOMAINS), max_size=60)


@given(people=PEOPLE)
def test_without_caps_the_order_is_the_plans(people: list[Person]):
    interleaving: Interleaving[str, Person] = Interleaving()
    interleaving.feed("one", iter(people))
    assert [person for _, person in drain(interleaving)] == people


@given(leases=st.lists(PEOPLE, max_size=4), rate=st.floats(0.5, 50))
def test_each_row_is_returned_once_and_no_domain_exceeds_its_cap(leases: list[list[Person]], rate: float):
    interleaving: Interleaving[str, Person] = Interleaving({"gmail.com": DomainCap(rate)})
    for number, people in enumerate(leases):
        interleaving.feed(str(number), iter(people))
    turns = drain(interleaving)
    assert Counter(person for _, person in turns) == Counter(person for people in leases for person in people)
    capped = [at for at, person in turns if person.address.lower().endswith("@gmail.com")]
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(capped))
    assert all(at == 0.0 for at, person in turns if not person.address.lower().endswith("@gmail.com"))
    assert not any(interleaving.is_waiting(str(number)) for number in range(len(leases)))


def test_a_lease_waits_as_long_as_one_of_its_rows_is_held():
    interleaving: Interleaving[str, Person] = Interleaving({"gmail.com": DomainCap(1.0)})
    interleaving.feed("one", iter([Person("a@gmail.com"), Person("b@gmail.com")]))
    assert interleaving.next(0.0) is not None
    assert interleaving.next(0.0) is None
    assert interleaving.is_waiting("one")
    assert interleaving.next(1.0) is not None
    assert not interleaving.is_waiting("one")


def test_dropped_lease_yields_no_more_rows_and_others_continue():
    interleaving: Interleaving[str, Person] = Interleaving({"gmail.com": DomainCap(1.0)})
    interleaving.feed("one", iter([Person("a@gmail.com"), Person("b@gmail.com")]))
    interleaving.feed("two", iter([Person("c@gmail.com")]))
    assert interleaving.next(0.0) is not None
    assert interleaving.next(0.0) is None
    interleaving.drop("one")
    assert [person.address for _, person in drain(interleaving, 1.0)] == ["c@gmail.com"]


class Night:
    def seconds_closed(self, recipient: object) -> float:
        assert isinstance(recipient, Person)
        return {"UTC": 0.0, "Asia/Tokyo": 3600.0, "America/Lima": 60.0}[recipient.zone]


def test_rows_with_a_closed_window_are_deferred_until_it_opens():
    interleaving: Interleaving[str, Person] = Interleaving(windows=Night())
    people = [Person("a@b.example", "Asia/Tokyo"), Person("c@d.example"), Person("e@f.example", "America/Lima")]
    interleaving.feed("one", iter(people))
    assert [person.address for _, person in drain(interleaving, 100.0)] == ["c@d.example"]
    assert interleaving.put_off == {"one": 160.0}


@given(domains=st.lists(st.sampled_from(["a.example", "B.example", "b.example", "c.example"]), min_size=1, max_size=80))
def test_spreading_keeps_every_row_and_bounds_each_domains_share(domains: list[str]):
    frame = pl.DataFrame({"row": range(len(domains)), "address": [f"p{i}@{d}" for i, d in enumerate(domains)]})
    spread = spread_domains(frame)
    assert sorted(spread["row"]) == list(range(len(domains)))
    order = [address.rpartition("@")[2].lower() for address in spread["address"]]
    for domain, count in Counter(order).items():
        for begin in range(0, len(order) - 9, 5):
            here = order[begin : begin + 10].count(domain)
            assert here <= 10 * count / len(order) + 3


def test_plan_sorted_by_domain_is_sent_interleaved():
    addresses = [f"p{i}@gmail.com" for i in range(50)] + [f"p{i}@yahoo.com" for i in range(50)]
    order = [a.rpartition("@")[2] for a in spread_domains(pl.DataFrame({"address": addresses}))["address"]]
    longest = max(len(run) for run in "".join("g" if d == "gmail.com" else " " for d in order).split())
    assert longest <= 2
