"""What `programme ...` and `bulletin ...` share: how they are asked, who asks, and how the answer is printed.

Prints Vietnamese first; exit codes are those of the command line (`cli`).
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from controller.adapters.api_client import ANSWER_S_MAX, ApiClient
from controller.adapters.config_file import read_config, read_token
from controller.errors import ExchangeError
from controller.programmes.written import written_out
from controller.tables import TABLES, table_of

DONE: Final = 0
_STANDARD_INPUT: Final = "-"
Say = Mapping[str, Any]
Command = Callable[[argparse.Namespace], int]


def add_list(inner: Any, command: Command, text: str, *, example: str) -> None:  # noqa: ANN401 - argparse's own
    """`list`: of programmes or bulletins."""
    listed = add_verb(inner, "list", command, text, example=example)
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
    command: Command,
    text: str,
    *,
    example: str,
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
    command: Command,
    text: str,
    *,
    example: str,
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
