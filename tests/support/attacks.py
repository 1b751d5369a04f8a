"""What an attack is, and the table of those that were made: attack, what counted it, samples that were heard of it.

The list in docs/security.md is compared with `Attack` lists and `named` calls by tests/attacks/test_list.py, so that
what is documented is what is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.besieged import Besieged

TITLE = "attacks"
OTHERS = {
    "replayed after a power cut": "replayed",
    "10,000 messages of garbage a second, by the broker": "too_often, malformed, bad_signature, unknown_key",
    "10,000 messages of garbage a second, by a node": "the broker's rules",
    "a node in another node's name": "the broker's rules",
    "a node on an area's topic": "the broker's rules",
    "a certificate of another authority": "TLS",
    "a claim code used again": "claim_used",
    "claim codes guessed": "wrong_claim, then too_many_guesses",
    "an SD card in another box": "no identity in that box",
    "a rogue broker with a valid name": "TLS",
    "a broker that is an enemy": "wrong_audience, unknown_stream, unknown_topic, replayed, too_large",
}
"""Attacks that are more than one act, and what stops them; each is a row that a test adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One kind of attack on running processes: what is done, and which counters of the node rise by how much."""

    name: str
    does: Callable[[Besieged], None]
    counted: Mapping[str, int]


@dataclass(slots=True)
class Row:
    """One line of the table."""

    attack: str
    stopped_by: str
    samples: int = 0


@dataclass(slots=True)
class AttackTable:
    """Every attack that was made in this run."""

    rows: list[Row] = field(default_factory=list)

    def add(self, attack: str, stopped_by: str | Mapping[str, int], samples: int) -> Row:
        """Put an attack on record."""
        assert not isinstance(stopped_by, str) or stopped_by == OTHERS.get(attack), attack
        text = stopped_by if isinstance(stopped_by, str) else ", ".join(f"{key} {n}" for key, n in stopped_by.items())
        row = Row(attack=attack, stopped_by=text, samples=samples)
        self.rows.append(row)
        return row

    def lines(self) -> list[str]:
        """For a terminal."""
        if not self.rows:
            return []
        widths = [max(len(row.attack) for row in self.rows), max(len(row.stopped_by) for row in self.rows)]
        head = f"{'attack':<{widths[0]}}  {'counted as, or stopped by':<{widths[1]}}  samples heard"
        made = [f"{row.attack:<{widths[0]}}  {row.stopped_by:<{widths[1]}}  {row.samples}" for row in self.rows]
        return [head, *made]
