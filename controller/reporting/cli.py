"""`loaxa-controller report`: what was aired and missed in an area, for a terminal or as a file.

Asks the running controller's API and prints what it answers; exit codes are those of the command line (`cli`).
"""

from __future__ import annotations

import argparse
import os
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config, read_token
from controller.errors import ApiError, ConfigError
from controller.reporting.lines import Report
from controller.reporting.text import text_of

_DONE: Final = 0
_TEXT: Final = "báo cáo phát thanh của một địa bàn · what was aired and missed, by area and period"
_EXAMPLE: Final = """examples:
  loaxa-controller report controller.yaml --area xa-binh-minh
  loaxa-controller report controller.yaml --area xa-binh-minh --month 2026-11 --format pdf --output thang-11.pdf
  loaxa-controller report controller.yaml --year 2026 --format xlsx --output nam-2026.xlsx
  loaxa-controller report controller.yaml --from 2026-11-01 --until 2026-11-07 --class emergency

A month of report runs from the 15th of the month before to the 14th, a year from 15 December of the year before to
14 December (Decree 09/2019/ND-CP); for calendar months write --from and --until. Without any, the last 30 days.
"""
_QUESTIONS: Final = ("area", "from", "until", "month", "year", "class", "source")


def add_report_verb(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `report` below the command."""
    parser = verbs.add_parser(
        "report",
        help=_TEXT,
        description=_TEXT,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    parser.add_argument("--area", default="", help="everything in this area (default: everything)")
    parser.add_argument("--from", default="", metavar="DATE", help="first day, like 2026-11-01")
    parser.add_argument("--until", default="", metavar="DATE", help="last day, included")
    parser.add_argument("--month", default="", metavar="MONTH", help="a month of report, like 2026-11")
    parser.add_argument("--year", default="", metavar="YEAR", help="a year of report, like 2026")
    parser.add_argument("--class", default="", choices=("routine", "priority", "emergency"), help="only this class")
    parser.add_argument("--source", default="", choices=("media", "stream", "emergency"), help="only this source")
    parser.add_argument("--format", default="text", choices=tuple(_FORMATS), help="how to write it (default: text)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to a file instead of the terminal")
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    if options.output is None and options.format in _BINARY and sys.stdout.isatty():
        raise ConfigError(f"--format {options.format} is for a file; add --output baocao.{options.format}")
    console = read_config(options.config).http.console
    question = {name: getattr(options, name) for name in _QUESTIONS if getattr(options, name)}
    path = f"/api/v1/reports?{urllib.parse.urlencode(question)}"
    answer = ApiClient(console, read_token(Path(console.token_file))).call("GET", path)
    try:
        report = msgspec.convert(answer, type=Report)
    except msgspec.ValidationError as error:
        raise ApiError(f"the running controller is of another version ({error}); restart it after an update") from error
    _write(options.output, _FORMATS[options.format](report))
    if options.output is not None:
        print(f"đã ghi · written: {options.output}")
    return _DONE


def _write(output: Path | None, data: bytes) -> None:
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"--output {output} cannot be written: {error.strerror or error}") from error


def _text(report: Report) -> bytes:
    return f"{text_of(report)}\n".encode()


def _json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _csv(report: Report) -> bytes:
    from controller.adapters.reporting.spreadsheets import csv_of  # noqa: PLC0415 - an emergency's command loads less

    return csv_of(report)


def _xlsx(report: Report) -> bytes:
    from controller.adapters.reporting.spreadsheets import xlsx_of  # noqa: PLC0415 - as above

    return xlsx_of(report)


def _pdf(report: Report) -> bytes:
    from controller.adapters.reporting.printed import pdf_of  # noqa: PLC0415 - as above

    return pdf_of(report)


_FORMATS: Final[dict[str, Callable[[Report], bytes]]] = {
    "text": _text,
    "csv": _csv,
    "xlsx": _xlsx,
    "pdf": _pdf,
    "json": _json,
}
_BINARY: Final = {"xlsx", "pdf"}
