"""`loaxa-controller programme import|export`: programmes in the files of other programs, both ways.

Prints Vietnamese first; exit codes are those of the command line (`cli`). What a file would bring is shown with
`--preview` before anything is kept.
"""

from __future__ import annotations

import argparse
import sys
import urllib.parse
from pathlib import Path
from typing import Any, Final

from controller.errors import ExchangeError
from controller.programmes.desk_cli import Command, add_verb, client_of

EXCHANGE: Final = "/api/v1/exchange"
FORMATS: Final = {"ical": (".ics", ".ical"), "m3u": (".m3u", ".m3u8"), "xspf": (".xspf",)}
_DONE: Final = 0
_STANDARD: Final = "-"
_EXAMPLE: Final = """examples:
  loaxa-controller programme export controller.yaml lich-xa.ics --area xa-binh-minh
  loaxa-controller programme import controller.yaml lich-xa.ics --area xa-binh-minh --preview
  loaxa-controller programme import controller.yaml lich-hop.ics --area xa-binh-minh --spoken --at 06:30
  loaxa-controller programme import controller.yaml dan-ca.m3u8 --area xa-binh-minh --id dan-ca --at 17:00
  loaxa-controller programme export controller.yaml dan-ca.xspf --id dan-ca

a playlist names recordings that are in the library (media list), by their file names, titles or addresses
"""


def add_exchange_verbs(inner: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `import` and `export` below `programme`."""
    taken = _verb(inner, "import", _import, "nhập từ lịch hoặc danh sách phát · from a calendar or a playlist")
    taken.add_argument("--area", required=True, help="for whom")
    taken.add_argument("--preview", action="store_true", help="show what would come of it; nothing is kept")
    taken.add_argument(
        "--at", default="", metavar="HH:MM", help="when: of events that last whole days, and of a playlist"
    )
    taken.add_argument("--days", default="", help="of a playlist: mon,tue,…,sun; every day if left out")
    taken.add_argument("--feed", default="", metavar="ID", help="events of other programs relay this feed")
    taken.add_argument("--spoken", action="store_true", help="the words of other programs' events are read aloud")
    taken.add_argument("--language", default="", help="in this language (vi)")
    taken.add_argument("--id", default="", help="of the programme that a playlist becomes")
    taken.add_argument("--title", default="", help="its title; the playlist's own if left out")
    given = _verb(inner, "export", _export, "xuất ra lịch hoặc danh sách phát · as a calendar or a playlist")
    given.add_argument("--area", default="", help="of a calendar: only what can be heard in this area")
    given.add_argument("--id", default="", help="only this programme; a playlist is of one")


def _verb(
    inner: Any,  # noqa: ANN401 - as above
    name: str,
    command: Command,
    text: str,
) -> argparse.ArgumentParser:
    parser = add_verb(inner, name, command, text, example=_EXAMPLE)
    parser.add_argument("file", metavar="FILE", help="- is standard input or output, with --format")
    parser.add_argument(
        "--format", choices=tuple(FORMATS), default="", help="iCalendar, M3U/M3U8 or XSPF; by the file's name"
    )
    return parser


def _import(options: argparse.Namespace) -> int:
    names = ("area", "at", "days", "feed", "language", "id", "title")
    question = {name: getattr(options, name) for name in names if getattr(options, name)}
    question |= {name: "1" for name in ("spoken", "preview") if getattr(options, name)}
    path = f"{EXCHANGE}/{_format_of(options)}?{urllib.parse.urlencode(question)}"
    try:
        data = sys.stdin.buffer.read() if options.file == _STANDARD else Path(options.file).read_bytes()
    except OSError as error:
        raise ExchangeError(f"{options.file}: không đọc được · cannot be read: {error.strerror or error}") from error
    answer = client_of(options).post_bytes(path, data)
    for remark in answer["remarks"]:
        print(
            f"{'BỎ QUA · LEFT OUT: ' if remark['is_left_out'] else ''}{remark['of']}: {remark['reason']}",
            file=sys.stderr,
        )
    for row in answer["programmes"]:
        print(f"{row['change']}: {row['id']} {row['title']}")
    told = "sẽ nhập · would be kept" if options.preview else "đã nhập · kept"
    changed = sum(row["change"] != "unchanged" for row in answer["programmes"])
    print(f"{told}: {changed} / {len(answer['programmes'])}")
    return _DONE


def _export(options: argparse.Namespace) -> int:
    question = {name: getattr(options, name) for name in ("area", "id") if getattr(options, name)}
    path = f"{EXCHANGE}/{_format_of(options)}?{urllib.parse.urlencode(question)}"
    client = client_of(options)
    if options.file == _STANDARD:
        client.download(path, sys.stdout.buffer.write)
        return _DONE
    target = Path(options.file)
    try:
        with target.open("xb") as file:
            client.download(path, file.write)
    except FileExistsError as error:
        raise ExchangeError(f"{target}: đã có tệp này · is there already; name another") from error
    except OSError as error:
        raise ExchangeError(f"{target}: không ghi được · cannot be written: {error.strerror or error}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    print(f"{target}: {target.stat().st_size} byte")
    return _DONE


def _format_of(options: argparse.Namespace) -> str:
    """As it is said, or as the file's name ends; raises ExchangeError."""
    if options.format:
        return str(options.format)
    suffix = Path(options.file).suffix.lower()
    found = next((name for name, suffixes in FORMATS.items() if suffix in suffixes), None)
    if found is None:
        raise ExchangeError(f"{options.file}: loại tệp nào · which kind of file? Write --format {'|'.join(FORMATS)}")
    return found
