"""How one sound follows another: the one table of fades, from what sounds and what comes to how it is done.

Pure: it says how long fades last and at which instant they begin. Who sounds is the arbiter's business; the envelope
itself is the voice's. As instants are those of the shared grid, all poles change on the same sample.

    sounds | comes   nothing       programme     speech        emergency
    nothing          -            begin         begin         begin
    programme        cut          crossfade     crossfade     take over
    speech           cut          crossfade     crossfade     take over
    emergency        cut          hand back     hand back     take over

Rules kept:
- nothing fades before its planned end: what has no more sound than planned ends there, and what comes begins there,
  whole; a crossfade is for what would go on;
- what begins at its own beginning fades in so shortly that its first syllable is there; what joins in its middle may
  come in softly;
- an emergency is alone within TAKEOVER_MS; it never ducks, and nothing ducks it;
- only a programme is a bed: what would sound if those that speak over it were away.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.candidate import Candidate
from protocol.messages import BroadcastClass, Over
from protocol.units import SharedMs

EDGE_MS: Final = 10
"""The shortest fade that does not click."""
TAKEOVER_MS: Final = 20
"""In this time an emergency is alone."""
CROSSFADE_JOIN_MS: Final = 150
"""Equal power, where what comes is joined in its middle: soft, and over before anybody wonders."""
CROSSFADE_BEGIN_MS: Final = 50
"""Equal power, where what comes begins: at 50 ms a syllable has hardly begun."""
DUCK_DB: Final = -15.0
"""Under speech: a programme is still there, and every word above it is understood (12 to 18 dB are usual)."""
ATTACK_MS: Final = 100
"""From the first sample of what speaks on: done before the first gong has rung out or the first word is over."""
RELEASE_MS: Final = 600
"""Slower back than down, so that a pause for breath is over before anybody notices."""


class Part(StrEnum):
    """What a candidate is to another that it meets."""

    NOTHING = "nothing"
    PROGRAMME = "programme"
    SPEECH = "speech"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """`out_ms`: what leaves fades so long from the instant on; `in_ms`: what comes rises so long from it on."""

    out_ms: int
    in_ms: int


_CROSSFADE: Final = Switch(out_ms=CROSSFADE_JOIN_MS, in_ms=CROSSFADE_JOIN_MS)
_TAKEOVER: Final = Switch(out_ms=TAKEOVER_MS, in_ms=EDGE_MS)
_BEGIN: Final = Switch(out_ms=0, in_ms=EDGE_MS)
_CUT: Final = Switch(out_ms=TAKEOVER_MS, in_ms=0)
_HAND_BACK: Final = Switch(out_ms=TAKEOVER_MS, in_ms=CROSSFADE_JOIN_MS)

TABLE: Final[dict[tuple[Part, Part], Switch]] = {
    (Part.NOTHING, Part.NOTHING): Switch(out_ms=0, in_ms=0),
    **{(Part.NOTHING, part): _BEGIN for part in (Part.PROGRAMME, Part.SPEECH, Part.EMERGENCY)},
    **{(part, Part.NOTHING): _CUT for part in (Part.PROGRAMME, Part.SPEECH, Part.EMERGENCY)},
    **{(part, Part.EMERGENCY): _TAKEOVER for part in (Part.PROGRAMME, Part.SPEECH, Part.EMERGENCY)},
    **{(one, other): _CROSSFADE for one in (Part.PROGRAMME, Part.SPEECH) for other in (Part.PROGRAMME, Part.SPEECH)},
    **{(Part.EMERGENCY, part): _HAND_BACK for part in (Part.PROGRAMME, Part.SPEECH)},
}


def part_of(candidate: Candidate | None) -> Part:
    """What a candidate is here."""
    if candidate is None:
        return Part.NOTHING
    if candidate.broadcast_class is BroadcastClass.EMERGENCY:
        return Part.EMERGENCY
    return Part.SPEECH if candidate.over is Over.DUCK else Part.PROGRAMME


def between(leaving: Candidate | None, coming: Candidate | None, at_ms: SharedMs) -> Switch:
    """How one follows the other at an instant; either may be nothing."""
    switch = TABLE[part_of(leaving), part_of(coming)]
    if leaving is not None and tail_ms(leaving, at_ms) < switch.out_ms:
        switch = _BEGIN  # it has ended by itself
    if coming is not None and coming.sounds_from_ms >= at_ms:
        in_ms = min(switch.in_ms, CROSSFADE_BEGIN_MS)
        switch = Switch(out_ms=min(switch.out_ms, max(in_ms, TAKEOVER_MS)), in_ms=in_ms)
    return switch


def tail_ms(candidate: Candidate, at_ms: SharedMs) -> int:
    """How much sound a candidate would still have after an instant, beyond its planned end too."""
    if candidate.media is None or candidate.repeat_every_ms is not None:
        return max(0, candidate.ends_at_ms - at_ms)
    return max(0, candidate.sounds_from_ms + candidate.chime_ms + candidate.media.duration_ms - at_ms)
