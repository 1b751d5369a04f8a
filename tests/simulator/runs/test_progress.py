"""The line of progress: for a person who looks, by cost, and for nobody else."""

from __future__ import annotations

import io

from simulator.runs.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_counts_runs_and_findings_and_is_gone_at_the_end() -> None:
    terminal = Terminal()
    progress = Progress(3, 30, to=terminal)
    progress.show(cost=10, is_good=False)
    assert "1 of 3 runs, 1 with findings, 0:00 left" in terminal.getvalue()
    progress.end()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_what_is_no_terminal_is_told_nothing() -> None:
    pipe = io.StringIO()
    progress = Progress(1, 10, to=pipe)
    progress.show(cost=10, is_good=True)
    progress.end()
    assert not pipe.getvalue()
