"""Samples, nanoseconds and clocks: conversions lose nothing that can be heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.units import (
    MonotonicNs,
    Now,
    SharedMs,
    SharedNs,
    SharedSample,
    TimeSource,
    ns_of_ms,
    sample_of_shared_ms,
    sample_of_shared_ns,
    shared_ns_of_sample,
)

samples = st.integers(0, 2**56).map(SharedSample)
instants_ns = st.integers(0, 2**62).map(SharedNs)


@given(samples)
def test_a_sample_comes_back(sample: SharedSample) -> None:
    assert sample_of_shared_ns(shared_ns_of_sample(sample)) == sample


@given(instants_ns)
def test_the_sample_that_sounds_began_at_or_before_and_the_next_begins_after(instant_ns: SharedNs) -> None:
    sample = sample_of_shared_ns(instant_ns)
    assert shared_ns_of_sample(sample) <= instant_ns < shared_ns_of_sample(SharedSample(sample + 1))


@given(st.integers(0, 2**50).map(SharedMs))
def test_a_millisecond_is_forty_eight_samples(instant_ms: SharedMs) -> None:
    assert sample_of_shared_ms(instant_ms) == sample_of_shared_ns(ns_of_ms(instant_ms)) == instant_ms * 48


@given(st.integers(0, 2**62), instants_ns, instants_ns)
def test_the_clocks_of_one_reading_convert_both_ways(monotonic: int, shared: SharedNs, target: SharedNs) -> None:
    now = Now(monotonic_ns=MonotonicNs(monotonic), shared_ns=shared)
    assert now.shared_at(now.monotonic_at(target)) == target
    assert now.monotonic_at(now.shared_ns) == now.monotonic_ns
    assert now.shared_ms == shared // 1_000_000


def test_unknown_time_says_so() -> None:
    known = Now(monotonic_ns=MonotonicNs(0), shared_ns=SharedNs(0))
    unknown = Now(monotonic_ns=MonotonicNs(0), shared_ns=SharedNs(0), source=TimeSource.UNKNOWN)
    assert known.is_time_known
    assert not unknown.is_time_known
