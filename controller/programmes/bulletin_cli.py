"""`loaxa-controller bulletin ...`: written by one person, approved by another, listened to before it is published.

Prints Vietnamese first; exit codes are those of the command line (`cli`). Who approves gives their own token with
`--token-file`: the configuration's token is nobody's.
"""

from __future__ import annotations

import argparse
import sys
import urllib.parse
from pathlib import Path
from typing import Any, Final

import msgspec

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config
from controller.errors import ExchangeError
from controller.programmes.bulletin import Bulletin
from controller.programmes.desk_cli import (
    DONE,
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
from controller.programmes.written import bulletin_in, written_out

BULLETINS: Final = "/api/v1/bulletins"
SPOKEN_S_MAX: Final = 300.0
"""The longest text, spoken and levelled on a slow machine."""
_EXAMPLE: Final = """examples:
  loaxa-controller bulletin add controller.yaml --id cat-nuoc --title 'Cắt nước' --area xa-binh-minh \\
      --text 'Ngày mai cắt nước từ 8h đến 11h30.' --valid-until 2026-12-02 --token-file an.token
  loaxa-controller bulletin listen controller.yaml cat-nuoc cat-nuoc.ogg
  loaxa-controller bulletin approve controller.yaml cat-nuoc --version 1 --token-file binh.token
  loaxa-controller bulletin refuse controller.yaml cat-nuoc --version 1 --reason 'sai giờ' --token-file binh.token

a token of one's own: loaxa-controller people token add --help
"""


def add_bulletin_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `bulletin ...` below the command."""
    text = "bản tin: viết, nghe thử, duyệt, gỡ · bulletins: write, listen, approve, withdraw"
    raw = argparse.RawDescriptionHelpFormatter
    inner = verbs.add_parser(
        "bulletin", help=text, description=text, epilog=_EXAMPLE, formatter_class=raw
    ).add_subparsers(required=True, metavar="list|show|add|edit|approve|refuse|remove|undo|listen")
    add_list(inner, _list, "các bản tin · what there is", example=_EXAMPLE)
    add_show_flags(
        add_one(
            inner, "show", _show, "một bản tin, ai viết, ai duyệt · one, with who wrote and decided", example=_EXAMPLE
        )
    )
    add = add_verb(
        inner, "add", _add, "viết bản tin, chưa ai duyệt · write one; nobody has approved it", example=_EXAMPLE
    )
    add.add_argument("--id", default="", help="a-z, 0-9 and -; names it for ever")
    add.add_argument("--area", default="", help="for whom")
    edit = add_one(inner, "edit", _edit, "sửa, phải duyệt lại · change it; to be approved anew", example=_EXAMPLE)
    for parser in (add, edit):
        _add_content(parser)
    for name, command, told in (
        ("approve", _approve, "duyệt bản tin của người khác · approve what somebody else wrote"),
        ("refuse", _refuse, "trả lại hoặc rút duyệt, có lý do · refuse it, or take an approval back"),
    ):
        decide = add_one(inner, name, command, told, example=_EXAMPLE)
        decide.add_argument("--version", type=int, required=True, help="the one that was read, as `show` says it")
        decide.add_argument("--reason", default="", required=name == "refuse", help="why, for the author")
    add_one(
        inner, "remove", _remove, "gỡ, không phát nữa · withdraw it; undo brings it back, unapproved", example=_EXAMPLE
    )
    undo = add_one(inner, "undo", _undo, "hoàn tác lần sửa cuối · take the last change back", example=_EXAMPLE)
    undo.add_argument("--to", type=int, default=None, metavar="VERSION", help="as `show` lists them")
    listen = add_one(inner, "listen", _listen, "lưu để nghe thử · save what poles would sound", example=_EXAMPLE)
    listen.add_argument("file", type=Path, metavar="FILE", help="where to (Ogg Opus); must not exist yet")
    listen.add_argument("--version", type=int, default=None, help="of an earlier version")


def _add_content(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="file", default="", metavar="FILE", help="a YAML file; - is standard input")
    parser.add_argument("--title", default="", help="as screens and records show it")
    parser.add_argument("--text", default="", help="what is spoken")
    parser.add_argument("--text-file", default="", metavar="FILE", help="the same from a file; - is standard input")
    parser.add_argument(
        "--audio", default="", metavar="ID", help="a recording, as `media list` shows it; sounds in place of the text"
    )
    parser.add_argument("--language", default="", help="of the text: vi (default), en, …")
    parser.add_argument(
        "--class", dest="broadcast_class", choices=("routine", "priority"), default="", help="message class"
    )
    parser.add_argument("--valid-until", default="", metavar="DAY", help="the last day on which it is true, 2026-12-02")


def _list(options: argparse.Namespace) -> int:
    return print_list(options, BULLETINS, "bulletins")


def _show(options: argparse.Namespace) -> int:
    client, config = client_of(options), read_config(options.config)
    path = path_of(BULLETINS, options.id)
    if options.version is not None:
        print(written_out(client.call("GET", f"{path}/versions/{options.version}")["bulletin"]), end="")
        return DONE
    found = client.call("GET", path)
    if print_plain(options, found, "bulletin"):
        return DONE
    airs = (
        f"phát phiên bản · version {found['airs_version']} may sound"
        if found["airs_version"]
        else "không phát · silent"
    )
    print(f"{found['id']}: {found['title']} · {found['area_title']} · {found['state']}, {airs}")
    for programme in found["programmes"]:
        print(f"trong chương trình · in the programme: {programme['id']} {programme['title']} ({programme['area']})")
    print(written_out(found["bulletin"]), end="")
    print_versions(found, config.time_zone)
    return DONE


def _add(options: argparse.Namespace) -> int:
    client = client_of(options)
    bulletin = bulletin_in(text_of(options.file), name=options.file) if options.file else _of_flags(options, client)
    area = urllib.parse.quote(bulletin.area)
    answer = client.call("POST", f"{BULLETINS}?area={area}", msgspec.to_builtins(bulletin))
    return _said("đã viết, chờ người khác duyệt · written, to be approved by somebody else", answer, options)


def _edit(options: argparse.Namespace) -> int:
    client = client_of(options)
    path = path_of(BULLETINS, options.id)
    held = client.call("GET", path)
    if options.file:
        bulletin = bulletin_in(text_of(options.file), name=options.file)
    else:
        bulletin = _changed(held["bulletin"], options, client)
    answer = client.call("PUT", f"{path}?version={held['version']}", msgspec.to_builtins(bulletin))
    is_same = answer["version"] == held["version"]
    return _said("không có gì thay đổi · nothing has changed" if is_same else "đã sửa · changed", answer, options)


def _approve(options: argparse.Namespace) -> int:
    return _decide(options, "đã duyệt · approved", is_approved=True)


def _refuse(options: argparse.Namespace) -> int:
    return _decide(options, "không duyệt · refused", is_approved=False)


def _decide(options: argparse.Namespace, told: str, *, is_approved: bool) -> int:
    body = {"version": options.version, "approve": is_approved, "reason": options.reason}
    answer = client_of(options).call("POST", f"{path_of(BULLETINS, options.id)}/decision", body)
    other = "refuse" if is_approved else "approve"
    back = f"bulletin {other} {options.config} {options.id} --version {options.version}"
    return _said(told, answer, options, back=f"{back} --reason …" if is_approved else back)


def _remove(options: argparse.Namespace) -> int:
    client, path = client_of(options), path_of(BULLETINS, options.id)
    answer = client.call("DELETE", f"{path}?version={client.call('GET', path)['version']}")
    for programme in answer["programmes"]:
        print(f"còn trong chương trình · still named by the programme {programme['id']}; silent there", file=sys.stderr)
    return _said("đã gỡ · withdrawn", answer, options)


def _undo(options: argparse.Namespace) -> int:
    answer = client_of(options).call("POST", f"{path_of(BULLETINS, options.id)}/undo", {"to": options.to})
    return _said("đã hoàn tác · undone", answer, options)


def _listen(options: argparse.Namespace) -> int:
    query = f"?version={options.version}" if options.version is not None else ""
    try:
        with options.file.open("xb") as file:
            client = client_of(options, answer_s_max=SPOKEN_S_MAX)
            client.download(f"{path_of(BULLETINS, options.id)}/sound{query}", file.write)
    except FileExistsError as error:
        raise ExchangeError(f"{options.file}: đã có tệp này · is there already; name another") from error
    except OSError as error:
        raise ExchangeError(f"{options.file}: không ghi được · cannot be written: {error.strerror or error}") from error
    except BaseException:
        options.file.unlink(missing_ok=True)
        raise
    print(f"{options.file}: {options.file.stat().st_size} byte")
    return DONE


def _said(told: str, answer: dict[str, Any], options: argparse.Namespace, *, back: str | None = None) -> int:
    state = f"{answer['state']}, " + (f"airs version {answer['airs_version']}" if answer["airs_version"] else "silent")
    return said(f"{told} ({state})", answer, options, back=back)


def _of_flags(options: argparse.Namespace, client: ApiClient) -> Bulletin:
    for name in ("id", "area", "title", "valid_until"):
        if not getattr(options, name):
            flag = name.replace("_", "-")
            raise ExchangeError(f"thiếu --{flag}, hoặc dùng --from FILE · --{flag} is needed, or --from FILE")
    return _changed({"id": options.id, "area": options.area}, options, client)


def _changed(plain: dict[str, Any], options: argparse.Namespace, client: ApiClient) -> Bulletin:
    changes = {name: getattr(options, name) for name in ("title", "text", "language", "broadcast_class", "valid_until")}
    if options.text_file:
        changes["text"] = text_of(options.text_file).strip()
    if options.audio:
        changes["audio"] = recording_of(client, options.audio)
    try:
        return msgspec.convert({**plain, **{name: each for name, each in changes.items() if each}}, Bulletin)
    except msgspec.ValidationError as error:
        raise ExchangeError(str(error)) from error
