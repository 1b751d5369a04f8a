"""The findings on a node: sound and switching before the round belong together, gaps are told apart by their cause."""

from __future__ import annotations

import numpy as np

from simulator.demo.disturbance import Disturbance, Part
from simulator.demo.evidence import PinChange
from simulator.demo.findings import Expected, Stage, findings_on
from simulator.demo.verdict import NodeFindings
from tests.simulator.demo.test_evidence import at, captured, noise, silence

SOUND = np.concatenate((noise(2.0, seed=1), silence(1.0), noise(4.0, seed=2), silence(0.1), noise(2.0, seed=3)))
"""A playlist before the round, then a relay from 3 s to 9.1 s with a gap at 7 s."""
TRACE = [
    PinChange(at_ns=at(moment_ms), is_on=is_on)
    for moment_ms, is_on in ((-300, True), (2050, False), (2700, True), (9150, False))
]


def found(*, trace: list[PinChange] = TRACE, disturbances: list[Disturbance] | None = None) -> NodeFindings:
    return findings_on(
        node="N001",
        village="thon-dong",
        capture=captured(SOUND),
        trace=trace,
        stages=[Stage(name="relay", begin_ns=at(2500), end_ns=at(9000), pattern=None)],
        expected=Expected(programme=noise(4.0, seed=2), playlist=noise(2.0), emergency=noise(2.0)),
        concealed_frames=0,
        until_ns=at(9200),
        disturbances=disturbances or [],
    )


def test_a_playlist_that_sounded_powered_before_the_round_is_not_held_against_it() -> None:
    assert (found().unpowered_sound_ms, found().relay_transitions) == (0, 2)
    unpowered_ms = found(trace=TRACE[2:]).unpowered_sound_ms
    assert unpowered_ms is not None
    assert unpowered_ms > 1900, "sound that no switching covers is unpowered whenever it came"


def test_a_gap_is_the_products_unless_the_machine_was_measured_at_it() -> None:
    assert (found().gaps, found().gaps_undisturbed) == (1, 1)
    held = Disturbance(name="N001", part=Part.NODE, begin_ns=at(6800), end_ns=at(7500), waited_ms=60)
    assert (found(disturbances=[held]).gaps, found(disturbances=[held]).gaps_undisturbed) == (1, 0)
