"""Each decoder of outside bytes: never another error than the declared ones, in bounded time and memory.

Bytes from nowhere, and real messages with some bytes changed, cut out or put in twice. The same targets run for as
long as one likes under `./scripts/test --fuzz SECONDS`.
"""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.table import TARGETS
from tests.fuzz.target import BYTES_MAX, Target

CALL_S_MAX = 1.0
"""Processor time of one call; the slowest, an agent that is made anew, takes a hundredth."""
MEMORY_BYTES_MAX = 32 * 1024 * 1024
SLOW = frozenset({"agent", "replay", "scenario"})


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A real message with some of its bytes changed, cut out, or put in twice."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case _:
                data[at:at] = draw(st.binary(max_size=20))
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_is_real_is_taken_or_at_least_declared(target: Target) -> None:
    for seed in target.seeds():
        target.run(seed)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_any_bytes_raise_what_is_declared_and_nothing_else(target: Target) -> None:
    seeds = list(target.seeds())
    bytes_of = st.binary(max_size=300) | damaged(seeds) if seeds else st.binary(max_size=300)

    @settings(max_examples=15 if target.name in SLOW else 60, suppress_health_check=list(HealthCheck))
    @given(bytes_of)
    def tried(data: bytes) -> None:
        began_s = time.process_time()
        target.run(data)
        assert time.process_time() - began_s < CALL_S_MAX

    tried()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_is_large_or_deep_is_bounded(target: Target) -> None:
    target.run(b"")
    monsters = [
        b"\xff" * BYTES_MAX,
        bytes(BYTES_MAX),
        b"[" * BYTES_MAX,
        b"\x81" * BYTES_MAX,
        b"\x9b\xff" + b"\xff" * 8,
        b"\x5b" + b"\x7f" * 8,
        b"{" * BYTES_MAX,
        b"- " * (BYTES_MAX // 2),
        b"? " * (BYTES_MAX // 2),
        b"a: &a [" + b"*a," * 2_000 + b"]",
        b'{"a":' * 4_000,
    ]
    tracemalloc.start()
    try:
        for monster in monsters:
            began_s = time.process_time()
            target.run(monster)
            assert time.process_time() - began_s < 5 * CALL_S_MAX, monster[:20]  # tracing costs most of it
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()
