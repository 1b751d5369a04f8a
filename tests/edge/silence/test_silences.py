"""What a silence lets through, and that it needs no clock: a pole that starts without one stays silent."""

from __future__ import annotations

from typing import Any

import pytest

from edge.assignment import place_of
from edge.guard import Guard
from edge.player.arbiter import Reason
from edge.silence.silences import Silences
from protocol.candidate import Candidate
from protocol.keyring import Keyring, open_keyset
from protocol.messages import BroadcastClass, Reality, SourceKind
from protocol.silence import box_digest
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs, SharedNs, TimeSource
from tests.support.issuer import COMMUNE, Issuer
from tests.support.pole import T0_MS

KEYSET = topic(TopicName.KEYSET)
AREA = topic(TopicName.AREA_SILENCE, area=COMMUNE)
CLOCKLESS = Now(monotonic_ns=MonotonicNs(0), shared_ns=SharedNs(NS_PER_MS), source=TimeSource.UNKNOWN)
HERE, THERE = box_digest("box-1"), box_digest("box-2")


def candidate(name: str, broadcast_class: BroadcastClass, reality: Reality = Reality.REAL) -> Candidate:
    return Candidate(
        key=name,
        source=SourceKind.EMERGENCY if broadcast_class is BroadcastClass.EMERGENCY else SourceKind.MEDIA,
        source_id=name,
        title=name,
        broadcast_class=broadcast_class,
        reality=reality,
        depth=0,
        starts_at_ms=SharedMs(T0_MS),
        ends_at_ms=SharedMs(T0_MS + 1_000),
    )


NEWS = candidate("news", BroadcastClass.ROUTINE)
DRILL = candidate("drill", BroadcastClass.EMERGENCY, Reality.DRILL)
FLOOD = candidate("flood", BroadcastClass.EMERGENCY)
STORM = candidate("storm", BroadcastClass.EMERGENCY)


def blocked(silences: Silences) -> list[Reason | None]:
    return [silences.blocks(each) for each in (NEWS, DRILL, FLOOD)]


def test_nothing_is_silenced_where_nothing_was_ordered() -> None:
    silences = Silences(box=HERE)
    assert blocked(silences) == [None, None, None]
    assert not silences.is_silencing
    assert silences.why == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [Reason.SILENCED] * 3),
        ({"spares_emergencies": True}, [Reason.SILENCED, Reason.SILENCED, None]),
        ({"spared_box": THERE}, [Reason.SILENCED] * 3),
        ({"spared_box": HERE}, [None, None, None]),
    ],
)
def test_an_order_silences_what_it_does_not_spare(changes: dict[str, Any], expected: list[Reason | None]) -> None:
    silences = Silences(box=HERE)
    silences.use([Issuer(T0_MS).silence(**changes)])
    assert blocked(silences) == expected


def test_a_box_without_a_number_is_never_the_spared_one() -> None:
    silences = Silences(box="")
    silences.use([Issuer(T0_MS).silence(spared_box=HERE)])
    assert blocked(silences) == [Reason.SILENCED] * 3


def test_the_button_silences_what_stood_and_not_what_comes_later() -> None:
    silences = Silences(box=HERE)
    silences.stop(["flood"])
    assert blocked(silences) == [Reason.STOP_BUTTON] * 3
    assert silences.blocks(STORM) is None
    silences.resume()
    assert not silences.is_silencing


def test_orders_and_releases_need_no_clock_neither_new_nor_restored() -> None:
    issuer = Issuer(T0_MS)
    guard = Guard(place=place_of(issuer.assignment()), root=issuer.root)
    guard.keyring = Keyring.from_keyset(open_keyset(issuer.keyset(), topic=KEYSET, root=issuer.root))
    payload = issuer.seal(issuer.silence(), AREA)
    assert guard.open(AREA, payload, CLOCKLESS).document == guard.reopen(AREA, payload, CLOCKLESS).document
    guard.open(AREA, issuer.seal(issuer.release(), AREA), CLOCKLESS)


def test_a_stored_order_is_obeyed_though_no_key_is_known_any_more() -> None:
    issuer = Issuer(T0_MS)
    guard = Guard(place=place_of(issuer.assignment()), root=issuer.root)
    order = issuer.silence()
    assert guard.reopen(AREA, issuer.seal(order, AREA), CLOCKLESS).document == order
