"""A report: what was aired in a place over a period, what was missed and why, and how far that is proven.

Put together from the sums of the store and the places of the site as they are configured now; pure. A cluster that is
configured no more is in the report of everything, under no place. Drills are counted beside what was real, never with
it. How a report looks is decided by `controller.reporting.sheets` and those who print.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import msgspec

from controller.areas import AreaTree
from controller.reporting.outcome import COUNTS
from controller.reporting.periods import Period
from controller.reporting.questions import EmergencyAnswers, NodeRow, TallyAnswer, TallyQuestion, TallyRow
from protocol.messages import Reality

_DAYS_FROM: Final = 10**6
"""Above it a key is a day, below it a month."""


class Cluster(Protocol):
    """A configured cluster, as far as a report names it."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def area(self) -> str:
        """Where it stands."""


class Places(Protocol):
    """What a report needs of the site."""

    @property
    def controller(self) -> str:
        """Who reports."""

    @property
    def time_zone(self) -> str:
        """Whose days."""

    @property
    def tree(self) -> AreaTree:
        """The places."""

    @property
    def nodes(self) -> Mapping[str, Cluster]:
        """The clusters by name."""

    def nodes_below(self, area: str) -> tuple[str, ...]:
        """Names of the clusters in an area or anything within it."""


class Sums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts as `outcome.COUNTS` names them."""

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
    """Clusters that missed something real."""
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
    broadcast_class: str = ""
    source: str = ""


def question_of(
    site: Places, *, area: str, period: Period, broadcast_class: str = "", source: str = ""
) -> TallyQuestion:
    """What to ask the store for a report on an area; on everything where it is empty."""
    nodes = site.nodes_below(area) if area else None
    return TallyQuestion(period=period, nodes=nodes, broadcast_class=broadcast_class, source=source)


def report_of(site: Places, *, area: str, question: TallyQuestion, answer: TallyAnswer, made_at_ms: int) -> Report:
    """The report on an area, from what the store answered."""
    nodes = _node_lines(site, area, answer)
    return Report(
        controller=site.controller,
        area=area,
        area_title=site.tree.title(area) if area else "",
        first=question.period.first.isoformat(),
        last=question.period.last.isoformat(),
        time_zone=site.time_zone,
        made_at_ms=made_at_ms,
        counted_share=answer.counted_share,
        totals=added(line.sums for line in nodes),
        drills=added(_sums(row) for row in answer.tallies if row.reality == Reality.DRILL),
        watched=_watched_together(line.watched for line in nodes),
        lost_reports=sum(line.lost_reports for line in nodes),
        kinds=_kinds(answer.tallies),
        reasons=_reasons(answer),
        areas=_area_lines(site, area, nodes),
        nodes=nodes,
        times=_times(question.period, answer),
        emergencies=tuple(_emergency_line(site, each, question) for each in answer.emergencies),
        broadcast_class=question.broadcast_class,
        source=question.source,
    )


def added(sums: Iterable[Sums]) -> Sums:
    """All of them together."""
    totals = dict.fromkeys(COUNTS, 0)
    for each in sums:
        for name in COUNTS:
            totals[name] += getattr(each, name)
    return Sums(**totals)


def _sums(row: TallyRow) -> Sums:
    return Sums(**dict(zip(COUNTS, row.counts, strict=True)))


def _kinds(rows: Iterable[TallyRow]) -> tuple[KindLine, ...]:
    """One line for each kind, what is real first, the most items first."""
    grouped: dict[tuple[str, str, str], list[Sums]] = defaultdict(list)
    for row in rows:
        grouped[row.broadcast_class, row.source, row.reality].append(_sums(row))
    lines = [
        KindLine(broadcast_class=kind[0], source=kind[1], reality=kind[2], sums=added(sums))
        for kind, sums in grouped.items()
    ]
    return tuple(
        sorted(
            lines,
            key=lambda each: (each.reality == Reality.DRILL, -each.sums.items, each.broadcast_class, each.source),
        )
    )


def _reasons(answer: TallyAnswer) -> tuple[ReasonLine, ...]:
    missed: dict[tuple[str, str], int] = defaultdict(int)
    where: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in answer.reasons:
        missed[row.reason, row.reality] += row.missed
        where[row.reason, row.reality].add(row.node)
    lines = [
        ReasonLine(reason=reason, reality=reality, missed=count, nodes=len(where[reason, reality]))
        for (reason, reality), count in missed.items()
    ]
    return tuple(sorted(lines, key=lambda each: (each.reality == Reality.DRILL, -each.missed, each.reason)))


def _node_lines(site: Places, area: str, answer: TallyAnswer) -> tuple[NodeLine, ...]:
    """Every cluster of the place, those that missed most first; those that only the store knows where all are asked."""
    rows: dict[str, list[TallyRow]] = defaultdict(list)
    for row in answer.tallies:
        rows[row.node].append(row)
    reasons: dict[str, dict[str, int]] = defaultdict(dict)
    for each in answer.reasons:
        if each.reality != Reality.DRILL:
            reasons[each.node][each.reason] = reasons[each.node].get(each.reason, 0) + each.missed
    watched = {row.node: row for row in answer.nodes}
    names = dict.fromkeys(site.nodes_below(area) if area else site.nodes)
    names |= dict.fromkeys(() if area else sorted({*rows, *watched}))
    lines = []
    for name in names:
        known = site.nodes.get(name)
        lines.append(
            NodeLine(
                node=name,
                title=known.title if known else name,
                area=known.area if known else "",
                area_title=site.tree.title(known.area) if known else "",
                sums=added(_sums(row) for row in rows[name] if row.reality != Reality.DRILL),
                watched=_watched(watched.get(name)),
                kinds=_kinds(rows[name]),
                reasons=dict(sorted(reasons[name].items(), key=lambda each: (-each[1], each[0]))),
                lost_reports=answer.lost_reports.get(name, 0),
            )
        )
    return tuple(sorted(lines, key=lambda line: (-line.sums.missed, line.area_title, line.title, line.node)))


def _watched(row: NodeRow | None) -> Watched:
    if row is None:
        return Watched()
    return Watched(**{name: getattr(row, name) for name in Watched.__struct_fields__})


def _watched_together(each: Iterable[Watched]) -> Watched:
    totals = dict.fromkeys(Watched.__struct_fields__, 0)
    for watched in each:
        for name in totals:
            totals[name] += getattr(watched, name)
    return Watched(**totals)


def _area_lines(site: Places, area: str, nodes: Iterable[NodeLine]) -> tuple[AreaLine, ...]:
    """The places directly below, in the order of the configuration; what lies in none of them first."""
    below = [each for each in site.tree.areas if each.parent == (area or None)]
    place_of = {inner: each.id for each in below for inner in site.tree.below(each.id)}
    grouped: dict[str, list[NodeLine]] = defaultdict(list)
    for line in nodes:
        grouped[place_of.get(line.area, "")].append(line)
    titles: Mapping[str, str] = {"": site.tree.title(area) if area else "", **{each.id: each.title for each in below}}
    return tuple(
        AreaLine(
            area=place or area,
            title=title,
            nodes=len(grouped[place]),
            nodes_missing=sum(1 for line in grouped[place] if line.sums.missed),
            sums=added(line.sums for line in grouped[place]),
            watched=_watched_together(line.watched for line in grouped[place]),
        )
        for place, title in titles.items()
        if grouped[place]
    )


def _times(period: Period, answer: TallyAnswer) -> tuple[TimeLine, ...]:
    """Day by day, those without anything too; of a long period month by month, cut-off months in their days."""
    is_by_day = all(key > _DAYS_FROM for key in period.series)
    grouped: dict[str, list[Sums]] = {_when(key, is_by_day=is_by_day): [] for key in period.series}
    for row in answer.times:
        grouped[_when(row.key, is_by_day=is_by_day)].append(Sums(**dict(zip(COUNTS, row.counts, strict=True))))
    return tuple(TimeLine(when=when, sums=added(sums)) for when, sums in sorted(grouped.items()))


def _when(key: int, *, is_by_day: bool) -> str:
    month = key // 100 if key > _DAYS_FROM else key
    text = f"{month // 100:04}-{month % 100:02}"
    return f"{text}-{key % 100:02}" if is_by_day else text


def _emergency_line(site: Places, answers: EmergencyAnswers, question: TallyQuestion) -> EmergencyLine:
    record = answers.record
    asked = None if question.nodes is None else frozenset(question.nodes)
    expected = [node for node in record.expected if asked is None or node in asked]
    missing = [node for node in expected if node not in answers.sounded]
    return EmergencyLine(
        id=record.id,
        title=record.title,
        area=record.area,
        area_title=site.tree.title(record.area),
        reality=Reality(record.reality).value,
        state=record.state.value,
        raised_at_ms=record.raised_at_ms,
        expected=len(expected),
        sounded=len(expected) - len(missing),
        missing=tuple(site.nodes[node].title if node in site.nodes else node for node in missing),
    )
