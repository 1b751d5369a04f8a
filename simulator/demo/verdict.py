"""The judgement on one run: what was found of each node, and every reason why it is not good enough.

Pure. The findings come from the listener and the pin traces, not from what the nodes report (but for
concealment, which only the decoder knows). What was not found out is a failure: no evidence, no pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

SPREAD_MS_MAX: Final = 30.0
"""Beyond it neighbours are heard apart."""
LIKENESS_MIN: Final = 0.5
"""Below it what sounded was not what should have sounded."""
RETURNING_STAGE: Final = "relay_after"
"""The relay that goes on after the all-clear: it has no first sound, for sound never ceased."""
EXCUSED_GAPS_MAX: Final = 5
"""More gaps of one node than these are no pass, however busy the machine was: nothing is proved then."""
FIRST_STAGES: Final = ("relay", "playlist", "relay_hls", "emergency")
STAGES: Final = (*FIRST_STAGES, RETURNING_STAGE)
"""What every node must have sounded, in order."""


class NodeFindings(Struct, frozen=True, kw_only=True):
    """What was found of one node; None is what could not be found out.

    `first_sound_ms` counts from the press (of a playlist: from the planned instant); `likeness` (0 to 1)
    tells how much what sounded is what should have. `gaps_undisturbed` are those gaps that the machine cannot excuse.
    """

    node: str
    village: str
    first_sound_ms: dict[str, float | None]
    likeness: dict[str, float | None]
    seconds_sounded: float
    gaps: int
    gaps_undisturbed: int
    gap_longest_ms: int
    concealed_frames: int | None
    level_dbfs: float | None
    relay_transitions: int | None
    unpowered_sound_ms: int | None
    still_powered: bool | None


class SpreadFindings(Struct, frozen=True, kw_only=True):
    """How far apart the nodes sounded, over so many windows of one second."""

    p50: float | None
    max: float | None
    windows: int


class Verdict(Struct, frozen=True, kw_only=True):
    """One run, as `--json` prints it."""

    ok: bool
    reasons: tuple[str, ...]
    seconds: float
    nodes: tuple[NodeFindings, ...]
    spread_ms: SpreadFindings
    restarts: dict[str, int] = field(default_factory=dict)
    disturbed: str = ""


def judge(
    *,
    nodes: Sequence[NodeFindings],
    spread: SpreadFindings,
    seconds: float,
    restarts: dict[str, int],
    troubles: Sequence[str] = (),
    disturbed: str = "",
) -> Verdict:
    """All reasons against a run; `troubles` came up while it ran, `disturbed` says whom the machine held up.

    A process that was killed and started again leaves a gap; who tries that out is not told that it is a fault.
    """
    reasons = list(troubles)
    if not nodes:
        reasons.append("no node was listened to")
    for found in nodes:
        against = _reasons_against(found) + ([] if restarts else _reasons_against_gaps(found))
        reasons += [f"{found.node}: {reason}" for reason in against]
    reasons += _reasons_against_spread(spread)
    return Verdict(
        ok=not reasons,
        reasons=tuple(reasons),
        seconds=seconds,
        nodes=tuple(nodes),
        spread_ms=spread,
        restarts=restarts,
        disturbed=disturbed,
    )


def spread_of(values: Sequence[float | None]) -> SpreadFindings:
    """Median and maximum of the windows that could be measured."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return SpreadFindings(p50=None, max=None, windows=0)
    return SpreadFindings(p50=round(known[len(known) // 2], 3), max=round(known[-1], 3), windows=len(known))


def _reasons_against(found: NodeFindings) -> list[str]:
    reasons = []
    for stage in STAGES:
        likeness = found.likeness.get(stage)
        if likeness is None or (stage in FIRST_STAGES and found.first_sound_ms.get(stage) is None):
            reasons.append(f"did not sound: {stage}")
        elif likeness < LIKENESS_MIN:
            reasons.append(f"something else sounded: {stage} (likeness {likeness})")
    if found.unpowered_sound_ms is None or found.relay_transitions is None or found.still_powered is None:
        reasons.append("its relay left no trace")
    elif found.relay_transitions == 0:
        reasons.append("its relay never clicked")
    if found.unpowered_sound_ms:
        reasons.append(f"sounded unpowered for {found.unpowered_sound_ms} ms")
    if found.still_powered:
        reasons.append("stayed powered after the end")
    return reasons


def _reasons_against_gaps(found: NodeFindings) -> list[str]:
    if found.gaps_undisturbed:
        return [f"{found.gaps_undisturbed} gaps that the machine does not excuse (longest {found.gap_longest_ms} ms)"]
    if found.gaps > EXCUSED_GAPS_MAX:
        return [f"{found.gaps} gaps on a machine that is too busy to prove anything: let the demo run alone"]
    return []


def _reasons_against_spread(spread: SpreadFindings) -> list[str]:
    if spread.max is None or spread.p50 is None:
        return ["the spread between the nodes could not be measured"]
    if spread.p50 > SPREAD_MS_MAX:
        return [f"the nodes sounded {spread.p50} ms apart"]
    return []
