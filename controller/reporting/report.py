"""A report: what was aired in a place over a period, what was missed and why, and how far that is proven.

Put together from the sums of the store and the places of the site as they are configured now; pure. A cluster that is
configured no more is in the report of everything, under no place. Drills are counted beside what was real, never with
it. How a report looks is decided by `controller.reporting.sheets` and those who print.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from controller.areas import AreaTree
from controller.reporting.lines import (
    AreaLine,
    EmergencyLine,
    FeedLine,
    KindLine,
    NodeLine,
    ReasonLine,
    Report,
    Sums,
    TimeLine,
    Watched,
)
from controller.reporting.outcome import COUNTS
from controller.reporting.periods import Period
from controller.reporting.questions import (
    EmergencyAnswers,
    FeedRow,
    NodeRow,
    TallyAnswer,
    TallyQuestion,
    TallyRow,
    TimeRow,
)
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


class Station(Protocol):
    """A configured feed, as far as a report names it."""

    @property
    def title(self) -> str:
        """What people call it."""


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

    @property
    def feeds(self) -> Mapping[str, Station]:
        """The stations by name."""

    def nodes_below(self, area: str) -> tuple[str, ...]:
        """Names of the clusters in an area or anything within it."""


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
        feeds=_feeds(site, answer.feeds),
        emergencies=tuple(_emergency_line(site, each, question) for each in answer.emergencies),
        broadcast_class=question.broadcast_class,
        source=question.source,
    )


def added(sums: Iterable[Sums]) -> Sums:
    """All of them together."""
    totals = dict.fromkeys(Sums.__struct_fields__, 0)
    for each in sums:
        for name in totals:
            totals[name] += getattr(each, name)
    return Sums(**totals)


def _sums(row: TallyRow | TimeRow) -> Sums:
    return Sums(**dict(zip(COUNTS, row.counts, strict=True)), no_word=row.no_word)


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
            key=lambda each: (each.reality == Reality.DRILL, -each.sums.expected, each.broadcast_class, each.source),
        )
    )


def _feeds(site: Places, rows: Iterable[FeedRow]) -> tuple[FeedLine, ...]:
    """One line for each station, what is real first, the longest first."""
    grouped: dict[tuple[str, str], list[FeedRow]] = defaultdict(list)
    for row in rows:
        grouped[row.feed, row.reality].append(row)
    lines = [
        FeedLine(
            feed=feed,
            title=site.feeds[feed].title if feed in site.feeds else feed,
            reality=reality,
            items=sum(row.items for row in found),
            aired=sum(row.aired for row in found),
            audible_ms=sum(row.audible_ms for row in found),
            nodes=len({row.node for row in found if row.aired}),
        )
        for (feed, reality), found in grouped.items()
    ]
    return tuple(sorted(lines, key=lambda each: (each.reality == Reality.DRILL, -each.audible_ms, each.feed)))


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
    """Every cluster of the place, the worst first; those that only the store knows where all are asked."""
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
    return tuple(sorted(lines, key=_worst_first))


def _worst_first(line: NodeLine) -> tuple[int, str, str, str]:
    return -line.sums.missed - line.sums.no_word, line.area_title, line.title, line.node


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
            nodes_missing=sum(1 for line in grouped[place] if line.sums.missed or line.sums.no_word),
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
        grouped[_when(row.key, is_by_day=is_by_day)].append(_sums(row))
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
