"""What the machine may be blamed for: only what a part cannot bear, only while it may be heard."""

from __future__ import annotations

from protocol.units import NS_PER_MS, SharedNs
from simulator.demo.disturbance import Disturbance, Part, Waits, heard_at, in_words, undisturbed

LOOK_MS = 50


def at(milliseconds: float) -> SharedNs:
    return SharedNs(1_700_000_000_000_000_000 + round(milliseconds * NS_PER_MS))


class Looks:
    """A process looked at every 50 ms."""

    def __init__(self, part: Part, *, name: str = "N001", waits: Waits | None = None) -> None:
        self.waits = waits or Waits()
        self._name, self._part, self._now_ms = name, part, 0

    def see(self, *waited_ms: float) -> None:
        for each in waited_ms:
            begin_ms, self._now_ms = self._now_ms, self._now_ms + LOOK_MS
            self.waits.note(
                self._name,
                self._part,
                begin_ns=at(begin_ms),
                end_ns=at(self._now_ms),
                waited_ns=round(each * NS_PER_MS),
            )

    def found(self) -> list[Disturbance]:
        return self.waits.between(at(0), at(60_000))


def test_what_a_part_bears_is_no_disturbance() -> None:
    node, server = Looks(Part.NODE), Looks(Part.SERVER)
    node.see(*[13] * 200)
    server.see(*[24] * 200)
    assert node.found() == server.found() == []


def test_a_node_that_waited_too_long_may_be_heard_until_its_buffers_are_past() -> None:
    node = Looks(Part.NODE)
    node.see(0, 0, 41, 0, 0, 0, 0)
    (found,) = node.found()
    assert (found.name, found.waited_ms) == ("N001", 41)
    assert at(50) < found.begin_ns <= at(100)
    assert at(150) + 500 * NS_PER_MS <= found.end_ns <= at(250) + 500 * NS_PER_MS


def test_short_waits_in_a_row_count_together() -> None:
    node = Looks(Part.NODE)
    node.see(0, 14, 14, 14, 0)
    assert [found.waited_ms for found in node.found()] == [42]


def test_a_wait_counts_from_its_beginning_however_late_it_was_seen() -> None:
    node = Looks(Part.NODE)
    node.see(*[0] * 20, 300)
    (found,) = node.found()
    assert found.begin_ns <= at(1000 - 300)


def test_disturbances_of_one_process_that_overlap_are_one_and_others_stand_apart() -> None:
    waits = Waits()
    Looks(Part.NODE, name="N001", waits=waits).see(50, 50, *[0] * 30, 50)
    Looks(Part.NODE, name="N002", waits=waits).see(0, 90)
    found = waits.between(at(0), at(60_000))
    assert [(each.name, each.waited_ms) for each in found] == [("N001", 100), ("N002", 90), ("N001", 50)]
    assert waits.between(at(30_000), at(60_000)) == []


def test_the_successor_of_a_process_is_judged_anew() -> None:
    node = Looks(Part.NODE)
    node.see(30)
    node.waits.forget("N001")
    node.see(30)
    assert node.found() == []


def test_what_is_long_past_is_forgotten() -> None:
    node = Looks(Part.NODE, waits=Waits(keep_s=2))
    node.see(50, *[0] * 100)
    assert node.found() == []


def test_the_undisturbed_rest_of_an_interval() -> None:
    def held(begin_ms: float, end_ms: float) -> Disturbance:
        return Disturbance(name="N001", part=Part.NODE, begin_ns=at(begin_ms), end_ns=at(end_ms), waited_ms=50)

    assert undisturbed(at(0), at(1000), []) == [(at(0), at(1000))]
    overlapping = [held(300, 500), held(-100, 100), held(400, 600)]
    assert undisturbed(at(0), at(1000), overlapping) == [(at(100), at(300)), (at(600), at(1000))]
    assert undisturbed(at(0), at(1000), [held(900, 1200)]) == [(at(0), at(900))]
    assert undisturbed(at(0), at(1000), [held(-5, 1200)]) == []


def test_a_neighbour_that_was_held_up_is_no_excuse() -> None:
    waits = Waits()
    for name, part in (("N001", Part.NODE), ("N002", Part.NODE), ("broker", Part.SERVER), ("all", Part.MACHINE)):
        Looks(part, name=name, waits=waits).see(600)
    found = waits.between(at(0), at(1000))
    assert {each.name for each in heard_at("N002", found)} == {"N002", "broker", "all"}


def test_who_waited_is_said_in_words_and_not_at_any_length() -> None:
    found = [
        Disturbance(name=f"N{number:03}", part=Part.NODE, begin_ns=at(0), end_ns=at(1), waited_ms=number)
        for number in range(40, 50)
    ]
    assert in_words(found).startswith("N049 waited 49 ms for a processor, N048")
    assert in_words(found).endswith("and 5 more")
    assert in_words([]) == ""
