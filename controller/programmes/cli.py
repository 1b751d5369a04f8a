"""`loaxa-controller programme ...`: what sounds and when, through the running controller's API.

Prints Vietnamese first; exit codes are those of the command line (`cli`). A programme is written on the command line,
or in a YAML file of the configuration's form; `show --yaml` prints one to be edited.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import urllib.parse
import zoneinfo
from typing import Any, Final

import msgspec

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config
from controller.errors import ExchangeError
from controller.programmes.desk_cli import (
    DONE,
    Say,
    add_list,
    add_one,
    add_show_flags,
    add_verb,
    client_of,
    path_of,
    print_list,
    print_plain,
    print_versions,
    recording_of,
    said,
    text_of,
)
from controller.programmes.exchange_cli import add_exchange_verbs
from controller.programmes.programme import Programme, Recurrence, lunar, weekly
from controller.programmes.written import item_of, programme_in, written_out

PROGRAMMES: Final = "/api/v1/programmes"
_AT: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\Z")
_EXAMPLE: Final = """examples:
  loaxa-controller programme add controller.yaml --id tin-trua --title 'Tin trưa' --area xa-binh-minh --at 11:30 \\
      --item 'text:Kính chào bà con' --item feed:vov1:900
  loaxa-controller programme add controller.yaml --id ram --title 'Ngày rằm' --area xa-binh-minh \\
      --at 05:30 --lunar 1,15 --item bulletin:ve-sinh
  loaxa-controller programme show controller.yaml tin-trua --yaml > tin-trua.yaml
  loaxa-controller programme edit controller.yaml tin-trua --from tin-trua.yaml
  loaxa-controller programme edit controller.yaml tin-trua --skip 2026-12-01T11:30
  loaxa-controller programme undo controller.yaml tin-trua
"""


def add_programme_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `programme ...` below the command."""
    text = "chương trình phát: xem, thêm, sửa, gỡ, hoàn tác · programmes: list, add, edit, remove, undo, exchange"
    raw = argparse.RawDescriptionHelpFormatter
    inner = verbs.add_parser(
        "programme", help=text, description=text, epilog=_EXAMPLE, formatter_class=raw
    ).add_subparsers(required=True, metavar="list|show|add|edit|remove|undo|import|export")
    add_list(inner, _list, "các chương trình · what there is", example=_EXAMPLE)
    show = add_one(
        inner,
        "show",
        _show,
        "một chương trình, các phiên bản · one, its next begins and its versions",
        example=_EXAMPLE,
    )
    add_show_flags(show)
    add = add_verb(inner, "add", _add, "thêm chương trình · add one", example=_EXAMPLE)
    add.add_argument("--id", default="", help="a-z, 0-9 and -; names it for ever")
    add.add_argument("--area", default="", help="for whom: everything in this area hears it")
    edit = add_one(inner, "edit", _edit, "sửa chương trình · change what is named, leave the rest", example=_EXAMPLE)
    for parser in (add, edit):
        _add_content(parser)
    edit.add_argument(
        "--skip", action="append", default=[], metavar="INSTANT", help="nothing on this date (2026-12-01T11:30)"
    )
    edit.add_argument(
        "--move", action="append", default=[], nargs=2, metavar=("FROM", "TO"), help="one date begins at another time"
    )
    add_one(inner, "remove", _remove, "gỡ, còn khôi phục được · remove; undo brings it back", example=_EXAMPLE)
    undo = add_one(
        inner,
        "undo",
        _undo,
        "hoàn tác lần sửa cuối · take the last change back, or bring back a version",
        example=_EXAMPLE,
    )
    undo.add_argument("--to", type=int, default=None, metavar="VERSION", help="as `show` lists them")
    add_exchange_verbs(inner)


def _add_content(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="file",
        default="",
        metavar="FILE",
        help="a YAML file with the whole programme; - is standard input",
    )
    parser.add_argument("--title", default="", help="as screens show it")
    parser.add_argument("--at", default="", metavar="HH:MM", help="local time of day, with --days or --lunar")
    parser.add_argument("--days", default="", help="mon,tue,…,sun; every day if left out")
    parser.add_argument(
        "--lunar",
        default="",
        metavar="DAYS",
        help="ngày âm lịch · lunar days in place of --days: 1,15 or 10/3 or last/12",
    )
    parser.add_argument("--rules", default="", help="when, as RFC 5545 lines; \\n or a line break between them")
    parser.add_argument(
        "--item",
        action="append",
        default=[],
        metavar="KIND:VALUE",
        help="text:WORDS, media:ID, feed:ID:SECONDS, bulletin:ID; in order",
    )
    parser.add_argument("--chime", action="store_true", help="a gong before the first of these items")
    parser.add_argument(
        "--class", dest="broadcast_class", choices=("routine", "priority"), default="", help="message class"
    )
    parser.add_argument(
        "--before-upper", action="store_true", help="priority: goes before priority programmes of the areas above"
    )
    parser.add_argument("--valid-from", default="", metavar="DAY", help="the first day, 2026-12-01")
    parser.add_argument("--valid-until", default="", metavar="DAY", help="the last day")


def _list(options: argparse.Namespace) -> int:
    return print_list(options, PROGRAMMES, "programmes")


def _show(options: argparse.Namespace) -> int:
    client, config = client_of(options), read_config(options.config)
    path = path_of(PROGRAMMES, options.id)
    if options.version is not None:
        found = client.call("GET", f"{path}/versions/{options.version}")
        print(written_out(found["programme"]), end="")
        return DONE
    found = client.call("GET", path)
    if print_plain(options, found, "programme"):
        return DONE
    zone = zoneinfo.ZoneInfo(config.time_zone)
    print(f"{found['id']}: {found['title']} · {found['area_title']} · {found['broadcast_class']} · {found['source']}")
    begins = [dt.datetime.fromtimestamp(each / 1000, tz=zone).strftime("%d/%m/%Y %H:%M") for each in found["begins_ms"]]
    print(f"lần phát tới · begins next: {', '.join(begins) or 'không còn · never again'}")
    for problem in found["problems"]:
        print(f"KHÔNG PHÁT ĐƯỢC · WOULD NOT SOUND: {problem}")
    print(written_out(found["programme"]), end="")
    print_versions(found, config.time_zone)
    return DONE


def _add(options: argparse.Namespace) -> int:
    client = client_of(options)
    programme = programme_in(text_of(options.file), name=options.file) if options.file else _of_flags(options, client)
    area = urllib.parse.quote(programme.area)
    return said(
        "đã thêm · added", client.call("POST", f"{PROGRAMMES}?area={area}", msgspec.to_builtins(programme)), options
    )


def _edit(options: argparse.Namespace) -> int:
    client = client_of(options)
    path = path_of(PROGRAMMES, options.id)
    held = client.call("GET", path)
    if options.file:
        programme = programme_in(text_of(options.file), name=options.file)
    else:
        programme = _changed(msgspec.convert(held["programme"], Programme), options, client)
    answer = client.call("PUT", f"{path}?version={held['version'] or 0}", msgspec.to_builtins(programme))
    is_same = answer["version"] == held["version"]
    return said("không có gì thay đổi · nothing has changed" if is_same else "đã sửa · changed", answer, options)


def _remove(options: argparse.Namespace) -> int:
    client, path = client_of(options), path_of(PROGRAMMES, options.id)
    version = client.call("GET", path)["version"] or 0
    return said("đã gỡ · removed", client.call("DELETE", f"{path}?version={version}"), options)


def _undo(options: argparse.Namespace) -> int:
    answer = client_of(options).call("POST", f"{path_of(PROGRAMMES, options.id)}/undo", {"to": options.to})
    return said("đã hoàn tác · undone", answer, options)


def _of_flags(options: argparse.Namespace, client: ApiClient) -> Programme:
    for name in ("id", "area", "title"):
        if not getattr(options, name):
            raise ExchangeError(f"thiếu --{name}, hoặc dùng --from FILE · --{name} is needed, or --from FILE")
    if not options.item:
        raise ExchangeError("thiếu --item · what is to be heard? Write --item at least once")
    if not options.at and not options.rules:
        raise ExchangeError("thiếu giờ phát · when? Write --at HH:MM (and --days), or --rules")
    blank = {"id": options.id, "area": options.area, "title": options.title, "items": [{"text": "?"}]}
    plain = {**blank, "recurrence": msgspec.to_builtins(weekly("00:00"))}
    return _changed(_checked(plain), options, client)


def _changed(programme: Programme, options: argparse.Namespace, client: ApiClient) -> Programme:
    """The programme with what the flags say otherwise; raises ExchangeError."""
    plain: dict[str, Any] = msgspec.to_builtins(programme)
    for name in ("title", "broadcast_class", "valid_from", "valid_until"):
        if getattr(options, name):
            plain[name] = getattr(options, name)
    if options.before_upper:
        plain["before_upper"] = True
    _say_when(plain["recurrence"], options)
    if options.item:
        chimes = [options.chime] + [False] * (len(options.item) - 1)
        items = [
            item_of(text, chime=chime, recording=lambda name: recording_of(client, name))
            for text, chime in zip(options.item, chimes, strict=True)
        ]
        plain["items"] = [msgspec.to_builtins(item) for item in items]
    overrides = {each["of"]: each for each in plain.get("overrides", [])}
    for instant in getattr(options, "skip", []):
        overrides[instant] = {"of": instant, "items": []}
    for of, begins in getattr(options, "move", []):
        overrides[of] = {**overrides.get(of, {}), "of": of, "begins": begins}
    return _checked({**plain, "overrides": list(overrides.values())})


def _say_when(recurrence: dict[str, Any], options: argparse.Namespace) -> None:
    """Other rules, where the flags say them; raises ExchangeError."""
    if options.rules:
        recurrence["rules"] = options.rules.replace("\\n", "\n")
    elif options.at:
        if not _AT.match(options.at):
            raise ExchangeError(f"--at {options.at!r}: viết giờ và phút · write hours and minutes, for example 05:30")
        try:
            recurrence["rules"] = _of_day(options).rules
        except ValueError as error:
            raise ExchangeError(f"--at {options.at} --days {options.days}{options.lunar}: {error}") from error


def _of_day(options: argparse.Namespace) -> Recurrence:
    """A time of day on days of the week or of the lunar month; raises ValueError."""
    if options.days and options.lunar:
        raise ValueError("either days of the week or lunar days; both together need --rules")
    if options.lunar:
        return lunar(options.at, options.lunar.split(","))
    return weekly(options.at, tuple(options.days.split(",")) if options.days else None)


def _checked(plain: Say) -> Programme:
    try:
        return msgspec.convert(plain, Programme)
    except msgspec.ValidationError as error:
        raise ExchangeError(str(error)) from error
