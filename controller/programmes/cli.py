"""`loaxa-controller programme ...`: what sounds and when, through the running controller's API.

Prints Vietnamese first; exit codes are those of the command line (`cli`). A programme is written on the command line,
or in a YAML file of the configuration's form; `show --yaml` prints one to be edited.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import sys
import urllib.parse
import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from controller.adapters.api_client import ANSWER_S_MAX, ApiClient
from controller.adapters.config_file import read_config, read_token
from controller.errors import ExchangeError
from controller.programmes.exchange_cli import add_exchange_verbs
from controller.programmes.programme import Programme, Recurrence, lunar, weekly
from controller.programmes.written import item_of, programme_in, written_out
from controller.tables import TABLES, table_of

DONE: Final = 0
PROGRAMMES: Final = "/api/v1/programmes"
_STANDARD_INPUT: Final = "-"
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
Say = Mapping[str, Any]


def add_programme_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `programme ...` below the command."""
    text = "chương trình phát: xem, thêm, sửa, gỡ, hoàn tác · programmes: list, add, edit, remove, undo, exchange"
    raw = argparse.RawDescriptionHelpFormatter
    inner = verbs.add_parser(
        "programme", help=text, description=text, epilog=_EXAMPLE, formatter_class=raw
    ).add_subparsers(required=True, metavar="list|show|add|edit|remove|undo|import|export")
    add_list(inner, _list, "các chương trình · what there is")
    show = add_one(inner, "show", _show, "một chương trình, các phiên bản · one, its next begins and its versions")
    add_show_flags(show)
    add = add_verb(inner, "add", _add, "thêm chương trình · add one")
    add.add_argument("--id", default="", help="a-z, 0-9 and -; names it for ever")
    add.add_argument("--area", default="", help="for whom: everything in this area hears it")
    edit = add_one(inner, "edit", _edit, "sửa chương trình · change what is named, leave the rest")
    for parser in (add, edit):
        _add_content(parser)
    edit.add_argument(
        "--skip", action="append", default=[], metavar="INSTANT", help="nothing on this date (2026-12-01T11:30)"
    )
    edit.add_argument(
        "--move", action="append", default=[], nargs=2, metavar=("FROM", "TO"), help="one date begins at another time"
    )
    add_one(inner, "remove", _remove, "gỡ, còn khôi phục được · remove; undo brings it back")
    undo = add_one(inner, "undo", _undo, "hoàn tác lần sửa cuối · take the last change back, or bring back a version")
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


def add_list(inner: Any, command: Callable[[argparse.Namespace], int], text: str) -> None:  # noqa: ANN401 - as above
    """`list`: of programmes or bulletins."""
    listed = add_verb(inner, "list", command, text)
    listed.add_argument("--area", default="", help="only what can be heard in this area")
    listed.add_argument("--archived", action="store_true", help="removed ones too")
    listed.add_argument("--json", action="store_true", help="print what the API answers")


def add_show_flags(show: argparse.ArgumentParser) -> None:
    """How one is shown."""
    show.add_argument("--version", type=int, default=None, help="as it was then, in YAML")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--yaml", action="store_true", help="only what is written, to be edited and given back")
    form.add_argument("--json", action="store_true", help="print what the API answers")


def add_verb(
    inner: Any,  # noqa: ANN401 - as above
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
    *,
    example: str = _EXAMPLE,
) -> argparse.ArgumentParser:
    """A verb with what all have: the configuration, and whose token is used."""
    parser: argparse.ArgumentParser = inner.add_parser(
        name, help=text, description=text, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    parser.add_argument(
        "--token-file", type=Path, default=None, metavar="FILE", help="act as the person whose token stands there"
    )
    parser.set_defaults(command=command)
    return parser


def add_one(
    inner: Any,  # noqa: ANN401 - as above
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
    *,
    example: str = _EXAMPLE,
) -> argparse.ArgumentParser:
    """A verb for one programme or bulletin."""
    parser = add_verb(inner, name, command, text, example=example)
    parser.add_argument("id", metavar="ID", help="as `list` shows it")
    return parser


def client_of(options: argparse.Namespace, *, answer_s_max: float = ANSWER_S_MAX) -> ApiClient:
    """The running controller, asked with the configuration's token or a person's; raises ConfigError."""
    console = read_config(options.config).http.console
    token = read_token(options.token_file or Path(console.token_file))
    return ApiClient(console, token, answer_s_max=answer_s_max)


def path_of(kind: str, name: str) -> str:
    """The address of one."""
    return f"{kind}/{urllib.parse.quote(name, safe='')}"


def recording_of(client: ApiClient, name: str) -> str:
    """The content of a recording that is named as `media list` shows it; raises ApiError."""
    found: str = client.call("GET", f"/api/v1/media/{urllib.parse.quote(name, safe='')}")["sha256"]
    return found


def text_of(name: str) -> str:
    """A file's text, or standard input; raises ExchangeError."""
    try:
        return sys.stdin.read() if name == _STANDARD_INPUT else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExchangeError(f"{name}: không đọc được · cannot be read: {error}") from error


def print_list(options: argparse.Namespace, path: str, what: str) -> int:
    """Every row, page by page."""
    client, config = client_of(options), read_config(options.config)
    rows: list[Say] = []
    question = {"area": options.area, "archived": "1" if options.archived else "", "after": ""}
    while True:
        asked = urllib.parse.urlencode({name: value for name, value in question.items() if value})
        answer = client.call("GET", f"{path}?{asked}")
        rows += answer[what]
        if not answer["after"]:
            break
        question["after"] = answer["after"]
    if options.json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print(table_of(rows, TABLES[what], time_zone=config.time_zone))
    return DONE


def print_plain(options: argparse.Namespace, found: Say, what: str) -> bool:
    """What is asked for as a file; whether it was."""
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    elif options.yaml:
        print(written_out(found[what]), end="")
    return bool(options.json or options.yaml)


def print_versions(found: Say, time_zone: str) -> None:
    """Who changed what when; the configuration's have no versions."""
    if found["versions"]:
        print()
        print(table_of(list(reversed(found["versions"])), TABLES["versions"], time_zone=time_zone))


def said(what: str, answer: Say, options: argparse.Namespace, *, back: str | None = None) -> int:
    """What was done, what somebody should know of it, and the way back; "" where there is none."""
    print(f"{what}: {answer['id']} {answer['title']} ({answer['area_title']}), phiên bản · version {answer['version']}")
    for problem in answer.get("problems", []):
        print(f"CHƯA PHÁT ĐƯỢC · WILL NOT SOUND YET: {problem}", file=sys.stderr)
    if back is None:
        kind = "bulletin" if "airs_version" in answer else "programme"
        back = f"{kind} {'undo' if answer['version'] > 1 else 'remove'} {options.config} {answer['id']}"
    if back:
        print(f"hoàn tác · undo it with: loaxa-controller {back}")
    return DONE
