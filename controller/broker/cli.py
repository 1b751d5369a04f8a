"""`loaxa-controller broker ...`: writes the broker's files, and tells whether they are the present ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from controller.adapters.broker_files import broker_files, stale_files, write_broker_files
from controller.adapters.config_file import read_config

_DONE: Final = 0
_FAILED: Final = 1


def add_broker_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `broker write` and `broker check` below the command."""
    broker = verbs.add_parser("broker", help="the broker's configuration, access rules and connection limit")
    each = broker.add_subparsers(required=True, metavar="VERB")
    write = each.add_parser("write", help="write them into broker.server.folder; a second run changes nothing")
    check = each.add_parser("check", help="say which of them are not as this version and configuration make them")
    for verb, command in ((write, _write), (check, _check)):
        verb.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML")
        verb.add_argument("--user", default=None, help="the user whom Mosquitto becomes when root starts it")
        verb.add_argument("--log-to", default="syslog", choices=("syslog", "stderr"), help="where it logs")
        verb.set_defaults(command=command)


def _write(options: argparse.Namespace) -> int:
    files = broker_files(read_config(options.config), user=options.user, log_to=options.log_to)
    changed = write_broker_files(files)
    for path in files:
        print(f"{path}: {'written' if path in changed else 'unchanged'}")
    if changed:
        print("now: systemctl reload mosquitto (access rules), restart (its configuration); nft -f the limit")
    return _DONE


def _check(options: argparse.Namespace) -> int:
    stale = stale_files(broker_files(read_config(options.config), user=options.user, log_to=options.log_to))
    for path in stale:
        print(f"{path} is not as it should be; run: loaxa-controller broker write {options.config}", file=sys.stderr)
    return _FAILED if stale else _DONE
