"""Puts a table into a document, between two marks, so that what stands there is what a command has written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

WORDS: Final = 2
"""The first columns hold words and stand on the left; figures stand on the right."""


def put_table(document: Path, name: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->`; raises ValueError without them."""
    begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
    text = document.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{document}: no place for the table: it needs the lines {begin.strip()} and {end}")
    document.write_text(before + begin + markdown_of(rows) + ended + after, encoding="utf-8")


def markdown_of(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a table, padded so that it can be read as it is; the keys of the first are its head."""
    head = list(rows[0])
    cells = [head, *([row[key] for key in head] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [_line(row, widths) for row in cells]
    rule = ["-" * width if column < WORDS else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([lines[0], _line(rule, widths), *lines[1:]]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.ljust(width) if column < WORDS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join(padded) + " |"
