"""`loaxa-controller silence ...`: keep poles silent until the release, through the running controller's API.

Prints Vietnamese first; exit codes are those of the command line (`cli`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config, read_token

_DONE: Final = 0
_FAILED: Final = 1
_EXAMPLE: Final = """example:
  loaxa-controller silence start controller.yaml --area xa-binh-minh --reason 'khoá ký bị mất'
  loaxa-controller silence release controller.yaml --area xa-binh-minh --reason 'đã thay khoá'
"""


def add_silence_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `silence ...` below the command."""
    text = "lệnh im lặng: mọi loa im, cả khẩn cấp, đến khi bỏ lệnh · silence poles, emergencies too, until the release"
    inner = verbs.add_parser("silence", help=text, description=text).add_subparsers(
        required=True, metavar="start|release"
    )
    _add(inner, "start", _start, "ra lệnh im lặng · order silence", needs_reason=True)
    _add(inner, "release", _release, "bỏ lệnh im lặng · release it", needs_reason=False)


def _add(
    inner: Any,  # noqa: ANN401 - as above
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
    *,
    needs_reason: bool,
) -> None:
    parser = inner.add_parser(
        name, help=text, description=text, epilog=_EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--area", default="", help="everything in this area")
    place.add_argument("--node", default="", help="one cluster")
    parser.add_argument("--reason", default="", required=needs_reason, help="why; shown wherever the silence is")
    parser.set_defaults(command=command)


def _start(options: argparse.Namespace) -> int:
    answer = _call(options, "/api/v1/silences")
    place = answer["node_title"] or answer["area_title"]
    print(f"{'IM LẶNG · SILENCED' if answer['is_new'] else 'đã im lặng · silent already'}: {place}: {answer['reason']}")
    flag = f"--node {answer['node']}" if answer["node"] else f"--area {answer['area']}"
    print(f"bỏ lệnh · release it with: loaxa-controller silence release {options.config} {flag}")
    return _warn_broker(answer)


def _release(options: argparse.Namespace) -> int:
    answer = _call(options, "/api/v1/silences/release")
    print(f"đã bỏ lệnh im lặng · released: {answer['node_title'] or answer['area_title']}")
    return _warn_broker(answer)


def _call(options: argparse.Namespace, path: str) -> dict[str, Any]:
    console = read_config(options.config).http.console
    body = {"area": options.area, "node": options.node, "reason": options.reason}
    answer: dict[str, Any] = ApiClient(console, read_token(Path(console.token_file))).call("POST", path, body)
    return answer


def _warn_broker(answer: dict[str, Any]) -> int:
    if answer["is_broker_connected"]:
        return _DONE
    print(
        f"CHƯA GỬI · NOT SENT YET: the broker is away ({answer['broker']}); it is sent when it is back",
        file=sys.stderr,
    )
    return _FAILED
