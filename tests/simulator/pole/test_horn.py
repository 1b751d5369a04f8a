"""A horn before a microphone: what is in the air comes in its time, however the frames behind it are moved."""

from __future__ import annotations

import numpy as np
import pytest

from edge.events import Event, SelfTestMeasured
from edge.player.ports import Frames
from edge.proof.sweep import LEAD_MS, SWEEP_MS, TEST_MS, sweep
from protocol.messages import HeardBy
from protocol.units import FRAME_SAMPLES, SAMPLES_PER_MS, SharedSample, shared_ns_of_sample
from simulator.pole.horn import HornState, SimulatedEars

FIRST = 1_000 * FRAME_SAMPLES


@pytest.mark.parametrize("moved", [0, 1, -1])
def test_a_sweep_is_heard_whole_though_the_card_moves_a_frame_by_a_sample(moved: int) -> None:
    """In the middle of the sweep the grid of the frames is moved, as a card's drift and a slewed clock move it."""
    events: list[SelfTestMeasured] = []

    def post(event: Event) -> None:
        assert isinstance(event, SelfTestMeasured)
        events.append(event)

    state = HornState(noise=0.0001)
    ears = SimulatedEars(state, sensors=(HeardBy.MICROPHONE,), post=post, is_powered=lambda: True)
    ears.start()
    sound = np.zeros(TEST_MS * SAMPLES_PER_MS + FRAME_SAMPLES, np.float32)
    at = LEAD_MS * SAMPLES_PER_MS
    sound[at : at + SWEEP_MS * SAMPLES_PER_MS] = sweep()
    frames: Frames = np.rint(sound * 32_767).astype(np.int16).reshape(-1, 1)
    for first in range(0, len(frames), FRAME_SAMPLES):
        late = moved if first >= at + SWEEP_MS * SAMPLES_PER_MS // 2 else 0
        ears.sent(frames[first : first + FRAME_SAMPLES], shared_ns_of_sample(SharedSample(FIRST + first + late)))
    ears.measure(FIRST)
    [swept] = [event.swept for event in events]
    [measure] = swept.measures
    gain_db = 20 * np.log10(state.gain)
    assert max(measure.bands_db) - min(measure.bands_db) < 3
    assert measure.bands_db == pytest.approx([gain_db] * len(measure.bands_db), abs=3)
