"""Every reason and fault that a node can report has its Vietnamese and its English word on the screen."""

from __future__ import annotations

import pytest

from controller.people.audit import Deed
from controller.streams.feed_watch import AlarmKind
from controller.words import WORDS, alarm_words, fault_words, packet_fault_words, reason_words, with_detail
from edge.errors import FrameFault
from edge.gpio.faults import Fault
from edge.player.arbiter import Reason
from edge.player.buffer import Verdict
from edge.player.stream_source import OFF_GRID, OLD_EPOCH, OTHER_STREAM
from protocol.messages import AiringState, BroadcastClass, Readiness, Reality, SourceKind


@pytest.mark.parametrize("reason", [*Reason, "on time"])
def test_each_reason_of_a_node_has_words(reason: str) -> None:
    vietnamese, english = reason_words(str(reason))
    assert vietnamese != english


@pytest.mark.parametrize("fault", list(Fault))
def test_each_fault_of_a_node_has_words(fault: Fault) -> None:
    vietnamese, english = fault_words(fault.value)
    assert vietnamese != english


@pytest.mark.parametrize("alarm", list(AlarmKind))
def test_each_alarm_of_a_feed_has_words(alarm: AlarmKind) -> None:
    vietnamese, english = alarm_words(alarm.value)
    assert vietnamese != english


def test_a_fault_keeps_its_words_beside_its_detail() -> None:
    assert with_detail(fault_words, "plan_ended: chưa có lịch: xem máy") == (
        *fault_words("plan_ended"),
        "chưa có lịch: xem máy",
    )
    assert with_detail(fault_words, "plan_ended") == (*fault_words("plan_ended"), "")
    assert with_detail(fault_words, "something new: its detail") == ("something new", "something new", "its detail")


@pytest.mark.parametrize("value", [*AiringState, *BroadcastClass, *Readiness, *Reality, *SourceKind])
def test_each_value_of_the_protocol_has_words(value: str) -> None:
    assert str(value) in WORDS


@pytest.mark.parametrize("deed", [*Deed, "enrol_claim", "enrol_approve", "enrol_refuse", "enrol_revoke", "enrol_issue"])
def test_each_deed_on_record_has_words(deed: str) -> None:
    vietnamese, english = WORDS[f"deed_{deed}"]
    assert vietnamese != english


def test_a_late_start_says_how_late() -> None:
    assert reason_words("joined 1540 ms after its start") == ("vào muộn 1.5 giây", "joined late by 1.5 s")


def test_what_is_not_known_is_shown_as_it_came() -> None:
    assert reason_words("something new") == ("something new", "something new")


@pytest.mark.parametrize("fault", [*Verdict, *FrameFault, OFF_GRID, OLD_EPOCH, OTHER_STREAM])
def test_each_reason_for_which_a_packet_is_of_no_use_has_words(fault: str) -> None:
    if fault != Verdict.ACCEPTED:
        vietnamese, english = packet_fault_words(str(fault))
        assert vietnamese != english
