"""Whatever happens to a pole, in whatever order: nothing sounds unpowered, nothing stays powered, no record is lost.

Random sequences of documents, packets, losses, power cuts, broken hardware and full cards, each on a virtual clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.codec import cbor_decode
from protocol.envelope import open_sealed
from protocol.messages import AiringRecord, AiringState, Report
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import NODE, Pole

CLIPS = [media("news"), media("music", seconds=3), media("flood", seconds=2)]
STREAM = "00000000000000aa"
HOLD_MS = 2_000
STEPS_MAX = 14


def send_plan(pole: Pole, number: int) -> None:
    items = [
        occurrence(f"item-{number}-{index}", pole.now_ms + 700 * number + 2_500 * index, CLIPS[(number + index) % 2])
        for index in range(3)
    ]
    pole.send(pole.issuer.plan(*items, area=(COMMUNE, VILLAGE)[number % 2]))


def send_emergency(pole: Pole, number: int) -> None:
    pole.send(
        pole.issuer.emergency(
            CLIPS[2],
            play_at_ms=pole.now_ms + 150 * number,
            emergency=f"flood-{number}",
            sounds_until_ms=pole.now_ms + 150 * number + 4_000 + 3_000 * number,
        )
    )


def start_stream(pole: Pole, number: int) -> None:
    origin_ms = pole.now_ms + 1_200
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=origin_ms))
    pole.stream(STREAM, origin_ms=origin_ms, packets=range(20 + 10 * number))


def restart(pole: Pole, number: int) -> None:
    pole.cut_power()
    pole.run_for(100 * number)
    pole.boot()
    pole.connect()


def reconnect(pole: Pole, number: int) -> None:
    pole.disconnect()
    pole.run_for(500 * number)
    pole.connect(session_present=bool(number % 2))


def break_pin(pole: Pole, number: int) -> None:
    pole.pin.break_pin(is_broken=bool(number % 2))


def unplug(pole: Pole, number: int) -> None:
    (pole.card.unplug if number % 2 else pole.card.plug)()


def replay(pole: Pole, number: int) -> None:
    for name, payload in list(pole.retained.items()):
        pole.deliver(name, payload[: len(payload) - number % 2], retain=False)


ACTIONS: dict[str, Callable[[Pole, int], object]] = {
    "plan": send_plan,
    "emergency": send_emergency,
    "all_clear": lambda pole, number: pole.send(pole.issuer.all_clear(f"flood-{number}")),
    "stream": start_stream,
    "stream_end": lambda pole, _: pole.send(pole.issuer.stream_end(STREAM, ends_at_ms=pole.now_ms)),
    "restart": restart,
    "reconnect": reconnect,
    "unplug": unplug,
    "replay": replay,
    "card_fails": lambda pole, number: setattr(pole.sd_card, "fails", bool(number % 2)),
    "wait": lambda pole, number: pole.run_for(900 * number),
}
steps = st.lists(
    st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 5), st.integers(0, 2_000)), max_size=STEPS_MAX
)


def ready_pole() -> Pole:
    pole = Pole()
    pole.provide(*CLIPS)
    pole.introduce(prepared_clips=(CLIPS[2],))
    return pole


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_never_sounds_unpowered_and_never_stays_powered(taken: list[tuple[str, int, int]]) -> None:
    pole = ready_pole()
    for name, number, wait_ms in taken:
        ACTIONS[name](pole, number)
        pole.run_for(wait_ms)
    assert pole.unpowered_samples() == 0
    pole.send(pole.issuer.plan())
    pole.send(pole.issuer.plan(area=VILLAGE))
    pole.sd_card.fails = False
    pole.run_for(45_000)
    assert pole.unpowered_samples() == 0
    assert not pole.pin.commanded.latest
    assert not pole.heard(pole.now_ms - 5_000, pole.now_ms).any()


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_a_pin_that_breaks_is_never_thought_to_be_powered(taken: list[tuple[str, int, int]]) -> None:
    pole = ready_pole()
    for number, (name, count, wait_ms) in enumerate(taken):
        break_pin(pole, number)
        ACTIONS[name](pole, count) if name != "restart" else None
        pole.run_for(wait_ms)
    pole.pin.break_pin(is_broken=False)
    assert pole.unpowered_samples() == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_records_are_numbered_without_gap_chained_and_every_airing_that_started_ends(
    taken: list[tuple[str, int, int]],
) -> None:
    pole = ready_pole()
    for name, number, wait_ms in taken:
        if name != "card_fails":
            ACTIONS[name](pole, number)
        pole.run_for(wait_ms)
    pole.run_for(60_000)
    restart(pole, 0)
    pole.run_for(20_000)
    name = topic(TopicName.REPORT, node=NODE)
    sealed = {
        report.number: (payload, report)
        for sent_on, payload in pole.published
        if sent_on == name
        for report in [cbor_decode(open_sealed(payload, topic=name).payload, Report)]
    }
    assert sorted(sealed) == list(range(1, len(sealed) + 1))
    for number, (_, report) in sealed.items():
        assert number == 1 or report.previous_sha256 == _digest(sealed[number - 1][0])
    states: dict[str, list[AiringState]] = {}
    for _, (_, report) in sorted(sealed.items()):
        if isinstance(report.record, AiringRecord):
            states.setdefault(report.record.airing, []).append(report.record.state)
    for airing, seen in states.items():
        begun = [state for state in seen if state in (AiringState.STARTED, AiringState.FINISHED)]
        assert begun in ([], [AiringState.STARTED, AiringState.FINISHED]), (airing, seen)


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()
