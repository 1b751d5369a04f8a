"""Plain aligned tables for a terminal: what `show` prints. Pure: rows in, text out."""

from __future__ import annotations

import datetime as dt
import unicodedata
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

CELL_MAX: Final = 60
"""A longer cell is cut, so that a line stays readable."""
Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row, zoneinfo.ZoneInfo], str]]


def _plain(name: str) -> Callable[[Row, zoneinfo.ZoneInfo], str]:
    return lambda row, _: "-" if row.get(name) in {None, ""} else str(row[name])


def _time(name: str) -> Callable[[Row, zoneinfo.ZoneInfo], str]:
    def show(row: Row, zone: zoneinfo.ZoneInfo) -> str:
        at_ms = row.get(name)
        return dt.datetime.fromtimestamp(at_ms / 1000, tz=zone).strftime("%Y-%m-%d %H:%M:%S") if at_ms else "-"

    return show


def _seconds(name: str) -> Callable[[Row, zoneinfo.ZoneInfo], str]:
    return lambda row, _: f"{row[name] / 1000:.1f}" if row.get(name) else "-"


def _level(row: Row, _zone: zoneinfo.ZoneInfo) -> str:
    return "-" if row.get("level_dbfs") is None else f"{row['level_dbfs']:.1f}"


def _counts(row: Row, _zone: zoneinfo.ZoneInfo) -> str:
    names = ("sounding", "late", "finished", "waiting", "missed")
    return ", ".join(f"{len(row[name])} {name}" for name in names if row[name]) or "-"


def _decision(said: Row | None) -> str:
    return "-" if said is None else f"{said['verdict']} by {said['who']} {said['reason']}".rstrip()


TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "nodes": (
        ("node", _plain("id")),
        ("title", _plain("title")),
        ("area", _plain("area")),
        ("turn", lambda row, _: str(row["turn"] + 1) if row.get("turn") else "-"),
        ("state", _plain("state")),
        ("sounding", lambda row, _: row["sounding"]["title"] if row.get("sounding") else "-"),
        ("dBFS", _level),
        ("last seen", _time("last_seen_ms")),
        ("faults", lambda row, _: ", ".join(row["faults"]) or "-"),
    ),
    "airings": (
        ("at", _time("at_ms")),
        ("node", _plain("node")),
        ("title", _plain("title")),
        ("source", _plain("source")),
        ("class", _plain("broadcast_class")),
        ("step", _plain("state")),
        ("reason", _plain("reason")),
        ("audible s", _seconds("audible_ms")),
        ("dBFS", _level),
    ),
    "plan": (
        ("at", _time("start_at_ms")),
        ("area", _plain("area")),
        ("title", _plain("title")),
        ("class", _plain("broadcast_class")),
        ("seconds", _seconds("duration_ms")),
        ("from", lambda row, _: row.get("feed") or "file"),
    ),
    "emergencies": (
        ("id", _plain("id")),
        ("kind", _plain("reality")),
        ("title", _plain("title")),
        ("area", _plain("area")),
        ("state", _plain("state")),
        ("raised", _time("raised_at_ms")),
        ("nodes", _counts),
        ("missed", lambda row, _: ", ".join(row["missed"]) or "-"),
    ),
    "audit": (
        ("number", _plain("number")),
        ("at", _time("at_ms")),
        ("who", _plain("who")),
        ("what", _plain("what")),
        ("outcome", _plain("outcome")),
        ("area", _plain("place")),
        ("from", _plain("address")),
        ("detail", _plain("detail")),
    ),
    "people": (
        ("name", _plain("name")),
        ("title", _plain("title")),
        ("state", _plain("state")),
        ("roles", _plain("roles")),
        ("second factor", _plain("factor")),
    ),
    "tokens": (
        ("id", _plain("id")),
        ("title", _plain("title")),
        ("for", _plain("person")),
        ("roles", _plain("roles")),
        ("until", _time("expires_at_ms")),
        ("used", _time("used_at_ms")),
    ),
    "silences": (
        ("area", _plain("area")),
        ("node", lambda row, _: row.get("node") or "-"),
        ("ordered", _time("ordered_at_ms")),
        ("by", _plain("by")),
        ("reason", _plain("reason")),
    ),
    "media": (
        ("id", _plain("id")),
        ("title", _plain("title")),
        ("area", _plain("area")),
        ("seconds", _seconds("duration_ms")),
        ("LUFS", lambda row, _: f"{row['found']['loudness']['integrated_lufs']:.1f}"),
        ("added", _time("added_at_ms")),
        ("by", _plain("added_by")),
        ("file", lambda row, _: "-" if row["is_there"] else "MẤT · GONE"),
    ),
    "intakes": (
        ("id", _plain("id")),
        ("title", _plain("title")),
        ("area", _plain("area")),
        ("state", _plain("state")),
        ("arrived", lambda row, _: f"{row['received_bytes']}/{row['size_bytes'] or '?'}"),
        ("measured s", _seconds("measured_ms")),
        ("begun", _time("begun_at_ms")),
        ("became", _plain("entry")),
        ("refused", lambda row, _: row["refusal"]["vi"] if row.get("refusal") else "-"),
    ),
    "programmes": (
        ("id", _plain("id")),
        ("title", _plain("title")),
        ("area", _plain("area")),
        ("class", _plain("broadcast_class")),
        ("items", _plain("items")),
        ("next", _time("next_at_ms")),
        ("version", lambda row, _: f"{row['version']} {row['who']}" if row["version"] else row["source"]),
        ("state", lambda row, _: "archived" if row["is_archived"] else "standing"),
    ),
    "bulletins": (
        ("id", _plain("id")),
        ("title", _plain("title")),
        ("area", _plain("area")),
        ("class", _plain("broadcast_class")),
        ("state", _plain("state")),
        ("airs", lambda row, _: f"version {row['airs_version']}" if row["airs_version"] else "-"),
        ("until", _plain("valid_until")),
        ("version", _plain("version")),
        ("by", _plain("who")),
    ),
    "versions": (
        ("version", _plain("version")),
        ("at", _time("at_ms")),
        ("by", _plain("who")),
        ("change", lambda row, _: f"{row['change']} {row['restores'] or ''}".rstrip()),
        ("decision", lambda row, _: _decision(row.get("decision"))),
    ),
    "relays": (
        ("stream", _plain("stream")),
        ("title", _plain("title")),
        ("speaker", _plain("speaker")),
        ("area", _plain("area")),
        ("state", _plain("state")),
        ("from", _time("starts_at_ms")),
        ("until", _time("ends_at_ms")),
        ("reason", _plain("reason")),
    ),
}


def table_of(rows: Sequence[Row], columns: Sequence[Column], *, time_zone: str) -> str:
    """Rows under their headings, each column as wide as its widest cell; a sentence when there are none."""
    if not rows:
        return "nothing to show"
    zone = zoneinfo.ZoneInfo(time_zone)
    cells = [[title for title, _ in columns]]
    cells += [[_cut(show(row, zone)) for _, show in columns] for row in rows]
    widths = [max(_width(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cut(text: str) -> str:
    """One line without control characters: titles and reasons come from outside."""
    clean = "".join(each if each.isprintable() else " " for each in text)
    return clean if len(clean) <= CELL_MAX else clean[: CELL_MAX - 1] + "…"


def _width(text: str) -> int:
    """Columns on a terminal: combining marks take none, wide characters two."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )
