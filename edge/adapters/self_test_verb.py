"""`loaxa-edge self-test`: asks the running node for an acoustic self-test and says what it found, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge.adapters.config_file import read_config
from edge.adapters.control_socket import ask_for_self_test
from edge.adapters.ear import sensors_of
from edge.errors import HearingError
from protocol.messages import SelfTestRecord, SelfTestVerdict

WORDS: Final[dict[SelfTestVerdict, str]] = {
    SelfTestVerdict.PASSED: "đạt / passed",
    SelfTestVerdict.REFERENCE_TAKEN: "đã lấy mẫu chuẩn / reference taken",
    SelfTestVerdict.WEAK: "loa kêu yếu / weak",
    SelfTestVerdict.CHANGED: "tiếng loa đã khác / changed",
    SelfTestVerdict.SILENT: "không nghe thấy gì / silent",
    SelfTestVerdict.AMPLIFIER: "hỏng tăng âm / amplifier",
    SelfTestVerdict.HORN: "hỏng loa hoặc đứt dây / horn or cable",
    SelfTestVerdict.SHORT: "chập dây loa / shorted cable",
    SelfTestVerdict.NOISY: "xung quanh quá ồn / too noisy",
    SelfTestVerdict.NO_REFERENCE: "chưa có mẫu chuẩn / no reference",
    SelfTestVerdict.NO_SENSOR: "không có cảm biến / no sensor",
    SelfTestVerdict.NOT_RUN: "chưa thử được / not run",
}
GOOD: Final = frozenset({SelfTestVerdict.PASSED, SelfTestVerdict.REFERENCE_TAKEN})


def self_test(path: Path, *, takes_reference: bool) -> tuple[bool, list[str]]:
    """Whether it passed, and what to print; raises EdgeError."""
    config = read_config(path)
    if not sensors_of(config.hearing):
        raise HearingError(
            f"{path}: hearing.device or hearing.current names what listens; without, nothing can be tested"
        )
    record = ask_for_self_test(Path(config.state_dir), takes_reference=takes_reference)
    return record.verdict in GOOD, lines_of(record)


def lines_of(record: SelfTestRecord) -> list[str]:
    """A record in words."""
    lines = [f"{WORDS[record.verdict]}: {record.detail}"]
    heard = record.heard
    if heard is not None:
        figures = [
            ("mức / level", heard.level_dbfs, "dBFS"),
            ("nhiễu / noise", record.noise_dbfs, "dBFS"),
            ("giống / likeness", heard.likeness, ""),
            ("trễ / delay", heard.delay_ms, "ms"),
            ("dòng / current", heard.amperes, "A"),
            ("so với mẫu / against the reference", record.level_change_db, "dB"),
            ("dòng so với mẫu / current against it", record.current_change, "x"),
        ]
        told = [f"{name} {value:g} {unit}".rstrip() for name, value, unit in figures if value is not None]
        lines.append(f"  {heard.by.value}: {', '.join(told)}")
    if record.bands_change_db:
        bands = " ".join(f"{each:+.0f}" for each in record.bands_change_db)
        lines.append(f"  dải tần / bands, 300-3400 Hz: {bands} dB")
    return lines
