"""A report over one year of 4,000 clusters, from the counts in a real SQLite, beside plain SQL over the raw reports.

The counts of every day and month are written as the controller keeps them, and twelve drills; the report is that of a
year of authorities (15 December to 14 December: eleven months and 31 days), asked for and put together as
`loaxa-controller report` has it.
The peer adds up the stored reports themselves, as one would without counts: a GROUP BY over the JSON of the records, of
as many clusters as fit into a few minutes, and its time is multiplied up to 4,000 (it scans every row once).

CPU seconds, for others share the machine. Run: `./scripts/bench report_year`.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from benchmarks.measure import print_table
from controller.adapters.database import SqlDatabase, open_database
from controller.adapters.reporting.printed import pdf_of
from controller.adapters.reporting.spreadsheets import csv_of, xlsx_of
from controller.adapters.reporting.tally_store import TallyStore
from controller.areas import Area, AreaTree
from controller.records import EmergencyRecord, EmergencyState, StoredReport
from controller.reporting.lines import Report
from controller.reporting.outcome import COUNTS
from controller.reporting.periods import Period, period_of
from controller.reporting.report import question_of, report_of
from protocol.messages import AiringRecord, AiringState, BroadcastClass, MediaReference, Reality, SourceKind

FIRST: Final = dt.date(2025, 12, 1)
DAYS: Final = 396
KINDS: Final = (("routine", "media"), ("routine", "stream"), ("priority", "media"))
ITEMS_A_DAY: Final = 6
"""Of one cluster: what two sessions of three items make."""
DRILLS: Final = 12
YEAR_BEGAN_MS: Final = 1_765_753_200_000
"""15 December 2025."""
PEER_CLUSTERS: Final = 40
TARGET_S: Final = 5.0
DAY_MS: Final = 86_400_000
BATCH: Final = 64
"""Reports in one transaction, as `commit_writer` has them when a programme ends everywhere."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=4_000, help="how many clusters (default: 4000)")
    clusters = parser.parse_args(arguments).clusters
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measured(Path(folder), clusters))


async def _measured(folder: Path, clusters: int) -> int:
    site = _province(clusters)
    path = folder / "controller.sqlite"
    database = await open_database(f"sqlite:///{path}")
    _write_counts(path, clusters)
    size = sum(each.stat().st_size for each in folder.glob("controller.sqlite*")) / 2**20  # noqa: ASYNC240 - nothing waits
    await _write_drills(database, clusters)
    store = TallyStore(database)
    year = period_of(first="", last="", year="2026", today=dt.date(2026, 12, 15))
    month = period_of(first="", last="", month="2026-11", today=dt.date(2026, 12, 15))
    whole, year_s = await _report(store, site, "", year)
    commune, commune_s = await _report(store, site, "xa-7", year)
    rows = [
        _row(f"year, {clusters} clusters: figures", year_s, whole),
        _row("year, one commune: figures", commune_s, commune),
    ]
    of_month, month_s = await _report(store, site, "", month)
    rows.append(_row(f"month, {clusters} clusters: figures", month_s, of_month))
    for name, make in (("PDF", pdf_of), ("XLSX", xlsx_of), ("CSV", csv_of), ("JSON", msgspec.json.encode)):
        rows.append(_row(f"year, {clusters} clusters: {name} of it", _cpu_s(make, whole)[1], whole))
    await database.close()
    peer_s, peer_rows = await _peer(folder)
    times = clusters / PEER_CLUSTERS
    rows.append(
        {
            "what": f"peer: GROUP BY over {peer_rows * times:,.0f} reports",
            "CPU s": f"{peer_s * times:.1f} ({peer_s:.2f} measured of {PEER_CLUSTERS} clusters, x {times:.0f})",
            "items": "",
        }
    )
    note = f"target <= {TARGET_S:.0f} s for the year's figures; the counts of 13 months fill {size:.0f} MiB"
    print_table("Reports from counts", rows, note=note)
    await _print_cost(folder)
    return 0 if year_s <= TARGET_S else 1


async def _report(store: TallyStore, site: Province, area: str, period: Period) -> tuple[Report, float]:
    begun = time.process_time()
    question = question_of(site, area=area, period=period)
    answer = await store.answer(question)
    report = report_of(site, area=area, question=question, answer=answer, made_at_ms=1)
    return report, time.process_time() - begun


def _cpu_s(make: Callable[[Report], bytes], report: Report) -> tuple[int, float]:
    begun = time.process_time()
    size = len(make(report))
    return size, time.process_time() - begun


def _row(what: str, cpu_s: float, report: Report) -> dict[str, str]:
    return {"what": what, "CPU s": f"{cpu_s:.2f}", "items": f"{report.totals.expected:,}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pole:
    """One cluster."""

    title: str
    area: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Province:
    """Communes of twenty clusters; `controller.reporting.report.Places`."""

    tree: AreaTree
    nodes: dict[str, Pole]
    controller: str = "controller1"
    time_zone: str = "Asia/Ho_Chi_Minh"
    feeds: Mapping[str, Pole] = field(default_factory=dict)

    def nodes_below(self, area: str) -> tuple[str, ...]:
        """The clusters of an area."""
        below = self.tree.below(area)
        return tuple(name for name, pole in self.nodes.items() if pole.area in below)


def _province(clusters: int) -> Province:
    communes = max(1, clusters // 20)
    areas = [Area(id="tinh", title="Tỉnh", level="province")]
    areas += [Area(id=f"xa-{each}", title=f"Xã {each}", level="commune", parent="tinh") for each in range(communes)]
    poles = {f"N{at:05}": Pole(title=f"Cụm loa {at}", area=f"xa-{at % communes}") for at in range(clusters)}
    return Province(tree=AreaTree(areas), nodes=poles)


def _write_counts(path: Path, clusters: int) -> None:
    """Thirteen months of counts by day and by month, as the controller would have kept them."""
    days = [FIRST + dt.timedelta(days=each) for each in range(DAYS)]
    months = sorted({day.year * 100 + day.month for day in days})
    periods = [(each, 30) for each in months] + [(day.year * 10_000 + day.month * 100 + day.day, 1) for day in days]
    marks = ", ".join("?" * (5 + len(COUNTS)))
    with sqlite3.connect(path) as connection:
        connection.executemany(f"INSERT INTO tallies VALUES ({marks})", _tallies(periods, clusters))  # noqa: S608 - placeholders only
        connection.executemany("INSERT INTO expected_items VALUES (?, ?, ?, ?, ?, ?, ?)", _expected(periods, clusters))
        connection.executemany("INSERT INTO tally_feeds VALUES (?, ?, ?, ?, ?, ?, ?)", _feeds(periods, clusters))
        connection.executemany("INSERT INTO tally_reasons VALUES (?, ?, ?, ?, ?, ?, ?)", _reasons(periods, clusters))
        connection.executemany("INSERT INTO node_days VALUES (?, ?, ?, ?, ?, ?, ?)", _node_days(periods, clusters))
    connection.close()


async def _write_drills(database: SqlDatabase, clusters: int) -> None:
    """A drill a month on every cluster, with what each cluster said of it; not counted once more."""
    await _put_off(database)
    nodes = tuple(f"N{each:05}" for each in range(clusters))
    for month in range(DRILLS):
        at_ms = YEAR_BEGAN_MS + (30 * month + 5) * DAY_MS
        drill = EmergencyRecord(
            id=f"drill-{month}",
            area="tinh",
            title="Diễn tập",
            clip_id="drill",
            clip=MediaReference(sha256="a" * 64, size_bytes=1, duration_ms=1),
            reality=Reality.DRILL,
            state=EmergencyState.ALL_CLEAR,
            raised_at_ms=at_ms,
            play_at_ms=at_ms,
            repeat_every_ms=1,
            sounds_until_ms=at_ms,
            expected=nodes,
        )
        steps = [
            msgspec.structs.replace(_step(0, 0, at_ms, state), source_id=drill.id, source=SourceKind.EMERGENCY)
            for state in (AiringState.STARTED, AiringState.FINISHED)
        ]
        reports = [
            _stored(node, 10**6 + 2 * month + number, step)
            for node in nodes[: -clusters // 100]
            for number, step in enumerate(steps)
        ]
        await database.commit([drill, *reports])


def _tallies(periods: list[tuple[int, int]], clusters: int) -> Iterator[tuple[Any, ...]]:
    for (period, days), node, (kind, source) in itertools.product(periods, range(clusters), KINDS):
        items, missed = 2 * days, (node + period) % 50 == 0
        plain = {"items": items, "aired": items - missed, "missed": missed, "whole": items - missed, "timed": items}
        counts = {**plain, "punctual": items - missed, "delivered": items, "heard": 1, "audible_ms": items * 900_000}
        yield (period, f"N{node:05}", kind, source, "real", *(int(counts.get(name, 0)) for name in COUNTS))


def _expected(periods: list[tuple[int, int]], clusters: int) -> Iterator[tuple[Any, ...]]:
    """Every hundredth cluster is dead on some days, so that more was due than came back."""
    for (period, days), node, (kind, source) in itertools.product(periods, range(clusters), KINDS):
        yield period, f"N{node:05}", kind, source, "real", 2 * days + ((node + period) % 100 == 0), 0


def _feeds(periods: list[tuple[int, int]], clusters: int) -> Iterator[tuple[Any, ...]]:
    for (period, days), node in itertools.product(periods, range(clusters)):
        yield period, f"N{node:05}", f"feed-{node % 5}", "real", 2 * days, 2 * days, 2 * days * 900_000


def _reasons(periods: list[tuple[int, int]], clusters: int) -> Iterator[tuple[Any, ...]]:
    for (period, _), node in itertools.product(periods, range(clusters)):
        if (node + period) % 50 == 0:
            for kind, source in KINDS:
                yield period, f"N{node:05}", kind, source, "real", "media_missing", 1


def _node_days(periods: list[tuple[int, int]], clusters: int) -> Iterator[tuple[Any, ...]]:
    for (period, days), node in itertools.product(periods, range(clusters)):
        yield period, f"N{node:05}", days * (DAY_MS - 60_000), days * 60_000, days, 0, 0


async def _peer(folder: Path) -> tuple[float, int]:
    """Add up the raw reports of some clusters over the year."""
    path = folder / "raw.sqlite"
    await (await open_database(f"sqlite:///{path}")).close()
    columns = "node, report_key, number, sha256, sealed, record, is_airing, source_id, at_ms, received_at_ms"
    with sqlite3.connect(path) as connection:
        rows = connection.executemany(
            f"INSERT INTO reports ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names from above
            (_raw(report) for report in _raw_year()),
        ).rowcount
    begun = time.process_time()
    wanted = """
        SELECT node, json_extract(record, '$.broadcast_class'), json_extract(record, '$.source'),
               count(DISTINCT source_id), sum(json_extract(record, '$.state') = 'missed'),
               sum(json_extract(record, '$.audible_ms'))
        FROM reports WHERE is_airing AND at_ms BETWEEN ? AND ? GROUP BY 1, 2, 3"""
    found = connection.execute(wanted, (0, 2**52)).fetchall()
    peer_s = time.process_time() - begun
    connection.close()
    if len(found) != PEER_CLUSTERS:
        sys.exit("the peer's answer is not what was stored")
    return peer_s, rows


def _raw_year() -> Iterator[StoredReport]:
    numbers = itertools.count(1)
    first_ms = YEAR_BEGAN_MS
    for node, day, item in itertools.product(range(PEER_CLUSTERS), range(365), range(ITEMS_A_DAY)):
        for state in (AiringState.STARTED, AiringState.FINISHED):
            yield _stored(f"N{node:05}", next(numbers), _step(day, item, first_ms + day * DAY_MS, state))


def _step(day: int, item: int, at_ms: int, state: AiringState) -> AiringRecord:
    return AiringRecord(
        airing=f"morning.{day}.{item}:{at_ms}",
        source=SourceKind.MEDIA,
        source_id=f"morning.{day}.{item}",
        title="Bản tin sáng của xã",
        broadcast_class=BroadcastClass.ROUTINE,
        reality=Reality.REAL,
        state=state,
        at_ms=at_ms,
        reason="on time" if state is AiringState.STARTED else "finished",
        audible_ms=0 if state is AiringState.STARTED else 900_000,
        due_at_ms=at_ms,
        programme="morning",
    )


def _stored(node: str, number: int, record: AiringRecord) -> StoredReport:
    return StoredReport(
        node=node,
        report_key="f" * 64,
        number=number,
        sha256=bytes(32),
        sealed=bytes(400),
        record=record,
        received_at_ms=record.at_ms,
    )


def _raw(report: StoredReport) -> tuple[Any, ...]:
    record = report.record
    text = msgspec.json.encode(record).decode()
    place = (report.node, report.report_key, report.number, report.sha256, report.sealed)
    return (*place, text, True, getattr(record, "source_id", ""), record.at_ms, report.received_at_ms)


async def _print_cost(folder: Path) -> None:
    """What counting adds to storing: the same reports with the counts kept, and with counting put off."""
    nodes, items = 500, 4
    found = {}
    for name in ("stored and counted", "stored only"):
        database = await open_database(f"sqlite:///{folder / name.replace(' ', '-')}.sqlite")
        if name == "stored only":
            await _put_off(database)
        reports = [
            _stored(f"N{node:05}", 2 * item + step, _step(0, item, DAY_MS, state))
            for item in range(items)
            for step, state in enumerate((AiringState.STARTED, AiringState.FINISHED), start=1)
            for node in range(nodes)
        ]
        begun = time.process_time()
        for begin in range(0, len(reports), BATCH):
            await database.commit(reports[begin : begin + BATCH])
        found[name] = 1000 * (time.process_time() - begun) / len(reports)
        await database.close()
    rows = [{"what": name, "CPU ms a report": f"{cost:.3f}"} for name, cost in found.items()]
    print_table(f"Storing reports, {BATCH} in a transaction", rows)


async def _put_off(database: SqlDatabase) -> None:
    """As if all reports were old ones: none is counted when it is stored."""
    async with database.connection() as connection, connection.begin():
        await connection.execute(sa.text("UPDATE tally_state SET until_row = 1000000000"))


if __name__ == "__main__":
    sys.exit(main())
