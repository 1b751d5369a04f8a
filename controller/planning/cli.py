"""`loaxa-controller plan ...`: what sounds on a pole in the coming days; what a draft would change before it is saved.

Asks the running controller through its API; prints Vietnamese first. Exit codes are those of the command line (`cli`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import urllib.parse
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config, read_token
from controller.errors import ApiError
from controller.planning.words import CHANGES, REASONS, VERDICTS, WEEKDAYS, WHYS, said
from controller.programmes.programme import Programme
from protocol.configuration import read_yaml

_DONE: Final = 0
_DRAFT_BYTES_MAX: Final = 512 * 1024
_EXAMPLE: Final = """example:
  loaxa-controller plan show controller.yaml --pole N001 --days 7
  loaxa-controller plan diff controller.yaml --pole N001 --programme morning.yaml --remove evening

a programme file holds one programme or a list of them, in YAML or JSON, as `loaxa-controller programme` writes them
"""
Item = Mapping[str, Any]


def add_plan_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `plan ...` below the command."""
    text = "lịch phát của một cụm loa, vì sao · what sounds on a pole in the coming days, and why"
    inner = verbs.add_parser("plan", help=text, description=text).add_subparsers(required=True, metavar="show|diff")
    show = _add(inner, "show", "lịch đang có hiệu lực · by the plans that stand")
    show.add_argument("--days", type=int, default=7, help="so many days from now on, at most 8; 7 unless told")
    show.set_defaults(command=_show)
    diff = _add(inner, "diff", "bản nháp sẽ thay đổi gì · what a draft would change; nothing is saved")
    diff.add_argument("--days", type=int, default=7, help="so many days from now on, at most 31; 7 unless told")
    diff.add_argument("--programme", type=Path, action="append", default=[], metavar="FILE", help="as it would be")
    diff.add_argument("--remove", action="append", default=[], metavar="ID", help="a programme that would go")
    diff.set_defaults(command=_diff)


def _add(inner: Any, name: str, text: str) -> argparse.ArgumentParser:  # noqa: ANN401 - as above
    raw = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = inner.add_parser(
        name, help=text, description=text, epilog=_EXAMPLE, formatter_class=raw
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    parser.add_argument("--pole", required=True, metavar="NODE", help="the cluster, by its id")
    parser.add_argument("--json", action="store_true", help="print what the API answers")
    return parser


def _show(options: argparse.Namespace) -> int:
    question = urllib.parse.urlencode({"pole": options.pole, "days": options.days})
    answer = _client(options).call("GET", f"/api/v1/plan?{question}")
    if options.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        print("\n".join(shown(answer)))
    return _DONE


def _diff(options: argparse.Namespace) -> int:
    drafts = [programme for path in options.programme for programme in _read(path)]
    body = {"pole": options.pole, "days": options.days, "programmes": drafts, "remove": options.remove}
    answer = _client(options).call("POST", "/api/v1/plan", body)
    if options.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        print("\n".join(compared(answer)))
    return _DONE


def shown(view: Mapping[str, Any]) -> Iterator[str]:
    """A pole's coming days, line by line."""
    zone = zoneinfo.ZoneInfo(view["time_zone"])
    yield from _head(view, zone)
    day = None
    for item in view["items"]:
        at = _local(item["starts_at_ms"], zone)
        if at.date() != day:
            day = at.date()
            yield ""
            yield f"{WEEKDAYS[day.weekday()]} {day:%d/%m/%Y} · {day:%A}"
        yield from _item(item, zone)
    if not view["items"]:
        yield "không có gì được lên lịch · nothing is planned"


def compared(view: Mapping[str, Any]) -> Iterator[str]:
    """What a draft changes, line by line."""
    zone = zoneinfo.ZoneInfo(view["time_zone"])
    yield from _head(view, zone)
    yield ""
    for each in view["changes"]:
        yield said(CHANGES, each["change"]) + ":"
        for sign, item in (("-", each["before"]), ("+", each["after"])):
            if item is not None:
                first, *rest = _item(item, zone, with_date=True)
                yield f" {sign}{first[1:]}"
                yield from rest
    if not view["changes"]:
        yield "không có gì thay đổi · nothing changes on this pole"


def _head(view: Mapping[str, Any], zone: zoneinfo.ZoneInfo) -> Iterator[str]:
    begins, ends = _local(view["from_ms"], zone), _local(view["until_ms"], zone)
    yield f"{view['pole']} {view['title']}, {' < '.join(view['areas'])}"
    yield f"{begins:%d/%m/%Y %H:%M} - {ends:%d/%m/%Y %H:%M} {view['time_zone']}"
    for plan in view["plans"]:
        what = "bản nháp · draft" if plan["counter"] is None else f"lịch · plan {plan['counter']}"
        size = f", {plan['size_bytes']} byte" if plan["size_bytes"] else ""
        yield f"{plan['area']}: {what}, đến · until {_local(plan['covers_until_ms'], zone):%d/%m/%Y %H:%M}{size}"
    yield from (f"chú ý · note: {_clean(warning)}" for warning in view["warnings"])


def _item(item: Item, zone: zoneinfo.ZoneInfo, *, with_date: bool = False) -> Iterator[str]:
    begins = _local(item["starts_at_ms"], zone)
    time = f"{begins:%d/%m %H:%M:%S}" if with_date else f"{begins:%H:%M:%S}"
    seconds = (item["ends_at_ms"] - item["starts_at_ms"]) / 1000
    source = "tệp · file" if item["feed"] is None else f"tiếp âm · relay {item['feed']}"
    yield (
        f"  {time}  {seconds:7.0f} s  {said(VERDICTS, item['verdict'])}: {_clean(item['title'])} "
        f"({item['broadcast_class']}, {item['area']}, {source})"
    )
    if item["verdict"] == "partly":
        yield f"      nghe được · heard: {_spans(item['sounds'], zone)}"
    capped = [each for each in item["sounds"] if each.get("is_capped")]
    if capped:
        yield f"      hạn âm lượng · volume capped: {_spans(capped, zone)}"
    for loss in item["losses"]:
        span = _spans([loss], zone)
        yield f"      {span} nhường · for “{_clean(loss['to_title'])}” ({loss['to_area']}): {said(WHYS, loss['why'])}"
    for refusal in item["refusals"]:
        yield f"      {_spans([refusal], zone)} bị chặn · refused: {said(REASONS, refusal['reason'])}"


def _spans(spans: Iterable[Item], zone: zoneinfo.ZoneInfo) -> str:
    return ", ".join(
        f"{_local(each['from_ms'], zone):%H:%M:%S}-{_local(each['until_ms'], zone):%H:%M:%S}"
        + (" (nền · below speech)" if each.get("is_bed") else "")
        + (f" {each['gain_db']:+.1f} dB" if each.get("is_capped") else "")
        for each in spans
    )


def _read(path: Path) -> list[Any]:
    """The programmes of a file, checked; raises ApiError."""
    try:
        with path.open("rb") as file:
            data = file.read(_DRAFT_BYTES_MAX + 1)
        if len(data) > _DRAFT_BYTES_MAX:
            raise ApiError(f"{path} has more than {_DRAFT_BYTES_MAX} bytes; a draft is a few programmes")
        found = read_yaml(data.decode("utf-8"))
        programmes = msgspec.convert(found if isinstance(found, list) else [found], list[Programme])
    except OSError as error:
        raise ApiError(f"{path} cannot be read: {error.strerror or error}") from error
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ApiError(f"{path} holds no programme: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ApiError(f"{path} is neither YAML nor JSON: {error}") from error
    return [msgspec.to_builtins(programme) for programme in programmes]


def _client(options: argparse.Namespace) -> ApiClient:
    console = read_config(options.config).http.console
    return ApiClient(console, read_token(Path(console.token_file)))


def _local(at_ms: int, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms / 1000, tz=zone)


def _clean(text: str) -> str:
    """One line without control characters: titles and warnings come from outside."""
    return "".join(each if each.isprintable() else " " for each in text)
