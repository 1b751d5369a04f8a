"""The converter's files as Linux shows them: currents, voltages, offsets, and what is wrong with them in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.adapters.current_meter import CurrentMeter
from edge.errors import HearingError


def channel(folder: Path, **files: str) -> Path:
    """A channel's files."""
    for name, text in files.items():
        (folder / f"in_channel0_{name}").write_text(text)
    return folder / "in_channel0_raw"


def test_a_current_is_raw_and_offset_times_scale_in_milliamperes(tmp_path: Path) -> None:
    raw = channel(tmp_path, raw="1200\n", scale="0.5\n", offset="-200\n")
    assert CurrentMeter(raw, amperes_per_volt=None).read() == pytest.approx(0.5)


def test_a_voltage_stands_for_a_current_and_what_is_not_there_is_one_and_zero(tmp_path: Path) -> None:
    raw = channel(tmp_path, raw="1500")
    assert CurrentMeter(raw, amperes_per_volt=10.0).read() == pytest.approx(15.0)


@pytest.mark.parametrize(
    ("text", "words"), [("", "number"), ("nan", "no number"), ("x" * 200, "number"), ("\xff", "number")]
)
def test_what_is_no_number_is_told_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    raw = channel(tmp_path, raw="1", scale=text)
    with pytest.raises(HearingError, match=words) as told:
        CurrentMeter(raw, amperes_per_volt=None).read()
    assert "in_channel0_scale" in str(told.value)


def test_a_converter_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HearingError, match="driver loaded"):
        CurrentMeter(tmp_path / "in_current0_raw", amperes_per_volt=None).read()
