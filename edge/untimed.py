"""Real emergencies on a pole that does not know the time: they sound from when they come.

A pole whose clock chip is dead stands at the date of its image, or at the hour that it saved last, until a time server
answers. What is planned waits for that; a flood does not. The guard has judged by the latest instant that has certainly
passed; from there an emergency has as long as its document says, counted on the pole's own clock.

Rules kept: only real emergencies; nothing that the guard has not accepted in this run; no turns, for whose turn it is
nobody here can tell; when the time is known, all of it is as always, in step with the neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.assignment import Place
from edge.player.program import emergency_candidate
from protocol.candidate import Candidate
from protocol.messages import Emergency, Reality
from protocol.units import Now, SharedMs


class Untimed:
    """Those of one node."""

    def __init__(self) -> None:
        self._shifts_ms: dict[str, int] = {}

    def forget(self) -> None:
        """The time is known."""
        self._shifts_ms.clear()

    def candidates(
        self, emergencies: Iterable[tuple[Emergency, int]], *, place: Place, now: Now
    ) -> tuple[Candidate, ...]:
        """What may sound now, on the pole's own clock whatever it reads; beside each, an instant that has passed."""
        found: list[Candidate] = []
        shifts_ms: dict[str, int] = {}
        for document, passed_ms in emergencies:
            if document.reality is not Reality.REAL:
                continue
            first_ms = now.shared_ms - max(document.play_at_ms, passed_ms)
            shift_ms = shifts_ms[document.emergency] = self._shifts_ms.get(document.emergency, first_ms)
            if document.sounds_until_ms + shift_ms > now.shared_ms:
                found.append(_moved(emergency_candidate(document, place), shift_ms))
        self._shifts_ms = shifts_ms
        return tuple(found)


def _moved(candidate: Candidate, shift_ms: int) -> Candidate:
    return replace(
        candidate,
        key=f"{candidate.key}:untimed",
        turn_ms=0,
        starts_at_ms=SharedMs(candidate.starts_at_ms + shift_ms),
        ends_at_ms=SharedMs(candidate.ends_at_ms + shift_ms),
    )
