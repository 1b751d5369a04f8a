"""A plan's body gives back every occurrence that went into it, is small, and is bounded by what is signed."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import cbor_decode_plain, cbor_encode
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.messages import BroadcastClass, MediaReference, Occurrence
from protocol.plan import BODY_OCCURRENCES_MAX, PLAN_BODY_BYTES_MAX
from protocol.plan_body import decode_body, encode_body, filled, relays_in
from tests.support.messages import MINUTE_MS, T0_MS, occurrence, occurrences, plan

DAY_MS = 24 * 60 * MINUTE_MS
ITEMS, DAYS, PROGRAMMES = 4, 8, 20


def by_begin(found: list[Occurrence]) -> tuple[Occurrence, ...]:
    return tuple(sorted(found, key=lambda each: (each.start_at_ms, each.id)))


def clip(number: int) -> MediaReference:
    return MediaReference(sha256=hashlib.sha256(b"%d" % number).hexdigest(), size_bytes=480_000, duration_ms=60_000)


def week_of_a_commune() -> list[Occurrence]:
    """20 programmes of four items on each of eight days."""
    return [
        occurrence(
            f"ban-tin-{programme:02}.202701{15 + day:02}T0500.{item}",
            T0_MS + day * DAY_MS + programme * 30 * MINUTE_MS + item * MINUTE_MS,
            title=f"Chương trình phát thanh xã Bình Minh, mục {programme}.{item}",
            programme=f"ban-tin-{programme:02}",
            media=clip(programme * ITEMS + item),
        )
        for programme in range(PROGRAMMES)
        for day in range(DAYS)
        for item in range(ITEMS)
    ]


@given(found=st.lists(occurrences, min_size=1, max_size=12, unique_by=lambda each: each.id))
def test_what_went_in_comes_out(found: list[Occurrence]) -> None:
    reference, data = encode_body(found)
    assert decode_body(data) == by_begin(found)
    assert relays_in(data) == tuple(each for each in by_begin(found) if each.feed is not None)
    assert reference.size_bytes == len(data)
    assert reference.sha256 == hashlib.sha256(data).hexdigest()
    assert encode_body(found[::-1]) == (reference, data)


@given(
    starts=st.lists(st.integers(0, 10), min_size=1, max_size=20),
    durations=st.lists(st.sampled_from([1, 2, 3]), min_size=20, max_size=20),
    numbers=st.lists(st.sampled_from(["0", "1", "2", "3", "07", "x", "1000000"]), min_size=20, max_size=20),
)
def test_gaps_overlaps_and_strange_numbers_come_out_too(
    starts: list[int], durations: list[int], numbers: list[str]
) -> None:
    made = {
        f"morning.20270115T0500.{number}": occurrence(f"morning.20270115T0500.{number}", T0_MS + start, duration)
        for start, duration, number in zip(starts, durations, numbers, strict=False)
    }
    assert decode_body(encode_body(list(made.values()))[1]) == by_begin(list(made.values()))


def test_a_communes_week_is_small() -> None:
    found = week_of_a_commune()
    reference, data = encode_body(found)
    assert len(found) == PROGRAMMES * DAYS * ITEMS
    assert reference.size_bytes < 20_000
    assert len(data) * 4 < sum(len(cbor_encode(each)) for each in found)
    assert decode_body(data) == by_begin(found)


def test_every_field_of_an_occurrence_travels() -> None:
    whole = occurrence(
        "a.b.0",
        T0_MS,
        programme="a",
        broadcast_class=BroadcastClass.PRIORITY,
        chime_ms=2_500,
        before_upper=True,
        valid_until_ms=T0_MS + DAY_MS,
    )
    found = decode_body(encode_body([whole])[1])[0]
    for field in msgspec.structs.fields(Occurrence):
        assert getattr(found, field.name) == getattr(whole, field.name)


def test_too_many_occurrences_are_refused_by_both_sides() -> None:
    same = [occurrence(f"a.b.{number}", T0_MS + number) for number in range(BODY_OCCURRENCES_MAX + 1)]
    with pytest.raises(LocalProtocolError, match="4097 occurrences"):
        encode_body(same)
    with pytest.raises(LocalProtocolError, match="0 occurrences"):
        encode_body([])
    plain = cbor_decode_plain(encode_body(same[:64])[1], bytes_max=PLAN_BODY_BYTES_MAX)
    plain[4].extend([[0, f"w{number}", 0, 0, [0] * 64] for number in range(64)])
    with pytest.raises(Refusal, match="at most 4096"):
        decode_body(cbor_encode(plain))


def test_a_body_that_is_too_large_is_not_made_and_not_read() -> None:
    long = [occurrence(f"a.b.{number}", T0_MS + number, title=f"{number:0200}") for number in range(2_000)]
    with pytest.raises(LocalProtocolError, match="at most 131072"):
        encode_body(long)
    with pytest.raises(Refusal) as caught:
        decode_body(bytes(PLAN_BODY_BYTES_MAX + 1))
    assert caught.value.reason is RefusalReason.TOO_LARGE


def test_what_points_beyond_the_tables_is_malformed() -> None:
    plain = cbor_decode_plain(encode_body([occurrence("morning.x.0", T0_MS)])[1])
    for broken in (
        [*plain[:4], [[0, "x", 0, 0, [1]]], []],
        [*plain[:4], [[1, "x", 0, 0, [0]]], []],
        [*plain[:4], [[0, "x y", 0, 0, [0]]], []],
        [*plain[:4], [[0, "x", 0, 0, [0]], [0, "x", 0, 0, [0]]], []],
        [2, *plain[1:]],
    ):
        with pytest.raises(Refusal):
            decode_body(cbor_encode(broken))


def test_a_body_counts_only_within_what_is_signed() -> None:
    own = [occurrence("a.b.0", T0_MS), occurrence("a.b.1", T0_MS + MINUTE_MS)]
    reference, data = encode_body(own)
    signed = plan("xa", body=reference)
    assert filled(signed, data, decode_body(data)).occurrences == tuple(own)
    for lie, complaint in (
        ({"sha256": "0" * 64}, "another hash"),
        ({"size_bytes": reference.size_bytes + 1}, "larger"),
        ({"occurrences": 1}, "larger"),
        ({"classes": (BroadcastClass.PRIORITY,)}, "class"),
        ({"ends_at_ms": reference.ends_at_ms - 1}, "longer"),
    ):
        lying = plan("xa", body=msgspec.structs.replace(reference, **lie))
        with pytest.raises(Refusal, match=complaint):
            filled(lying, data, decode_body(data))
    with pytest.raises(Refusal, match="hash"):
        filled(plan("xa"), data, decode_body(data))


def test_what_a_plan_lets_sound_is_seen_without_its_body() -> None:
    later = occurrence("a.b.0", T0_MS + DAY_MS, broadcast_class=BroadcastClass.PRIORITY)
    reference, _ = encode_body([later])
    signed = plan("xa", body=reference)
    assert signed.latest_ms == T0_MS + DAY_MS + MINUTE_MS
    assert signed.classes == {BroadcastClass.ROUTINE, BroadcastClass.PRIORITY}
    assert plan("xa", later).latest_ms == signed.latest_ms
    assert plan("xa", later).classes == signed.classes
    assert plan("xa").latest_ms == 0
