"""Light nodes ask what time it is, and judge the answers as a node would: chain of keys, signature, question, lateness.

How wrong an answer was can be told here, for the controller is on this machine: the node's clock is the monotonic one,
and what lies between it and shared time is read when the answer comes. Every question ends as answered, refused or
lost (no answer until the node's next one), or is under way; quantiles are of the answered.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protocol.clock_sync import NONCE_MAX, TimeQuestion, ask, open_reply
from protocol.errors import Refusal
from protocol.keyring import Keyring, open_keyset, parse_root_keys
from protocol.topics import TopicName, topic
from protocol.units import MonotonicNs

KEYSET: Final = topic(TopicName.KEYSET)
_ROUNDED_NS: Final = 10_000
"""Errors and round trips are counted in steps of 10 us, so that a tally stays small."""
_STEPS_A_MS: Final = 100


@dataclass(slots=True, kw_only=True)
class TimeTally:
    """What became of the questions; errors and round trips in steps of 10 us."""

    answered: int = 0
    lost: int = 0
    under_way: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    errors: Counter[int] = field(default_factory=Counter)
    """How far the offsets were from the truth, either way."""
    round_trips: Counter[int] = field(default_factory=Counter)
    beyond_bound: int = 0
    """Answers that were wrong by more than they said they could be, and a step for reading the clocks."""

    @property
    def asked(self) -> int:
        """All questions."""
        return self.answered + self.lost + self.under_way + self.refused.total()

    def add(self, other: TimeTally) -> None:
        """Add another crowd's counts."""
        self.answered += other.answered
        self.lost += other.lost
        self.under_way += other.under_way
        self.beyond_bound += other.beyond_bound
        self.refused.update(other.refused)
        self.errors.update(other.errors)
        self.round_trips.update(other.round_trips)


class TimeExchange:
    """The questions of one crowd. `root_keys_path` is the root that its nodes have pinned."""

    def __init__(self, root_keys_path: str) -> None:
        self._root = parse_root_keys(Path(root_keys_path).read_bytes()) if root_keys_path else None
        self._keyset = b""
        self._keyring = Keyring.empty()
        self._under_way: dict[str, TimeQuestion] = {}
        self.tally = TimeTally()

    def begin(self) -> None:
        """Count anew."""
        self._under_way.clear()
        self.tally = TimeTally()

    def trust(self, keyset: bytes) -> None:
        """Take the keyset that the broker holds, if the root has signed it; all nodes get the same."""
        if keyset != self._keyset and self._root is not None:
            self._keyset = keyset
            try:
                self._keyring = Keyring.from_keyset(open_keyset(keyset, topic=KEYSET, root=self._root))
            except Refusal as refusal:
                self.tally.refused[f"keyset {refusal.reason.value}"] += 1

    def ask(self, node: str) -> bytes:
        """The node's next question; the one before is lost if it is still unanswered."""
        self.tally.lost += node in self._under_way
        question = ask(node, nonce=secrets.randbelow(NONCE_MAX), now=MonotonicNs(time.monotonic_ns()))
        self._under_way[node] = question
        self.tally.under_way = len(self._under_way)
        return question.data

    def answered(self, node: str, at: str, payload: bytes) -> None:
        """Judge an answer that has just come; one without a question is not counted."""
        received_ns, true_offset_ns = time.monotonic_ns(), time.time_ns() - time.monotonic_ns()
        question = self._under_way.pop(node, None)
        if question is None:
            return
        self.tally.under_way = len(self._under_way)
        try:
            sample = open_reply(
                payload, at=at, question=question, received=MonotonicNs(received_ns), keyring=self._keyring
            )
        except Refusal as refusal:
            self.tally.refused[refusal.reason.value] += 1
            return
        error_ns = abs(sample.offset_ns - true_offset_ns)
        self.tally.answered += 1
        self.tally.beyond_bound += error_ns > sample.error_ns + _ROUNDED_NS
        self.tally.errors[round(error_ns / _ROUNDED_NS)] += 1
        self.tally.round_trips[round(sample.round_trip_ns / _ROUNDED_NS)] += 1


def quantile_ms(counted: Counter[int], share: float) -> float | None:
    """The value that `share` of the counted do not exceed, in milliseconds; None when nothing was counted."""
    seen, wanted = 0, share * counted.total()
    for steps in sorted(counted):
        seen += counted[steps]
        if seen >= wanted:
            return steps / _STEPS_A_MS
    return None
