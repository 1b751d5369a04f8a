"""What the demo shows while it runs: a live table on a terminal, plain lines anywhere else.

It draws a `Snapshot` and decides nothing. Lines go to standard error, so that standard output stays free for
the one line of JSON.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

EVENTS_SHOWN: Final = 8
_LEVEL_FLOOR_DBFS: Final = -60.0
_LEVEL_CELLS: Final = 10
_WIDTH_MIN: Final = 100
"""Narrower, and the table would be unreadable; a terminal wraps it then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One node: what the controller says of it, and what was heard and seen of it."""

    node: str
    title: str
    village: str
    state: str
    sounding: str
    level_dbfs: float | None
    is_powered: bool | None
    faults: str
    last_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole picture of one moment."""

    elapsed_s: float
    now: str
    next: str
    address: str
    rows: tuple[Row, ...]


class Display(Protocol):
    """Where progress and the picture go."""

    def say(self, text: str) -> None:
        """One line of what happens."""

    def show(self, snapshot: Snapshot) -> None:
        """The picture of now; may be called several times a second."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainDisplay:
    """Lines, for a log or a pipe; a picture only when what happens has changed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""

    def say(self, text: str) -> None:
        """Write the line."""
        print(text, file=self._stream, flush=True)

    def show(self, snapshot: Snapshot) -> None:
        """Write what has changed since the last picture."""
        parts = [f"{row.node} {row.sounding or '-'}{' [amp]' if row.is_powered else ''}" for row in snapshot.rows]
        shown = " | ".join(parts)
        if shown != self._shown:
            self._shown = shown
            self.say(f"{snapshot.elapsed_s:6.1f} s  {shown}")

    def close(self) -> None:
        """Nothing to restore."""


class LiveDisplay:
    """The live table."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """Before the first picture a line of its own, then a line below the table."""
        if self._live is None:
            self._console.print(text, markup=False, highlight=False)
        else:
            self._events.append(text)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the picture."""
        picture = draw(snapshot, list(self._events))
        if self._live is None:
            self._live = Live(picture, console=self._console, auto_refresh=False, transient=False)
            self._live.start()
        self._live.update(picture, refresh=True)

    def close(self) -> None:
        """End the live part; the last picture stays on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def draw(snapshot: Snapshot, events: list[str]) -> Group:
    """The picture as rich draws it."""
    head = Text.assemble(
        ("LoaXa ", "bold"),
        (f"{snapshot.elapsed_s:6.1f} s   ", "dim"),
        ("now: ", "dim"),
        (snapshot.now, "bold green"),
        ("   next: ", "dim"),
        snapshot.next,
    )
    table = Table(expand=False, min_width=_WIDTH_MIN)
    columns = ("node", "village", "state", "sounds", "level", "amplifier", "faults", "last event")
    for column in columns:
        table.add_column(column, no_wrap=column in {"node", "level", "amplifier"})
    for row in snapshot.rows:
        table.add_row(
            Text(f"{row.node} {row.title}"),
            Text(row.village),
            Text(row.state, style="green" if row.state == "ready" else "red"),
            Text(row.sounding or "-"),
            level_bar(row.level_dbfs),
            _amplifier(row.is_powered),
            Text(row.faults, style="red"),
            Text(row.last_event, style="dim"),
        )
    address = Text.assemble(("page: ", "dim"), (snapshot.address, "underline"), ("   Ctrl-C ends the demo", "dim"))
    return Group(head, table, address, *(Text(event, style="dim") for event in events))


def level_bar(level_dbfs: float | None) -> Text:
    """A bar from -60 dBFS to full scale, and the figure."""
    if level_dbfs is None or level_dbfs <= _LEVEL_FLOOR_DBFS:
        return Text("·" * _LEVEL_CELLS + "      ", style="dim")
    filled = round((level_dbfs - _LEVEL_FLOOR_DBFS) / -_LEVEL_FLOOR_DBFS * _LEVEL_CELLS)
    bar = "█" * max(1, filled) + "·" * (_LEVEL_CELLS - max(1, filled))
    return Text(f"{bar} {level_dbfs:5.1f}", style="green")


def _amplifier(is_powered: bool | None) -> Text:
    if is_powered is None:
        return Text("?", style="red")
    return Text("ON", style="bold yellow") if is_powered else Text("off", style="dim")
