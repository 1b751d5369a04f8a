"""CBOR and JSON: what we write comes back; whatever else arrives is a refusal, quickly, and nothing else."""

from __future__ import annotations

import json
import time

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import (
    DEPTH_MAX,
    TAGS_ALLOWED,
    cbor_decode,
    cbor_decode_plain,
    cbor_encode,
    cbor_encode_checked,
    json_decode,
    json_encode,
    require_sendable,
)
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.messages import DOCUMENT_BYTES_MAX, AnyDocument, NodeState, Plan, Readiness, Report, Telemetry
from tests.support.messages import T0_MS, documents, emergency, occurrence, plan, reports

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


def is_refused(data: bytes, reason: RefusalReason = RefusalReason.MALFORMED) -> bool:
    with pytest.raises(Refusal) as caught:
        cbor_decode_plain(data)
    return caught.value.reason is reason


@given(documents)
def test_every_document_comes_back_as_it_was(document: AnyDocument) -> None:
    data = cbor_encode(document)
    assert cbor_decode(data, AnyDocument) == document
    assert cbor_encode_checked(document) == data


@given(reports)
def test_every_report_comes_back_as_it_was(report: Report) -> None:
    assert cbor_decode(cbor_encode(report), Report) == report


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_refusal(data: bytes) -> None:
    for decode in (
        lambda: cbor_decode(data, AnyDocument),
        lambda: cbor_decode(data, Report),
        lambda: cbor_decode_plain(data),
        lambda: json_decode(data, Telemetry),
        lambda: json_decode(data, NodeState),
    ):
        try:
            decode()
        except Refusal as refusal:
            assert refusal.reason in {RefusalReason.MALFORMED, RefusalReason.TOO_LARGE}


@given(documents, st.data())
def test_a_damaged_document_is_a_value_or_a_refusal(document: AnyDocument, data: st.DataObject) -> None:
    damaged = bytearray(cbor_encode(document))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = cbor_decode(bytes(damaged), AnyDocument)
    except Refusal:
        return
    assert cbor_encode(decoded)


@given(json_values)
def test_any_json_is_a_status_or_a_refusal(value: object) -> None:
    for kind in (Telemetry, NodeState):
        try:
            json_decode(json.dumps(value).encode(), kind)
        except Refusal as refusal:
            assert refusal.reason is RefusalReason.MALFORMED


@given(json_values)
def test_plain_values_come_back_or_are_refused_but_never_changed(value: object) -> None:
    data = cbor2.dumps(value, canonical=True)
    try:
        assert repr(cbor_decode_plain(data)) == repr(cbor2.loads(data)), "by their text, for NaN is not itself"
    except Refusal as refusal:
        assert refusal.reason is RefusalReason.MALFORMED


def test_every_tag_but_the_two_of_cose_is_refused() -> None:
    for tag in [*range(300), 1004, 43000, 55799, 65535, 2**32, 2**63]:
        data = cbor2.dumps(cbor2.CBORTag(tag, [b"", {}, b"", b""]), canonical=True)
        if tag in TAGS_ALLOWED:
            assert isinstance(cbor_decode_plain(data), cbor2.CBORTag)
        else:
            assert is_refused(data), tag


def test_a_tag_inside_is_refused() -> None:
    assert is_refused(cbor2.dumps([cbor2.CBORTag(18, [b"", {}, b"", b""])], canonical=True))
    assert is_refused(bytes.fromhex("d2d280")), "a tag in a tag"


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xc4\x82\x1a\x3b\x9a\xca\x00\x01",  # 10 to the power of a billion
        b"\xc5\x82\x1a\x3b\x9a\xca\x00\x01",  # 2 to the power of a billion
        b"\xd8\x23\x74(a+)+(b+)+(c+)+(d+)+$",  # a pattern that backtracks
        b"\xd8\x1c\x82\x01\xd8\x1d\x00",  # a list that contains itself
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",  # an array of 2**63 items
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",  # a string of 2**63 bytes
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * (DOCUMENT_BYTES_MAX - 1) + b"\x00",  # sixteen thousand lists in each other
        b"\x9f" * 1000,
        b"\xa1" * 1000,
        b"\x9f\xff",  # indefinite length
        b"\xbf\xff",
        b"\x5f\xff",
        b"\xf7",  # undefined
        b"\xe0",  # a simple value that nobody uses
        b"\x1c",
        b"\x18\x05",  # a number in a longer form than it needs
        b"\xa2\x61a\x01\x61a\x02",  # a key twice
        b"\xa2\x61b\x01\x61a\x02",  # keys out of order
        b"\xa1\x80\x01",  # a list as a key
        b"\xa1\x39\x01\x00\x01",
        b"\x61\xff",  # text that is not UTF-8
        b"\x00\x00",
        b"",
    ],
)
def test_hostile_cbor_is_refused_quickly(bomb: bytes) -> None:
    before_s = time.process_time()
    assert is_refused(bomb)
    assert time.process_time() - before_s < 0.25


def test_nesting_is_bounded() -> None:
    assert cbor_decode_plain(b"\x81" * (DEPTH_MAX - 2) + b"\x00")
    assert is_refused(b"\x81" * (DEPTH_MAX + 1) + b"\x00")


def test_size_is_looked_at_first() -> None:
    assert is_refused(bytes(DOCUMENT_BYTES_MAX + 1), RefusalReason.TOO_LARGE)
    with pytest.raises(Refusal, match="too_large"):
        json_decode(b" " * (DOCUMENT_BYTES_MAX + 1), NodeState)
    assert require_sendable(bytes(DOCUMENT_BYTES_MAX))
    with pytest.raises(LocalProtocolError, match="exceeds the bound"):
        require_sendable(bytes(DOCUMENT_BYTES_MAX + 1))


def test_an_unknown_key_of_a_document_is_refused_with_its_path() -> None:
    plain = cbor2.loads(cbor_encode(plan("xa", occurrence("a", T0_MS))))
    plain["occurrences"][0]["volume"] = 11
    with pytest.raises(Refusal, match=r"volume.*occurrences"):
        cbor_decode(cbor2.dumps(plain, canonical=True), AnyDocument)


def test_an_unknown_key_of_a_status_is_ignored() -> None:
    data = b'{"node":"N001","state":"ready","session_epoch":1,"battery":"full"}'
    assert json_decode(data, NodeState) == NodeState(node="N001", state=Readiness.READY, session_epoch=1)


def test_types_are_not_guessed() -> None:
    plain = cbor2.loads(cbor_encode(plan("xa")))
    for change in (
        {"counter": "1"},
        {"counter": 1.5},
        {"counter": -1},
        {"counter": 2**63},
        {"area": b"xa"},
        {"id": "a/b"},
    ):
        with pytest.raises(Refusal, match="malformed"):
            cbor_decode(cbor2.dumps({**plain, **change}, canonical=True), AnyDocument)


@pytest.mark.parametrize(
    "change",
    [
        {"gain_db": float("nan")},
        {"gain_db": float("inf")},
        {"gain_db": 25.0},
        {"quiet_hours": {"begin_minute": 60, "end_minute": 60}},
        {"areas": []},
        {"herd_window_s": 601},
    ],
)
def test_an_assignment_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    plain: dict[str, object] = {
        "type": "assignment",
        "id": "a",
        "issuer": "c",
        "audience": "node:N001",
        "counter": 1,
        "not_before_ms": 0,
        "expires_at_ms": 1,
        "node": "N001",
        "title": "",
        "areas": ["xa"],
    }
    assert cbor_decode(cbor2.dumps(plain, canonical=True), AnyDocument)
    with pytest.raises(Refusal, match="malformed"):
        cbor_decode(cbor2.dumps({**plain, **change}, canonical=True), AnyDocument)


@pytest.mark.parametrize("change", [{"repeat_every_ms": 4_999}, {"sounds_until_ms": T0_MS}])
def test_an_emergency_that_overlaps_itself_or_has_no_end_is_refused(change: dict[str, object]) -> None:
    plain = cbor2.loads(cbor_encode(emergency("xa")))
    with pytest.raises(Refusal, match="malformed"):
        cbor_decode(cbor2.dumps({**plain, **change}, canonical=True), AnyDocument)
    with pytest.raises(ValueError, match="must"):
        emergency("xa", **change)


def test_what_no_peer_would_take_is_not_encoded() -> None:
    with pytest.raises(LocalProtocolError, match=r"Plan cannot be sent.*area"):
        cbor_encode_checked(plan("Xã Bình Minh"))


def test_json_is_what_a_technician_reads() -> None:
    state = NodeState(node="N001", state=Readiness.LOST, session_epoch=7)
    empty = {"version": "", "box": "", "boot": ""}
    assert json.loads(json_encode(state)) == {"node": "N001", "state": "lost", "session_epoch": 7, **empty}


def test_a_plan_of_full_size_is_decoded_in_time() -> None:
    items = tuple(occurrence(f"item-{number}", T0_MS + number, media=None, feed="vov1") for number in range(110))
    data = cbor_encode(plan("xa", *items))
    assert DOCUMENT_BYTES_MAX * 0.8 < len(data) <= DOCUMENT_BYTES_MAX
    before_s = time.process_time()
    decoded: Plan = cbor_decode(data, AnyDocument)
    assert len(decoded.occurrences) == 110
    assert time.process_time() - before_s < 0.5
