"""The figures of both systems as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measure import quantile
from benchmarks.sync.cases import Case
from benchmarks.sync.run import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One case of both systems."""

    case: Case
    ours: Figures
    peers: Figures

    @property
    def p95_ratio(self) -> float:
        """Ours by the peer's."""
        return self.ours.quantiles_ms[1] / self.peers.quantiles_ms[1]


def rows_of(compared: Sequence[Compared]) -> list[dict[str, str]]:
    """Two rows for each case: ours, then the peer's."""
    rows = []
    for each in compared:
        rows.append(_row(each.case.name, "LoaXa", each.ours, f"{each.p95_ratio:.3f}"))
        rows.append(_row("", "Snapcast", each.peers, ""))
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """How far apart one system's neighbours were at the first sound, over many beginnings of one case."""

    case: Case
    system: str
    first_ms: Sequence[float]


def start_rows_of(starts: Sequence[Starts]) -> list[dict[str, str]]:
    """One row for each case and system."""
    return [
        {
            "case": each.case.name,
            "system": each.system,
            "beginnings": str(len(each.first_ms)),
            "p50": _ms(quantile(each.first_ms, 0.5)),
            "p95": _ms(quantile(each.first_ms, 0.95)),
            "largest": _ms(max(each.first_ms)),
        }
        for each in starts
    ]


def _row(case: str, system: str, figures: Figures, ratio: str) -> dict[str, str]:
    p50, p95, p999 = (_ms(value) for value in figures.quantiles_ms)
    lost = f"{figures.lost_ms:.0f} in {figures.breaks}" if figures.lost_ms else "0"
    return {
        "case": case,
        "system": system,
        "p50": p50,
        "p95": p95,
        "p99.9": p999,
        "p95 ratio": ratio,
        "clock": _ms(figures.clock_ms[1]),
        "first": _ms(figures.first_ms),
        "aligned": "never" if figures.aligned_s is None else f"{figures.aligned_s:.1f}",
        "ppm": f"{figures.correction_ppm_max:.0f}",
        "lost": lost,
        "restarts": str(figures.restarts),
    }


def _ms(value: float) -> str:
    """Three digits after the point below a millisecond, fewer above."""
    return f"{value:.3f}" if abs(value) < 1.0 else f"{value:.2f}"
