"""The event log: canonical, digested, bounded, without floating point numbers."""

from __future__ import annotations

import hashlib
import io

import pytest

from simulator.evidence.event_log import EventLog


def test_lines_are_canonical_whatever_the_order_of_facts() -> None:
    one, other = EventLog(), EventLog()
    one.write(5, "N001", "fault", kind="drift", ppb=3)
    other.write(5, "N001", "fault", ppb=3, kind="drift")
    assert list(one.newest()) == [b'[5,"N001","fault",{"kind":"drift","ppb":3}]']
    assert one.digest == other.digest


def test_digest_covers_every_line_and_equals_the_sink() -> None:
    sink = io.BytesIO()
    log = EventLog(sink=sink, lines_kept=10)
    for index in range(2_000):
        log.write(index, "world", "tick", index=index)
    assert log.digest == hashlib.sha256(sink.getvalue()).hexdigest()
    assert sink.getvalue().count(b"\n") == log.count == 2_000
    assert [line[:5] for line in log.newest()] == [b"[1990", *(b"[199%d" % digit for digit in range(1, 10))]
    assert list(log.newest(1)) == [b'[1999,"world","tick",{"index":1999}]']


def test_digest_changes_with_any_fact() -> None:
    one, other = EventLog(), EventLog()
    one.write(5, "N001", "fault", ppb=3)
    other.write(5, "N001", "fault", ppb=4)
    assert one.digest != other.digest


@pytest.mark.parametrize("fact", [1.0, [1, 2.5], {"a": {"b": 0.1}}])
def test_floating_point_facts_are_refused_at_any_depth(fact: object) -> None:
    log = EventLog()
    with pytest.raises(TypeError, match="floating point"):
        log.write(1, "N001", "level", level=fact)  # type: ignore[arg-type]  # the mistake under test
    assert log.count == 0
