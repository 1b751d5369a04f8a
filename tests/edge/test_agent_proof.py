"""What a pole puts on record of an airing: due and begun, which samples of what, how loud, and what it lost to."""

from __future__ import annotations

from protocol.messages import AiringRecord, AiringState, BroadcastClass
from protocol.units import SAMPLES_PER_MS
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import T0_MS, Pole

NEWS = media("news")
MUSIC = media("music", seconds=3)
START_MS = T0_MS + 20_000
STREAM = "0123456789abcdef"


def airings(pole: Pole, source_id: str) -> list[AiringRecord]:
    """The records of one item."""
    return [each for each in pole.records() if isinstance(each, AiringRecord) and each.source_id == source_id]


def provided(**assignment: object) -> Pole:
    """A pole with two clips."""
    pole = Pole()
    pole.provide(NEWS, MUSIC)
    pole.introduce(**assignment)
    return pole


def test_a_played_item_is_on_record_by_its_samples_and_its_file() -> None:
    pole = provided(gain_db=-3.0)
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(START_MS + 9_000)
    begun, ended = airings(pole, "a")
    for each in (begun, ended):
        assert (each.area, each.programme, each.due_at_ms) == (COMMUNE, "morning", START_MS)
        assert each.is_delivered
        assert each.gain_db == -3.0
        assert each.first_sample == START_MS * SAMPLES_PER_MS
    assert ended.digest == f"media:{NEWS.sha256}"
    assert ended.content_sample == 0
    assert ended.samples == 5_000 * SAMPLES_PER_MS
    assert (ended.interruptions, ended.breaks, ended.lost_to, ended.heard) == (0, 0, "", None)


def test_what_comes_back_after_an_interruption_says_how_often_and_from_which_sample_of_its_file() -> None:
    pole = provided()
    pole.send(pole.issuer.plan(occurrence("village", START_MS, NEWS), area=VILLAGE))
    pole.send(pole.issuer.plan(occurrence("commune", START_MS + 1_000, MUSIC), area=COMMUNE))
    pole.run_until(START_MS + 9_000)
    _, first, again, second = airings(pole, "village")
    assert (first.reason, first.lost_to, first.interruptions) == ("pre_empted", "commune", 0)
    assert abs(first.samples - 1_000 * SAMPLES_PER_MS) <= 60 * SAMPLES_PER_MS, "a crossfade behind it"
    assert again.interruptions == second.interruptions == 1
    assert second.content_sample == 4_000 * SAMPLES_PER_MS
    assert second.samples == 1_000 * SAMPLES_PER_MS


def test_what_never_sounds_says_to_whom_it_lost_and_whether_its_file_was_there() -> None:
    pole = provided()
    priority = occurrence("alarm", START_MS, NEWS, broadcast_class=BroadcastClass.PRIORITY)
    pole.send(pole.issuer.plan(priority, occurrence("lost", START_MS + 500, MUSIC)))
    pole.run_until(START_MS + 9_000)
    (lost,) = airings(pole, "lost")
    assert (lost.state, lost.reason, lost.lost_to) == (AiringState.MISSED, "pre_empted", "alarm")
    assert lost.is_delivered is True
    assert lost.due_at_ms == START_MS + 500


def test_what_was_not_delivered_is_told_from_what_was() -> None:
    pole = provided()
    pole.send(pole.issuer.plan(occurrence("nowhere", START_MS, media("never came"))))
    pole.run_until(START_MS + 9_000)
    (gone,) = airings(pole, "nowhere")
    assert (gone.reason, gone.is_delivered) == ("media_missing", False)


def streamed(seed_ms: int) -> AiringRecord:
    """The end of a stream's airing on a pole whose card pulls blocks of another size."""
    pole = Pole(block_ms=seed_ms)
    pole.introduce()
    begin_ms = T0_MS + 5_000
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=begin_ms), stream=STREAM)
    pole.stream(STREAM, origin_ms=begin_ms, packets=range(20))
    end = pole.issuer.stream_end(STREAM, ends_at_ms=begin_ms + 1_500)
    pole.world.at((begin_ms + 200) * 10**6, lambda: pole.send(end, stream=STREAM))
    pole.run_until(begin_ms + 9_000)
    return airings(pole, STREAM)[-1]


def test_poles_that_took_in_the_same_stream_have_its_digest_in_common() -> None:
    one, other = streamed(20), streamed(30)
    assert one.digest.startswith("pcm:")
    assert (one.digest, one.first_sample, one.samples) == (other.digest, other.first_sample, other.samples)
    assert one.content_sample is None
    assert one.area == COMMUNE
