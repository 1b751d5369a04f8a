"""Records as other versions of the program read them: fields may come, none may have to be there."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from protocol.codec import cbor_decode, cbor_encode, cbor_encode_checked
from protocol.errors import LocalProtocolError, Refusal
from protocol.messages import (
    AiringRecord,
    AiringState,
    BroadcastClass,
    FaultRecord,
    Heard,
    HeardBy,
    Reality,
    Report,
    SelfTestRecord,
    SelfTestVerdict,
    SourceKind,
)
from tests.support.messages import T0_MS, reports

BARE = AiringRecord(
    airing="a:1",
    source=SourceKind.MEDIA,
    source_id="a",
    title="Bản tin",
    broadcast_class=BroadcastClass.ROUTINE,
    reality=Reality.REAL,
    state=AiringState.FINISHED,
    at_ms=T0_MS,
    reason="finished",
)


class FirstAiring(msgspec.Struct, frozen=True, kw_only=True, tag="airing", tag_field="kind"):
    """An airing as a controller of the first version knew it, were it told to pass over what it does not know."""

    airing: str
    source: SourceKind
    source_id: str
    title: str
    broadcast_class: BroadcastClass
    reality: Reality
    state: AiringState
    at_ms: int
    reason: str
    audible_ms: int = 0
    level_dbfs: float | None = None
    clock_error_ms: float = 0.0


def test_a_record_of_the_first_version_is_read() -> None:
    """It has none of what came later, and all that it has is kept."""
    first = FirstAiring(**{name: getattr(BARE, name) for name in FirstAiring.__struct_fields__})
    assert cbor_decode(cbor_encode(first), AiringRecord) == BARE


def test_a_later_record_is_read_by_whoever_knows_less() -> None:
    """Keys from a later version are passed over, in the record, in what it holds and around it."""
    proved = msgspec.structs.replace(BARE, heard=Heard(by=HeardBy.TAP, is_heard=True), samples=48_000)
    plain = msgspec.to_builtins(Report(node="N001", number=1, previous_sha256=bytes(32), record=proved), str_keys=True)
    plain["previous_sha256"] = bytes(32)
    plain["from_the_future"] = plain["record"]["mood"] = plain["record"]["heard"]["by_whom"] = "x"
    assert cbor_decode(cbor_encode(plain), Report).record == proved
    assert cbor_decode(cbor_encode(proved), FirstAiring).airing == "a:1"


def test_what_stands_at_its_default_takes_no_room() -> None:
    """A bare record is no larger than what must be said."""
    known = set(msgspec.to_builtins(BARE))
    assert known == {
        "kind", "airing", "source", "source_id", "title", "broadcast_class", "reality", "state", "at_ms", "reason",
    }  # fmt: skip


@given(report=reports)
def test_every_report_comes_back_as_it_was(report: Report) -> None:
    """Whatever a node puts on record, its bytes say the same."""
    assert cbor_decode(cbor_encode_checked(report), Report) == report


@pytest.mark.parametrize(
    "bad",
    [
        {"digest": "md5:1"},
        {"samples": -1},
        {"area": "Không phải mã"},
        {"gain_db": float("nan")},
        {"heard": {"by": "microphone", "likeness": 1.5}},
        {"heard": {"by": "ear"}},
        {"lost_to": "x" * 65},
    ],
)
def test_what_cannot_be_is_refused(bad: dict[str, object]) -> None:
    """What comes from a node is bounded before it is used."""
    plain = {**msgspec.to_builtins(BARE), **bad}
    with pytest.raises(Refusal):
        cbor_decode(cbor_encode(plain), AiringRecord)


def test_a_self_test_is_bounded() -> None:
    """No more bands than are told apart."""
    record = SelfTestRecord(at_ms=T0_MS, verdict=SelfTestVerdict.PASSED, bands_change_db=(0.0,) * 13)
    with pytest.raises(LocalProtocolError, match="bands_change_db"):
        cbor_encode_checked(record)


def test_a_fault_stays_what_it_was() -> None:
    """Nothing of it is left out: all that it has must be said."""
    fault = FaultRecord(fault="store", active=False, detail="", at_ms=0)
    assert set(msgspec.to_builtins(fault)) == {"kind", "fault", "active", "detail", "at_ms"}
