"""A node's lives are told apart by a number that rises, also with a clock that does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.adapters.session_epoch import EPOCH_MAX, FILE, next_session_epoch


def test_it_is_the_clock_where_that_goes_on(tmp_path: Path) -> None:
    before = time.time_ns() // 10**6
    epoch = next_session_epoch(tmp_path / "state")
    assert before <= epoch <= time.time_ns() // 10**6
    assert next_session_epoch(tmp_path / "state") > epoch


def test_a_clock_that_has_gone_back_makes_no_earlier_life(tmp_path: Path) -> None:
    ahead = time.time_ns() // 10**6 + 10 * 365 * 86_400_000
    (tmp_path / FILE).write_text(f"{ahead}\n")
    assert [next_session_epoch(tmp_path) for _ in range(3)] == [ahead + 1, ahead + 2, ahead + 3]


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"-5\n", b"1e9", str(EPOCH_MAX).encode(), b"9" * 100])
def test_a_damaged_file_leaves_it_to_the_clock(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE).write_bytes(damage)
    assert abs(next_session_epoch(tmp_path) - time.time_ns() // 10**6) < 60_000


def test_a_card_that_cannot_be_written_leaves_it_to_the_clock(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert abs(next_session_epoch(tmp_path / "file" / "state") - time.time_ns() // 10**6) < 60_000
