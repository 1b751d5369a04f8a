"""Draws how far apart neighbours are over time, for both systems.

It needs matplotlib, which nothing else here does: it is loaded when a picture is wanted.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.sync.report import Compared

OURS: Final = "#0b6e4f"
PEERS: Final = "#c1440e"
DPI: Final = 100
PANEL_INCHES: Final = (9.0, 3.2)


def draw(compared: Sequence[Compared], path: Path) -> None:
    """One panel a case, both systems in it. Raises ModuleNotFoundError without matplotlib."""
    importlib.import_module("matplotlib").use("Agg")  # the picture goes to a file
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    width, height = PANEL_INCHES
    figure, panels = pyplot.subplots(
        len(compared), 1, figsize=(width, height * len(compared)), sharex=True, squeeze=False
    )
    for panel, each in zip(panels[:, 0], compared, strict=True):
        for name, figures, colour in (("Snapcast's method", each.peers, PEERS), ("LoaXa", each.ours, OURS)):
            panel.plot(
                figures.instants_s / 60.0,
                figures.difference_ms,
                color=colour,
                linewidth=1.1,
                label=f"{name}: 95 % of the time within {figures.quantiles_ms[1]:.2g} ms",
            )
        panel.set_title(f"{each.case.name} (both poles)", loc="left", fontsize=11)
        panel.set_ylabel("between the two poles\n(milliseconds)")
        panel.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
        panel.grid(visible=True, alpha=0.25)
        panel.legend(loc="center right", fontsize=9, frameon=False)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("minutes since the first sound")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)
