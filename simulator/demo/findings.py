"""From captures, pin traces and the instants of the presses to the findings on each node.

Pure. It knows the demo's stages and what should have sounded in each; measuring is `evidence`'s, judging is
`verdict`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SharedNs
from simulator.demo import evidence
from simulator.demo.capture import Capture
from simulator.demo.disturbance import Disturbance
from simulator.demo.evidence import PinChange
from simulator.demo.timeline import PLAYLIST_S, Act
from simulator.demo.verdict import RETURNING_STAGE, NodeFindings, SpreadFindings, spread_of

EARLY_S: Final = 1.0
"""How much before its instant a clip is looked for."""
PATTERN_SAMPLES: Final = 3 * SAMPLE_RATE_HZ // 2
POWER_TOLERANCE_NS: Final = 40 * NS_PER_MS
"""A chunk's way from the node's sound path to the listener, and its length."""
_SPREAD_EVERY_S: Final = 1.0
_PROGRAMME_WINDOW: Final = 2 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What should have sounded, int16 mono 48 kHz."""

    programme: NDArray[np.int16]
    playlist: NDArray[np.int16]
    emergency: NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stretch in which one thing should have sounded: asked for at `begin`, over at `end`."""

    name: str
    begin_ns: SharedNs
    end_ns: SharedNs
    pattern: NDArray[np.int16] | None


def stages_of(presses: Mapping[Act, SharedNs], expected: Expected) -> list[Stage]:
    """The stages whose beginning and end were both reached."""
    spans = (
        ("relay", Act.RELAY, Act.RELAY_STOP, None),
        ("playlist", Act.PLAYLIST, Act.RELAY_HLS, expected.playlist),
        ("relay_hls", Act.RELAY_HLS, Act.EMERGENCY, None),
        ("emergency", Act.EMERGENCY, Act.ALL_CLEAR, expected.emergency),
        ("relay_after", Act.ALL_CLEAR, Act.RELAY_HLS_STOP, None),
    )
    return [
        Stage(name=name, begin_ns=presses[begin], end_ns=presses[end], pattern=pattern)
        for name, begin, end, pattern in spans
        if begin in presses and end in presses
    ]


def findings_on(
    *,
    node: str,
    village: str,
    capture: Capture,
    trace: Sequence[PinChange] | None,
    stages: Sequence[Stage],
    expected: Expected,
    concealed_frames: int | None,
    until_ns: SharedNs,
    disturbances: Sequence[Disturbance],
) -> NodeFindings:
    """All that is known of one node."""
    begin_ns = stages[0].begin_ns if stages else SharedNs(0)
    first_sound: dict[str, float | None] = {}
    likeness: dict[str, float | None] = {}
    for stage in stages:
        heard_ms, likeness[stage.name] = _stage(capture, stage, expected.programme)
        if stage.name != RETURNING_STAGE:
            first_sound[stage.name] = heard_ms
    unbroken = [span for stage in stages if (span := _unbroken(stage, first_sound.get(stage.name))) is not None]
    broken = [gap for begin, end in unbroken for gap in evidence.gaps(capture, begin_ns=begin, end_ns=end)]
    ours = [
        gap
        for begin, end in unbroken
        for gap in evidence.gaps_undisturbed(capture, begin_ns=begin, end_ns=end, disturbances=disturbances)
    ]
    unpowered = None
    if trace is not None:
        # All that was captured is held against all that was switched: a playlist may have sounded before this round.
        unpowered = evidence.unpowered_sound_ms(capture, trace, tolerance_ns=POWER_TOLERANCE_NS, until_ns=until_ns)
        trace = [change for change in trace if change.at_ns >= begin_ns]
    return NodeFindings(
        node=node,
        village=village,
        first_sound_ms=first_sound,
        likeness=likeness,
        seconds_sounded=evidence.sounding_ms(capture, begin_ns=begin_ns, end_ns=until_ns) / 1000,
        gaps=len(broken),
        gaps_undisturbed=len(ours),
        gap_longest_ms=max((gap.length_ms for gap in broken), default=0),
        concealed_frames=concealed_frames,
        level_dbfs=evidence.level_dbfs(capture, begin_ns=begin_ns, end_ns=until_ns),
        relay_transitions=evidence.transitions(trace) if trace is not None else None,
        unpowered_sound_ms=unpowered,
        still_powered=bool(trace and trace[-1].is_on) if trace is not None else None,
    )


def spread_over(captures: Mapping[str, Capture], stages: Sequence[Stage]) -> SpreadFindings:
    """The spread in each second of each stage."""
    values = []
    for stage in stages:
        at_s = 1.0
        while stage.begin_ns + (at_s + 1) * NS_PER_S < stage.end_ns:
            at_ns = SharedNs(stage.begin_ns + int(at_s * NS_PER_S))
            values.append(evidence.spread_ms(captures, at_ns=at_ns))
            at_s += _SPREAD_EVERY_S
    return spread_of(values)


def programme_likeness(
    capture: Capture, programme: NDArray[np.int16], *, begin_ns: SharedNs, end_ns: SharedNs
) -> float | None:
    """How much a stretch is the station's looped programme; the best place in the loop counts."""
    half_ns = _PROGRAMME_WINDOW * NS_PER_S // SAMPLE_RATE_HZ // 2
    heard = capture.window(SharedNs((begin_ns + end_ns) // 2 - half_ns), _PROGRAMME_WINDOW)
    if heard is None:
        return None
    loop = np.concatenate((programme, programme[:_PROGRAMME_WINDOW]))
    return evidence.best_likeness(loop, heard)


def _stage(capture: Capture, stage: Stage, programme: NDArray[np.int16]) -> tuple[float | None, float | None]:
    """First sound after the press, and how much it was the right one."""
    if stage.pattern is not None:
        after_ns = SharedNs(stage.begin_ns - int(EARLY_S * NS_PER_S))
        match = evidence.find_clip(capture, stage.pattern[:PATTERN_SAMPLES], after_ns=after_ns, before_ns=stage.end_ns)
        if match is None:
            return None, None
        return _ms(match.at_ns - stage.begin_ns), match.likeness
    if stage.name == RETURNING_STAGE:
        return None, programme_likeness(capture, programme, begin_ns=stage.begin_ns, end_ns=stage.end_ns)
    sounded_ns = evidence.first_sound_ns(capture, after_ns=stage.begin_ns, before_ns=stage.end_ns)
    if sounded_ns is None:
        return None, None
    likeness = programme_likeness(capture, programme, begin_ns=sounded_ns, end_ns=stage.end_ns)
    return _ms(sounded_ns - stage.begin_ns), likeness


def _unbroken(stage: Stage, first_sound_ms: float | None) -> tuple[SharedNs, SharedNs] | None:
    """Where sound should be unbroken: a relay from its first sound on, the playlist's length.

    An emergency pauses between its repetitions; what it lacks shows in its likeness.
    """
    if first_sound_ms is None or stage.name == "emergency":
        return None
    begin_ns = SharedNs(stage.begin_ns + int(first_sound_ms * NS_PER_MS))
    end_ns = stage.end_ns
    if stage.name == "playlist":
        end_ns = SharedNs(begin_ns + int(PLAYLIST_S * NS_PER_S))
    return begin_ns, end_ns


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / NS_PER_MS, 1)
