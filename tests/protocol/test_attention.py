"""What documents say of chimes, beds and aiming: bounded, consistent, and absent where nothing is said."""

from __future__ import annotations

import cbor2
import pytest

from protocol.attention import AIMING_DELAY_US_MAX, CHIME_MS_MAX
from protocol.codec import cbor_decode, cbor_encode
from protocol.errors import Refusal
from protocol.messages import AnyDocument, Over
from tests.support.issuer import Issuer
from tests.support.messages import T0_MS, emergency, occurrence, plan, stream_start

NEW = {"chime_ms", "over", "aiming_delay_us", "emergency_aiming_delay_us"}


def test_what_says_nothing_of_it_is_read_by_nodes_of_an_earlier_version() -> None:
    for document in (emergency("xa"), stream_start("xa"), Issuer(T0_MS).assignment()):
        assert not NEW & set(cbor2.loads(cbor_encode(document)))
    [item] = cbor2.loads(cbor_encode(plan("xa", occurrence("a", T0_MS))))["occurrences"]
    assert not NEW & set(item)


def test_what_is_said_comes_back() -> None:
    start = stream_start("xa", chime_ms=2_000, over=Over.DUCK)
    assert cbor_decode(cbor_encode(start), AnyDocument) == start
    aimed = Issuer(T0_MS).assignment(aiming_delay_us=87_521, emergency_aiming_delay_us=AIMING_DELAY_US_MAX)
    assert cbor_decode(cbor_encode(aimed), AnyDocument) == aimed


@pytest.mark.parametrize(
    "change", [{"chime_ms": CHIME_MS_MAX + 1}, {"chime_ms": -1}, {"over": "shout"}, {"chime_ms": 2.5}]
)
def test_what_is_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    plain = cbor2.loads(cbor_encode(stream_start("xa")))
    with pytest.raises(Refusal, match="malformed"):
        cbor_decode(cbor2.dumps({**plain, **change}, canonical=True), AnyDocument)


@pytest.mark.parametrize("delay_us", [-1, AIMING_DELAY_US_MAX + 1])
def test_no_cluster_is_aimed_beyond_half_a_second(delay_us: int) -> None:
    plain = cbor2.loads(cbor_encode(Issuer(T0_MS).assignment()))
    for field in ("aiming_delay_us", "emergency_aiming_delay_us"):
        with pytest.raises(Refusal, match="malformed"):
            cbor_decode(cbor2.dumps({**plain, field: delay_us}, canonical=True), AnyDocument)


def test_a_chime_must_fit_what_it_announces() -> None:
    raised = emergency("xa")
    room_ms = raised.repeat_every_ms - raised.clip.duration_ms
    assert emergency("xa", chime_ms=room_ms).chime_ms == room_ms
    with pytest.raises(ValueError, match="must not overlap"):
        emergency("xa", chime_ms=room_ms + 1)
    start = stream_start("xa")
    with pytest.raises(ValueError, match="longer than its chime"):
        stream_start("xa", ends_at_ms=start.starts_at_ms + 1_000, chime_ms=1_000)
    with pytest.raises(ValueError, match="no time is left"):
        occurrence("a", T0_MS, duration_ms=2_000, chime_ms=2_000)
