"""A worker's pace samples."""

from support.clock import START, VirtualClock

from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.concurrency import Concurrency, Slots
from engine.delivery.pacing.pace_sampler import PaceSampler
from engine.delivery.pacing.pacer import Pacer


def make_sampler() -> PaceSampler:
    clock = VirtualClock()
    pacer = Pacer(10.0, clock.monotonic(), jitter=0.5)
    slots = Slots(Concurrency(8))
    return PaceSampler(worker="w", admission=Admission(clock), pacer=pacer, slots=slots, begun=0.0)


def test_sampler_takes_one_sample_a_minute():
    sampler = make_sampler()
    sampler.admission.admitted = 500
    taken = [sampler.take(START, float(second)) for second in range(1, 121)]
    samples = [sample for sample in taken if sample is not None]
    assert [(sample.seconds, sample.handed_over) for sample in samples] == [(60.0, 500), (60.0, 0)]


def test_sampler_never_counts_less_than_nothing():
    """Recipients that were given back are counted when they are handed over again, not before."""
    sampler, counted = make_sampler(), []
    for admitted in (100, 90, 95, 130):
        sampler.admission.admitted = admitted
        sample = sampler.take(START, sampler.begun + 60)
        counted.append(sample.handed_over if sample else None)
    assert counted == [100, 0, 0, 30]


def test_last_sample_is_shorter_and_only_where_something_happened():
    sampler = make_sampler()
    assert sampler.take(START, 3.0, is_last=True) is None
    sampler.admission.admitted = 7
    sample = sampler.take(START, 3.0, is_last=True)
    assert sample is not None
    assert (sample.seconds, sample.handed_over) == (3.0, 7)
