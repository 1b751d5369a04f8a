"""What a report is made of: its figures and its lines, as the API gives them and all who print read them.

Plain structs; they are put together by `controller.reporting.report`.
"""

from __future__ import annotations

import msgspec


class Sums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts as `outcome.COUNTS` names them, and what was due without a word having come of it."""

    items: int = 0
    aired: int = 0
    missed: int = 0
    whole: int = 0
    timed: int = 0
    punctual: int = 0
    delivered: int = 0
    heard: int = 0
    unheard: int = 0
    audible_ms: int = 0
    lost_ms: int = 0
    no_word: int = 0

    @property
    def expected(self) -> int:
        """What was due: aired, missed, and what nobody has heard of yet."""
        return self.items + self.no_word


class Watched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long clusters were connected and not, and how their self-tests went."""

    up_ms: int = 0
    down_ms: int = 0
    tests_passed: int = 0
    tests_failed: int = 0
    tests_undecided: int = 0


class KindLine(msgspec.Struct, frozen=True, kw_only=True):
    """Items of one class, kind of source and reality."""

    broadcast_class: str
    source: str
    reality: str
    sums: Sums


class FeedLine(msgspec.Struct, frozen=True, kw_only=True):
    """The streams of one station, or all live voices where `feed` is empty."""

    feed: str
    title: str
    reality: str
    items: int
    aired: int
    audible_ms: int
    nodes: int
    """Clusters on which it sounded."""


class ReasonLine(msgspec.Struct, frozen=True, kw_only=True):
    """For what reason so many were missed, on how many clusters."""

    reason: str
    reality: str
    missed: int
    nodes: int


class NodeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster: what was real, its kinds (drills among them), why it missed what."""

    node: str
    title: str
    area: str
    area_title: str
    sums: Sums
    watched: Watched
    kinds: tuple[KindLine, ...] = ()
    reasons: dict[str, int] = {}
    lost_reports: int = 0


class AreaLine(msgspec.Struct, frozen=True, kw_only=True):
    """A place directly below the one that was asked for, with all that is in it; or that one's own clusters."""

    area: str
    title: str
    nodes: int
    nodes_missing: int
    """Clusters that missed something real, or of which it is not known."""
    sums: Sums
    watched: Watched


class TimeLine(msgspec.Struct, frozen=True, kw_only=True):
    """What was real in one day or month: `when` as 2026-11-22 or 2026-11."""

    when: str
    sums: Sums


class EmergencyLine(msgspec.Struct, frozen=True, kw_only=True):
    """An emergency or a drill, and the clusters on which it did not sound, by name."""

    id: str
    title: str
    area: str
    area_title: str
    reality: str
    state: str
    raised_at_ms: int
    expected: int
    sounded: int
    missing: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is printed; `counted_share` is below 1 while reports of an earlier version are being counted."""

    controller: str
    area: str
    area_title: str
    first: str
    last: str
    time_zone: str
    made_at_ms: int
    counted_share: float
    totals: Sums
    drills: Sums
    watched: Watched
    lost_reports: int
    kinds: tuple[KindLine, ...]
    reasons: tuple[ReasonLine, ...]
    areas: tuple[AreaLine, ...]
    nodes: tuple[NodeLine, ...]
    emergencies: tuple[EmergencyLine, ...]
    times: tuple[TimeLine, ...] = ()
    feeds: tuple[FeedLine, ...] = ()
    broadcast_class: str = ""
    source: str = ""
