"""`loaxa-controller media ...`: recordings of the library, through the running controller's API.

Prints Vietnamese first; exit codes are those of the command line (`cli`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config, read_token
from controller.adapters.media.sending import MEDIA, send_file, wait_for
from controller.errors import ApiError
from controller.tables import TABLES, table_of

_DONE: Final = 0
_FAILED: Final = 1
_WAVEFORM_COLUMNS: Final = 72
_FOUND_MAX: Final = 100
_EXAMPLE: Final = """examples:
  loaxa-controller media add controller.yaml ban-tin.mp3 --area xa-binh-minh --licence 'bản tin của xã'
  loaxa-controller media pull controller.yaml https://example.vn/chuyen-de.mp3 --area xa-binh-minh
  loaxa-controller media list controller.yaml
  loaxa-controller media remove controller.yaml 3f2a9c
"""


def add_media_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `media ...` below the command."""
    text = "thư viện bản thu · the library of recordings: add, pull, list, listen, remove, bring back"
    inner = verbs.add_parser(
        "media",
        help=text,
        description=text,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).add_subparsers(required=True, metavar="add|pull|list|show|save|describe|remove|restore|cancel")
    add = _verb(inner, "add", _add, "gửi tệp âm thanh lên · upload sound files; goes on where a lost line broke off")
    add.add_argument("files", type=Path, nargs="+", metavar="FILE", help="anything that ffmpeg reads")
    pull = _verb(inner, "pull", _pull, "tải từ một địa chỉ web · pull a recording from an address of the web")
    pull.add_argument("url", metavar="URL", help="http:// or https://; inside the own network see media.pull_hosts")
    pull.add_argument("--sha256", default="", help="what its content must be")
    for parser in (add, pull):
        parser.add_argument("--area", required=True, help="for which area; everything below it may use it")
        parser.add_argument("--title", default="", help="as screens show it (default: the file's name)")
        parser.add_argument("--licence", default="", help="by what right it is aired, for the record")
    listed = _verb(inner, "list", _list, "các bản thu · what there is")
    listed.add_argument("--area", default="", help="only what this area may use")
    listed.add_argument("--search", default="", help="only with these words in the title or the id")
    listed.add_argument("--limit", type=int, default=200, help="at most so many, the newest (default 200)")
    kinds = listed.add_mutually_exclusive_group()
    kinds.add_argument("--removed", action="store_true", help="what was removed and can be brought back")
    kinds.add_argument("--incoming", action="store_true", help="what is on its way, and what came of the latest")
    _of_one(inner, "show", _show, "một bản thu: ai, khi nào, độ to, dùng ở đâu · one recording, and what needs it")
    save = _of_one(inner, "save", _save, "lưu để nghe thử · save what poles hear, to listen to it")
    save.add_argument("file", type=Path, metavar="FILE", help="where to; must not exist yet")
    save.add_argument("--original", action="store_true", help="the file as it was given, instead")
    described = _of_one(inner, "describe", _describe, "sửa tên, bản quyền · mend title or licence note")
    described.add_argument("--title", help="as screens show it")
    described.add_argument("--licence", help="by what right it is aired")
    _of_one(inner, "remove", _remove, "gỡ khỏi thư viện, còn khôi phục được · remove; it can be brought back")
    _of_one(inner, "restore", _restore, "khôi phục bản thu đã gỡ · bring back what was removed")
    _of_one(inner, "cancel", _cancel, "huỷ lần gửi dở dang · give up an upload or a pull that is still coming")


def _verb(
    inner: Any,  # noqa: ANN401 - as above
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = inner.add_parser(
        name, help=text, description=text, epilog=_EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    parser.set_defaults(command=command)
    return parser


def _of_one(
    inner: Any,  # noqa: ANN401 - as above
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = _verb(inner, name, command, text)
    parser.add_argument("id", metavar="ID", help="as `media list` shows it; the beginning is enough")
    return parser


def _add(options: argparse.Namespace) -> int:
    client = _client(options)
    if options.title and len(options.files) > 1:
        print("--title là của một tệp · --title is for one file; leave it out for several", file=sys.stderr)
        return _FAILED
    outcomes = [_sent(client, path, options) for path in options.files]
    return max(outcomes)


def _sent(client: ApiClient, path: Path, options: argparse.Namespace) -> int:
    def on_sent(arrived: int, size: int) -> None:
        _progress(f"{path.name}: {100 * arrived // size}% / {size} byte")

    name, was_begun = send_file(
        client, path, area=options.area, title=options.title, licence=options.licence, on_sent=on_sent
    )
    if was_begun:
        print(f"{path}: gửi tiếp phần còn lại · went on with what was begun before", file=sys.stderr)
    return _outcome(client, name, str(path))


def _pull(options: argparse.Namespace) -> int:
    client = _client(options)
    names = ("area", "url", "title", "licence", "sha256")
    intake = client.call("POST", f"{MEDIA}/pulls", {name: getattr(options, name) for name in names})
    return _outcome(client, intake["id"], options.url)


def _outcome(client: ApiClient, name: str, source: str) -> int:
    """Wait, and say what came of it."""

    def on_look(intake: dict[str, Any]) -> None:
        if intake["state"] == "receiving":
            _progress(f"{source}: {intake['received_bytes']}/{intake['size_bytes'] or '?'} byte")
        else:
            _progress(f"{source}: {intake['state']}, {intake['measured_ms'] / 1000:.0f} s")

    intake = wait_for(client, name, on_look)
    _progress("")
    if intake["state"] != "kept":
        why = intake["refusal"] or {"code": "cancelled", "vi": "đã bị huỷ", "en": "it was given up"}
        print(f"{source}: {why['vi']} · {why['en']} [{why['code']}]", file=sys.stderr)
        return _FAILED
    entry = client.call("GET", f"{MEDIA}/{intake['entry']}")
    stands = "đã nhận · taken in" if intake["is_new"] else "đã có sẵn · was there already"
    print(f"{entry['id']}: {stands}: {entry['title']} ({_length(entry['duration_ms'])}, {_levelled(entry)})")
    return _DONE


def _list(options: argparse.Namespace) -> int:
    time_zone = read_config(options.config).time_zone
    client = _client(options)
    if options.incoming:
        rows = client.call("GET", f"{MEDIA}/intakes")["intakes"]
        wanted = [row for row in rows if not options.area or row["area"] == options.area]
        print(table_of(wanted[:_FOUND_MAX], TABLES["intakes"], time_zone=time_zone))
        return _DONE
    asked = {"area": options.area, "removed": "1" if options.removed else "", "search": options.search}
    asked = {"limit": str(options.limit), **{name: value for name, value in asked.items() if value}}
    answer = client.call("GET", client.path_of(MEDIA, asked))
    rows = answer["media"]
    if len(asked) == 1 and not rows:
        print(
            "chưa có bản thu nào · there is no recording yet; add one: loaxa-controller media add CONFIG FILE --area …"
        )
        return _DONE
    print(table_of(rows, TABLES["media"], time_zone=time_zone))
    if answer["found"] > len(rows):
        print(f"… {answer['found']} bản thu · recordings; --search, --limit", file=sys.stderr)
    return _DONE


def _show(options: argparse.Namespace) -> int:
    from controller.media.waveform import bars  # noqa: PLC0415 - an emergency's command must not load numpy first

    zone = zoneinfo.ZoneInfo(read_config(options.config).time_zone)
    client = _client(options)
    entry = client.call("GET", _at(options.id))
    outline = client.call("GET", f"{MEDIA}/{entry['id']}/waveform")
    found = entry["found"]
    added = dt.datetime.fromtimestamp(entry["added_at_ms"] / 1000, tz=zone)
    print(f"{entry['title']}  [{entry['state']}]")
    print(f"  id        {entry['id']}")
    print(f"  sha256    {entry['sha256']}")
    print(f"  {bars(bytes(outline['points']), _WAVEFORM_COLUMNS)}")
    print(f"  dài · length            {_length(entry['duration_ms'])}")
    print(f"  độ to · loudness        {_levelled(entry)}, true peak {entry['made']['true_peak_dbtp']:.1f} dBTP")
    print(f"  im lặng · silent        {100 * found['quiet_share']:.0f}%")
    print(f"  vỡ tiếng · clipped      {100 * found['clipped_share']:.1f}%")
    print(f"  khu vực · area          {entry['area']}")
    print(f"  người gửi · added by    {entry['added_by']}, {added:%Y-%m-%d %H:%M}")
    print(f"  nguồn · came from       {entry['origin']['name']} ({entry['origin']['kind']})")
    print(f"  bản quyền · licence     {entry['licence'] or '-'}")
    print(f"  đang dùng · needed by   {'; '.join(entry['uses']) or '-'}")
    if not entry["is_there"]:
        print("  TỆP KHÔNG CÒN · ITS FILE IS GONE: add the recording again", file=sys.stderr)
    return _DONE


def _save(options: argparse.Namespace) -> int:
    client = _client(options)
    kind = "original" if options.original else "sound"
    try:
        file = options.file.open("xb")
    except FileExistsError as error:
        raise ApiError(f"{options.file}: đã có tệp này · exists already; give another name") from error
    except OSError as error:
        raise ApiError(f"{options.file}: {error.strerror or error}") from error

    def write(piece: bytes) -> None:
        try:
            file.write(piece)
        except OSError as error:
            raise ApiError(f"{options.file}: {error.strerror or error}") from error

    try:
        with file:
            client.download(f"{_at(options.id)}/{kind}", write)
    except ApiError:
        options.file.unlink(missing_ok=True)
        raise
    print(f"đã lưu · saved: {options.file}")
    return _DONE


def _describe(options: argparse.Namespace) -> int:
    said = {name: getattr(options, name) for name in ("title", "licence") if getattr(options, name) is not None}
    if not said:
        print("hãy ghi --title hoặc --licence · say --title or --licence", file=sys.stderr)
        return _FAILED
    entry = _client(options).call("POST", _at(options.id), said)
    print(f"đã sửa · mended: {entry['id']} {entry['title']} ({entry['licence'] or '-'})")
    return _DONE


def _remove(options: argparse.Namespace) -> int:
    client = _client(options)
    entry = client.call("DELETE", _at(options.id))
    print(f"đã gỡ · removed: {entry['id']} {entry['title']}")
    print(f"khôi phục · bring it back with: loaxa-controller media restore {options.config} {entry['id']}")
    return _DONE


def _restore(options: argparse.Namespace) -> int:
    client = _client(options)
    entry = client.call("POST", f"{_at(options.id)}/restore")
    print(f"đã khôi phục · it is back: {entry['id']} {entry['title']}")
    return _DONE


def _cancel(options: argparse.Namespace) -> int:
    _client(options).send("DELETE", f"{MEDIA}/intakes/{_plain(options.id)}", None, {})
    print(f"đã huỷ · given up: {options.id}")
    return _DONE


def _at(text: str) -> str:
    return f"{MEDIA}/{_plain(text)}"


def _plain(text: str) -> str:
    """An id as a path takes it; what is none of it is nowhere found."""
    if not text or not all(each.isascii() and (each.isalnum() or each == "-") for each in text):
        raise ApiError(f"{text[:64]!r} không phải mã bản thu · is no id; `media list` shows them")
    return text[:80]


def _levelled(entry: dict[str, Any]) -> str:
    before, after = entry["found"]["loudness"]["integrated_lufs"], entry["made"]["integrated_lufs"]
    return f"{before:.1f} → {after:.1f} LUFS"


def _length(duration_ms: int) -> str:
    minutes, seconds = divmod(duration_ms // 1000, 60)
    return f"{minutes}:{seconds:02}"


def _progress(text: str) -> None:
    """One line that is written over; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:120]}", end="", file=sys.stderr, flush=True)


def _client(options: argparse.Namespace) -> ApiClient:
    console = read_config(options.config).http.console
    return ApiClient(console, read_token(Path(console.token_file)))
