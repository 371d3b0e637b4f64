"""Budgets, windows, deadlines, limits and concurrency, under a virtual clock."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.clock import START, ClockedStop, VirtualClock

from engine.account.quota import AccountQuota
from engine.campaign.spec import CampaignSpec, parse_spec
from engine.campaign.time_zones import find_zone
from engine.delivery.pacing.budgets import Allowance, Budget, Hours
from engine.delivery.pacing.concurrency import (
    FEWEST,
    FREE_TOGETHER,
    MOST,
    MOST_WHERE_LATE,
    Concurrency,
    LagMeter,
    Slots,
    find_most,
)
from engine.delivery.pacing.forecast import Opening, forecast_sending
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.other_senders import OtherSenders
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.pacing.rate_share import RateShare
from engine.delivery.pacing.window import Window, ZonedWindows, find_deadline
from engine.run.send.processes import LOOK_SECONDS, Load, WorkerProcesses, needs_worker
from engine.stopping.stop import Stop, StopCause, StopReason

BERLIN = ZoneInfo("Europe/Berlin")
ENDED = StopReason(StopCause.PAUSED, "used up", "later")
QUOTA = AccountQuota(100.0, 1_000.0, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")


def make_spec(delivery: str = "", *, tables: str = "") -> CampaignSpec:
    return parse_spec(
        'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n[audience]\nsource = "x.csv"\n'
        f'[content]\ntext = "t"\n[delivery]\n{delivery}\n{tables}',
        file="campaign.toml",
    )


async def test_a_budget_pauses_the_run_when_reading_it_again_shows_nothing_left(clock: VirtualClock):
    stop, read = ClockedStop(clock), []

    async def reread() -> None:
        read.append(clock.monotonic())

    budget = Budget("the quota", Allowance(3), reread, lambda: ENDED, stop, clock)
    gate = Gate(Pacer(100.0, clock.monotonic()), clock, stop, [budget])
    assert [await gate.admit(1) for _ in range(4)] == [True, True, True, False]
    assert stop.reason is ENDED
    assert len(read) == 1


async def test_gate_names_what_it_waits_for(clock: VirtualClock):
    async def reread() -> None:
        """Find nothing new."""

    stop, allowance = ClockedStop(clock), Allowance(1)
    hours = Hours(Window(time(9), time(10)), ZoneInfo("UTC"), None, pauses=False, stop=stop, clock=clock)
    budget = Budget("the quota", allowance, reread, None, stop, clock)
    gate = Gate(Pacer(100.0, clock.monotonic()), clock, stop, [budget])
    assert gate.find_wait() is None
    allowance.left = 0.0
    assert gate.find_wait() == "the quota"
    allowance.left = None
    await gate.release_share()
    assert gate.find_wait() == "other workers or windows"
    clock.advance((START.replace(hour=11) - START).total_seconds() % 86_400)
    assert Gate(Pacer(100.0, clock.monotonic()), clock, stop, [hours]).find_wait() == "the sending window"


async def test_budget_opens_when_part_of_it_is_free_again(clock: VirtualClock):
    stop = ClockedStop(clock)
    budget: Budget

    async def reread() -> None:
        budget.allowance.left = 2.0 if clock.now() >= START + timedelta(hours=1) else 0.0

    budget = Budget("the quota", Allowance(1), reread, None, stop, clock)
    gate = Gate(Pacer(100.0, clock.monotonic()), clock, stop, [budget])
    assert await gate.admit(1)
    assert await gate.admit(1)
    assert timedelta(hours=1) <= clock.now() - START <= timedelta(hours=1, minutes=1)
    assert not stop.requested


async def test_tokens_of_unaccepted_recipients_are_returned(clock: VirtualClock):
    async def reread() -> None: ...

    budget = Budget("the quota", Allowance(1), reread, lambda: ENDED, ClockedStop(clock), clock)
    gate = Gate(Pacer(100.0, clock.monotonic()), clock, ClockedStop(clock), [budget])
    assert await gate.admit(1)
    gate.give_back(1)
    assert await gate.admit(1)
    assert gate.admitted == 1


async def test_calls_carry_at_most_half_a_second_and_what_is_left(clock: VirtualClock):
    async def reread() -> None: ...

    budget = Budget("the quota", Allowance(20), reread, None, ClockedStop(clock), clock)
    for rate, most in ((1.0, 1), (14.0, 7), (1_000.0, 20)):
        gate = Gate(Pacer(rate, clock.monotonic()), clock, ClockedStop(clock), [budget])
        assert gate.most_at_once(50, 0.5) == most
    assert Gate(Pacer(1_000.0, 0.0), clock, ClockedStop(clock)).most_at_once(50, 0.5) == 50


async def test_a_worker_that_joins_holds_until_the_others_have_seen_it(clock: VirtualClock):
    gate = Gate(Pacer(100.0, clock.monotonic()), clock, ClockedStop(clock))
    begin = clock.monotonic()
    gate.admission.hold(1.5)
    assert await gate.admit(1)
    assert clock.monotonic() - begin >= 1.5


WINDOWS = st.tuples(st.times(), st.times()).filter(lambda pair: pair[0] != pair[1])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(lambda naive: naive.replace(tzinfo=UTC))  # noqa: DTZ001 - made UTC


@given(pair=WINDOWS, zone=ZONES, now=MOMENTS)
def test_window_is_open_at_its_local_times_and_opens_within_a_day(pair: tuple[time, time], zone: str, now: datetime):
    window = Window(pair[0].replace(tzinfo=None), pair[1].replace(tzinfo=None))
    closed = window.seconds_closed(now, ZoneInfo(zone))
    assert 0.0 <= closed <= 25 * 3600
    local = now.astimezone(ZoneInfo(zone)).time()
    inside = (
        window.opens <= local < window.closes
        if window.opens < window.closes
        else local >= window.opens or local < window.closes
    )
    before, after = (now + timedelta(days=days) for days in (-1, 1))
    if before.astimezone(ZoneInfo(zone)).utcoffset() == after.astimezone(ZoneInfo(zone)).utcoffset():
        assert (closed == 0.0) is inside


def test_a_window_over_midnight_is_one_window():
    night = Window(time(22), time(6))
    assert night.seconds_closed(datetime(2026, 11, 24, 23, tzinfo=UTC), ZoneInfo("UTC")) == 0.0
    assert night.seconds_closed(datetime(2026, 11, 24, 5, 59, tzinfo=UTC), ZoneInfo("UTC")) == 0.0
    assert night.seconds_closed(datetime(2026, 11, 24, 6, tzinfo=UTC), ZoneInfo("UTC")) == 16 * 3600


def test_recipients_have_the_window_of_their_own_zone():
    windows = ZonedWindows(Window(time(9), time(20)))
    now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    assert windows.seconds_closed("UTC", now) == 0.0
    assert windows.seconds_closed("Asia/Tokyo", now) == 0.0
    assert windows.seconds_closed("America/New_York", now) == 5 * 3600
    assert windows.seconds_closed("America/New_York", now + timedelta(hours=5)) == 0.0
    assert windows.seconds_closed("Mars/Base", now) == 0.0
    assert find_zone("Mars/Base") is find_zone("") is find_zone(None) is find_zone("../etc/passwd") is None


async def test_window_waits_pauses_or_stops_at_the_deadline(clock: VirtualClock):
    window = Window(time(10, 30), time(20))
    stop = ClockedStop(clock)
    hours = Hours(window, ZoneInfo("UTC"), None, pauses=False, stop=stop, clock=clock)
    assert not hours.is_open(1)
    await hours.wait(1)
    assert clock.now() >= START + timedelta(hours=1, minutes=30)
    assert hours.is_open(1)
    clock.advance(10 * 3600)
    assert not hours.is_open(1)
    stop = ClockedStop(clock)
    await Hours(window, ZoneInfo("UTC"), None, pauses=True, stop=stop, clock=clock).wait(1)
    assert stop.reason is not None
    assert "opens at 2026-11-25 10:30 UTC" in stop.reason.text
    late = Hours(None, BERLIN, clock.now(), pauses=False, stop=ClockedStop(clock), clock=clock)
    assert not late.is_open(1)
    await late.wait(1)
    assert late.stop.reason is not None
    assert "not_after has passed" in late.stop.reason.text


NIGHT = 'from = "22:00"\nto = "06:00"\n'


@pytest.mark.parametrize(
    ("window", "launched", "expected"),
    [
        ("", "10:00", None),
        ('not_after = "12:00"', "10:00", "24 12:00"),
        ('not_after = "12:00"', "13:00", "24 12:00"),
        ('from = "09:00"\nto = "20:00"\nnot_after = "12:00"', "21:00", "24 12:00"),  # too late, and not for tomorrow
        ('not_after = "2026-12-24T18:00:00+02:00"', "10:00", "12-24 17:00"),
        (NIGHT + 'not_after = "05:00"', "10:00", "25 05:00"),
        (NIGHT + 'not_after = "05:00"', "23:00", "25 05:00"),
        (NIGHT + 'not_after = "05:00"', "04:00", "24 05:00"),
        (NIGHT + 'not_after = "05:00"', "05:30", "24 05:00"),
        (NIGHT + 'not_after = "23:30"', "10:00", "24 23:30"),
        (NIGHT + 'not_after = "23:30"', "00:30", "23 23:30"),
    ],
)
def test_deadline_is_a_moment_or_a_time_of_the_day_or_night_of_planning(
    window: str, launched: str, expected: str | None
):
    spec = make_spec(tables=f'[window]\ntimezone = "Europe/Berlin"\n{window}')
    begun = datetime.combine(START.date(), time.fromisoformat(launched), BERLIN)
    month = "" if expected is None or "-" in expected else "11-"
    moment = None if expected is None else datetime.fromisoformat(f"2026-{month}{expected}").replace(tzinfo=BERLIN)
    assert find_deadline(spec, planned_at=begun, now=begun) == moment
    assert find_deadline(spec, planned_at=begun, now=begun + timedelta(days=1)) == moment


def test_each_launch_of_a_warm_up_has_the_deadline_of_its_own_day():
    spec = make_spec(tables='[window]\nnot_after = "18:00"\n[warmup]\ncaps = [5]')
    for days in range(3):
        now = START + timedelta(days=days)
        assert find_deadline(spec, planned_at=START, now=now) == now.replace(hour=18, minute=0)


@given(pair=WINDOWS, not_after=st.times(), zone=ZONES, now=MOMENTS)
def test_deadline_comes_within_a_day_when_the_window_passes_midnight(
    pair: tuple[time, time], not_after: time, zone: str, now: datetime
):
    closes, opens = sorted((pair[0].replace(second=0, microsecond=0), pair[1].replace(second=0, microsecond=0)))
    not_after = not_after.replace(second=0, microsecond=0)
    if opens in (closes, not_after):
        return
    text = f'from = "{opens:%H:%M}"\nto = "{closes:%H:%M}"\ntimezone = "{zone}"\nnot_after = "{not_after:%H:%M}"'
    deadline = find_deadline(make_spec(tables=f"[window]\n{text}"), planned_at=now, now=now)
    assert deadline is not None
    begin, _ = Window(opens, closes).find_span(now, ZoneInfo(zone))
    assert begin.replace(tzinfo=None) < deadline.replace(tzinfo=None) < begin.replace(tzinfo=None) + timedelta(days=1)


def test_limit_is_the_least_of_share_and_max_rate_per_worker():
    told = {"": 100, "rate_share = 0.8": 80, "max_rate = 30": 30, "rate_share = 0.2\nmax_rate = 30": 20}
    for text, rate in told.items():
        limits = RateShare(QUOTA, make_spec(text), 0.0)
        assert limits.ceiling == rate
        limits.workers = 4
        assert limits.ceiling == rate / 4
        assert limits.left_24_hours == 250


def test_other_senders_are_noticed_by_two_readings_and_left_their_rate():
    limits = RateShare(QUOTA, make_spec(), 0.0)
    own = others = 0
    for step in range(1, 4):
        own, others = own + 30 * 60, others + 30 * 40  # we 60 a second, they 40
        quota = replace(QUOTA, max_24_hours=None, sent_24_hours=own + others)
        limits.update(quota, admitted=own, left=None, now=30.0 * step)
    assert limits.rate == pytest.approx(60.0)
    for step in range(4, 6):
        own += 30 * 60
        quota = replace(QUOTA, max_24_hours=None, sent_24_hours=own + others)
        limits.update(quota, admitted=own, left=None, now=30.0 * step)
    assert limits.rate == 100.0


def test_lagging_count_after_a_pause_is_not_counted_as_other_senders():
    others = OtherSenders()
    others.observe(sent_24_hours=0, own=0, now=0)
    others.observe(sent_24_hours=0, own=3_000, now=30)  # nothing is counted yet
    others.observe(sent_24_hours=3_000, own=3_000, now=60)  # we paused, and the count catches up
    assert others.rate == 0.0


@given(
    readings=st.lists(
        st.tuples(st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(1, 64)), max_size=3), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_changing_or_resting_workers_are_not_other_senders(
    readings: list[tuple[list[tuple[float, int]], bool]],
):
    limits = RateShare(replace(QUOTA, max_24_hours=None), make_spec(), 0.0)
    own = total = 0.0
    for number, (changes, is_released) in enumerate(readings, start=1):
        if limits.is_released is not is_released:
            (limits.release if is_released else limits.claim)()
        moments = sorted(changes)
        for begin, end, workers in zip(
            [0.0, *(at for at, _ in moments)],
            [*(at for at, _ in moments), 30.0],
            [limits.workers, *(workers for _, workers in moments)],
            strict=True,
        ):
            if workers != limits.workers:
                limits.share(workers)
            own += 0.0 if is_released else (end - begin) * QUOTA.max_send_rate / workers
            total += (end - begin) * QUOTA.max_send_rate
        told = replace(QUOTA, max_24_hours=None, sent_24_hours=total)
        limits.update(told, admitted=round(own), left=None, now=30.0 * number)
        assert limits.rate >= QUOTA.max_send_rate * 0.97  # counts are whole recipients: 64 of them in 30 s


def test_other_senders_are_noticed_beside_several_workers_too():
    limits = RateShare(replace(QUOTA, max_24_hours=None), make_spec(), 0.0)
    limits.share(3)
    for step in range(1, 5):
        told = replace(QUOTA, max_24_hours=None, sent_24_hours=30.0 * step * 100)  # 20 a second each, and 40 by others
        limits.update(told, admitted=30 * step * 20, left=None, now=30.0 * step)
    assert limits.rate == pytest.approx(60.0)


@given(
    max_rate=st.floats(1, 1_000),
    steps=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.booleans()), max_size=30),
)
def test_quota_is_never_overdrawn_when_counts_lag_and_others_send(max_rate: float, steps: list[tuple[int, int, bool]]):
    sent = counted = others = 0
    limits = RateShare(replace(QUOTA, max_send_rate=max_rate), make_spec(), 0.0)
    left: float = limits.left_24_hours or 0.0
    for number, (wish, by_others, catches_up) in enumerate(steps):
        now_sent = min(wish, int(left))
        sent, left = sent + now_sent, left - now_sent
        if catches_up or number % 4 == 3:  # SES's count lags, but not forever
            others += min(by_others, 1_000 - sent - others)
            counted = sent + others
        told = replace(QUOTA, max_send_rate=max_rate, sent_24_hours=float(counted))
        limits.update(told, admitted=sent, left=left, now=30.0 * (number + 1))
        left = limits.left_24_hours or 0.0
        assert sent + others <= 1_000
        assert left <= 1_000 - max(sent, counted)


def test_quota_older_than_24_hours_is_free_again():
    full = replace(QUOTA, sent_24_hours=1_000.0)
    limits = RateShare(full, make_spec(), 0.0)
    assert limits.left_24_hours == 0
    limits.update(replace(full, sent_24_hours=400.0), admitted=0, left=0.0, now=3_600.0)
    assert limits.left_24_hours == 600


def test_a_forecast_says_when_the_quota_ends_or_the_run():
    now = datetime(2026, 11, 24, 12, 33, 30, tzinfo=UTC)
    assert (
        forecast_sending(recipients=3_200_000, rate=200, left_24_hours=1_100_000, waits=False, now=now)
        == "3.2 M recipients, 1.1 M left today: pauses at about 14:05 UTC"
    )
    assert "waits from at about" in forecast_sending(recipients=9, rate=1, left_24_hours=3, waits=True, now=now)
    one = forecast_sending(recipients=1, rate=1, left_24_hours=None, waits=False, now=now)
    assert one == "1 recipient: done at about 12:33 UTC"
    assert "2026-11-25" in forecast_sending(recipients=86_400, rate=1, left_24_hours=None, waits=False, now=now)


@pytest.mark.parametrize(
    ("opening", "warmup_left", "said"),
    [
        (
            Opening(Window(time(2), time(4)), ZoneInfo("UTC")),
            None,
            "3,600 recipients: done at about 2026-11-25 03:00 UTC",
        ),
        (
            Opening(Window(time(12), time(13)), ZoneInfo("UTC")),
            None,
            "3,600 recipients: done at about 2026-11-25 12:33 UTC",
        ),
        (Opening(Window(time(13), time(15)), BERLIN), None, "3,600 recipients: done at about 13:33 UTC"),
        (
            Opening(Window(time(12), time(13)), ZoneInfo("UTC"), pauses=True),
            None,
            "3,600 recipients: pauses at about 13:00 UTC",
        ),
        (
            Opening(Window(time(2), time(4)), ZoneInfo("UTC"), pauses=True),
            None,
            "3,600 recipients: pauses at about 12:33 UTC",
        ),
        (Opening(), 1_800.0, "3,600 recipients, 1,800 of the warm-up left today: pauses at about 13:03 UTC"),
        (Opening(), 0.0, "3,600 recipients, 0 of the warm-up left today: pauses at about 12:33 UTC"),
        (Opening(), 4_000.0, "3,600 recipients, 4,000 of the warm-up left today: done at about 13:33 UTC"),
    ],
)
def test_forecast_follows_the_window_and_the_warm_up(opening: Opening, warmup_left: float | None, said: str):
    now = datetime(2026, 11, 24, 12, 33, tzinfo=UTC)
    told = forecast_sending(
        recipients=3_600,
        rate=1,
        left_24_hours=None,
        waits=False,
        now=now,
        warmup_left=warmup_left,
        opening=opening,
    )
    assert told == said


@given(
    latencies=st.lists(st.floats(0.0001, 30), min_size=1, max_size=60),
    rate=st.floats(0.1, 20_000),
    lag=st.floats(0, 1),
    most=st.integers(1, 2_000),
)
def test_concurrency_is_bounded_and_grows_by_twice_at_most(latencies: list[float], rate: float, lag: float, most: int):
    concurrency = Concurrency(most)
    for latency in latencies:
        concurrency.observe(latency)
        before = concurrency.target
        concurrency.adjust(calls_per_second=rate, lag_seconds=lag)
        assert 1 <= concurrency.target <= min(most, max(2 * before, FEWEST))


def test_concurrency_follows_littles_law_and_a_late_loop_gets_less():
    concurrency = Concurrency(MOST)
    for _ in range(200):
        concurrency.observe(0.04)
        concurrency.adjust(calls_per_second=1_000, lag_seconds=0.0)
    assert concurrency.target == pytest.approx(1_000 * 0.04 * 1.25 + FEWEST, abs=1)
    for _ in range(50):
        concurrency.adjust(calls_per_second=20_000, lag_seconds=0.0)
    assert concurrency.target == pytest.approx(20_000 * 0.04 * 1.25 + FEWEST, abs=1)
    for _ in range(50):
        concurrency.adjust(calls_per_second=20_000, lag_seconds=0.05)
    assert concurrency.target == MOST_WHERE_LATE


def test_large_messages_are_bounded_by_memory_and_few_files_by_sockets():
    concurrency = Concurrency(MOST)
    for _ in range(200):
        concurrency.observe(10.0)
        concurrency.weigh(4 * 1024 * 1024)
        concurrency.adjust(calls_per_second=1_000, lag_seconds=0.0)
    assert concurrency.target <= 5
    assert (find_most(256), find_most(1_000_000), find_most(10)) == (96, MOST, 1)


async def test_slots_are_taken_up_to_the_target():
    slots = Slots(Concurrency(2))
    await slots.acquire()
    await slots.acquire()
    waiting = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.release()
    await waiting
    assert slots.used == 2


async def test_full_slots_are_taken_again_when_a_part_of_them_is_free():
    concurrency = Concurrency(64)
    concurrency.target = 64
    slots = Slots(concurrency)
    while slots.take():
        pass
    assert slots.used == 64
    waiting = asyncio.create_task(slots.acquire())
    for _ in range(64 // FREE_TOGETHER):
        await asyncio.sleep(0)
        assert not waiting.done()
        slots.release()
    await waiting
    assert slots.used == 64 - 64 // FREE_TOGETHER + 1


def test_lag_meter_returns_the_99th_percentile():
    meter = LagMeter()
    assert meter.p99_seconds == meter.recent_seconds == 0.0
    for number in range(1, 101):
        meter.add(number / 1000)
    assert meter.p99_seconds == pytest.approx(0.1)
    assert meter.recent_seconds == pytest.approx(0.0955)


@pytest.mark.parametrize(
    ("load", "running", "work_left", "needed"),
    [
        (Load(0.95, 0.5), 1, True, True),
        (Load(0.95, 0.99), 1, True, False),  # the rate is used
        (Load(0.3, 0.5), 1, True, False),  # it waits for SES, not for the processor
        (Load(0.95, 0.5), 2, True, False),  # every core has its process
        (Load(0.95, 0.5), 1, False, False),
    ],
)
def test_another_process_is_started_only_where_one_is_not_enough(
    load: Load, running: int, *, work_left: bool, needed: bool
):
    assert needs_worker(load, running=running, cores=2, work_left=work_left) is needed


class FakeProcess:
    pid = 1

    async def wait(self) -> int:
        return 0

    def stop(self, reason: str, *, at_once: bool = False) -> None: ...


@pytest.mark.parametrize(("wanted", "busy", "started"), [(None, 0.95, 1), (None, 0.3, 0), (1, 0.95, 0)])
async def test_busy_process_starts_another_when_their_number_is_open(
    monkeypatch: pytest.MonkeyPatch, wanted: int | None, busy: float, started: int
):
    clock, cpu, made = VirtualClock(), 100.0, list[FakeProcess]()
    monkeypatch.setattr("time.process_time", lambda: cpu)
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    def start() -> FakeProcess:
        made.append(FakeProcess())
        return made[-1]

    async with WorkerProcesses(start, wanted, Stop(), clock) as processes:
        processes.add_if_needed(admitted=0, rate=1_000.0, work_left=True)
        assert not made, "too early to tell"
        clock.advance(LOOK_SECONDS)
        cpu += busy * LOOK_SECONDS
        processes.add_if_needed(admitted=int(500 * LOOK_SECONDS), rate=1_000.0, work_left=True)
        assert len(made) == started


async def test_worker_with_a_stale_heartbeat_admits_nothing_until_the_next():
    clock = VirtualClock()
    stop = ClockedStop(clock)
    gate = Gate(Pacer(100.0, clock.monotonic()), clock, stop)
    gate.admission.renew_share(clock.monotonic(), clock.now().timestamp(), hold_seconds=1.5)
    assert await gate.admit(1)
    clock.advance(25.0)  # all workers were suspended
    woken = clock.monotonic()
    waiting = asyncio.create_task(gate.admit(1))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    beaten = clock.monotonic()
    gate.admission.renew_share(beaten, clock.now().timestamp(), hold_seconds=1.5)
    assert await waiting
    assert clock.monotonic() >= beaten + 1.5 > woken


async def test_accumulated_calls_are_handed_over_at_the_rate():
    clock = VirtualClock()
    gate = Gate(Pacer(100.0, clock.monotonic()), clock, ClockedStop(clock))
    begun = clock.monotonic()
    await asyncio.gather(*(gate.hand_over(1) for _ in range(300)))
    assert clock.monotonic() - begun >= 1.8


NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("day", "window", "begin", "end"),
    [
        ("2026-03-08", "01:30-02:30", "01:30-05:00", "03:00-04:00"),  # clocks go from 02:00 to 03:00
        ("2026-03-08", "02:30-03:30", "03:00-04:00", "03:30-04:00"),
        ("2026-03-08", "02:10-02:50", "02:10-04:00+1", "02:50-04:00+1"),  # no window on that day
        ("2026-11-01", "00:30-01:30", "00:30-04:00", "01:30-04:00"),  # from 02:00 to 01:00: the first 01:30
        ("2026-11-01", "01:30-03:00", "01:30-04:00", "03:00-05:00"),
    ],
)
def test_a_window_begins_and_ends_where_clocks_change(day: str, window: str, begin: str, end: str):
    opens, closes = (time.fromisoformat(one) for one in window.split("-"))
    found = Window(opens, closes).find_span(datetime.fromisoformat(f"{day}T00:10-05:00"), NEW_YORK)
    wanted = [one.partition("+") for one in (begin, end)]
    moments = [datetime.fromisoformat(f"{day}T{one}") + timedelta(days=int(days or 0)) for one, _, days in wanted]
    assert [moment.astimezone(UTC) for moment in found] == [moment.astimezone(UTC) for moment in moments]


def test_a_day_that_a_zone_skips_has_no_window():
    """Samoa had no 30 December 2011."""
    now = datetime(2011, 12, 29, 22, tzinfo=ZoneInfo("Pacific/Apia"))
    begin, _ = Window(time(9), time(20)).find_span(now, ZoneInfo("Pacific/Apia"))
    assert f"{begin:%Y-%m-%d %H:%M}" == "2011-12-31 09:00"
