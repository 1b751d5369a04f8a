"""`loaxa-controller enrol ...`: the certificate authority's set-up, and what people decide about units.

`ca-create` works on files alone; the other verbs ask the running controller through its API. What a technician or an
operator reads comes in Vietnamese first.
"""

from __future__ import annotations

import argparse
import datetime as dt
import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from controller.adapters.api_client import ApiClient
from controller.adapters.certificate_authority import create_authority, utc_now
from controller.adapters.config_file import read_config, read_token
from controller.enrolment.office import VALID_DAYS_DEFAULT
from controller.errors import ConfigError
from protocol.adapters.durable_file import write_durably

_DONE: Final = 0
_STATE_WORDS: Final = {
    "claimed": "đã cấp mã, chờ hộp",
    "applied": "chờ duyệt",
    "approved": "đã duyệt",
    "refused": "từ chối",
    "issued": "đang dùng",
    "renewed": "đang dùng (gia hạn)",
    "revoked": "đã thu hồi",
    "replaced": "đã thay",
}
_Command = Callable[[argparse.Namespace], int]


def add_enrolment_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `enrol ...` below the command."""
    text = "đưa hộp vào hệ thống · enrol units: authority, claims, approvals, revocations"
    each = verbs.add_parser("enrol", help=text, description=text).add_subparsers(required=True, metavar="VERB")
    create = each.add_parser("ca-create", help="make the authority and the servers' certificates; again: renew these")
    create.add_argument("folder", type=Path, metavar="DIR", help="where the files belong; what is there stays")
    create.add_argument("--controller", required=True, metavar="NAME", help="the controller's name")
    create.add_argument("--host", action="append", default=[], required=True, help="name of the server; repeatable")
    create.add_argument("--root-passphrase-file", type=Path, help="instead of asking for the root's passphrase")
    create.add_argument(
        "--new-issuing", action="store_true", help="another issuing authority under the root, whose key was put back"
    )
    create.set_defaults(command=_create)
    _verb(each, "list", _list, "mọi hộp · every unit and claim")
    claim = _verb(each, "claim", _claim, "cấp mã dùng một lần cho một cụm loa · a one-time code for a cluster")
    claim.add_argument("node", metavar="NODE", help="the cluster")
    _claim_options(claim)
    approve = _verb(each, "approve", _approve, "duyệt hộp theo nhãn · give the unit with this label its place")
    approve.add_argument("unit", metavar="LABEL", help="the fingerprint on the label, or the id in the list")
    approve.add_argument("node", metavar="NODE", help="the cluster that it is for")
    approve.add_argument("--replace", action="store_true", help="it takes the place of the present unit")
    approve.set_defaults(days=VALID_DAYS_DEFAULT)
    for name, command, words in (
        ("refuse", _refuse, "từ chối hộp đang chờ · let a unit wait no longer"),
        ("revoke", _revoke, "thu hồi chứng chỉ, hoặc mã chưa dùng · end a unit's certificates, or an unused claim"),
    ):
        ending = _verb(each, name, command, words)
        ending.add_argument("unit", metavar="UNIT", help="the cluster, the label's fingerprint, or the id in the list")
        ending.add_argument("--reason", default="", help="why, for the record")
    replace = _verb(each, "replace", _replace, "thay hộp của một cụm loa · another unit takes a cluster's place")
    replace.add_argument("node", metavar="NODE", help="the cluster")
    replace.add_argument("--unit", metavar="LABEL", default="", help="approve this unit, instead of making a code")
    _claim_options(replace)


def _claim_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=VALID_DAYS_DEFAULT, help="the code's validity (default 7)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the boot partition's file here (0600)")


def _verb(verbs: Any, name: str, command: _Command, text: str) -> argparse.ArgumentParser:  # noqa: ANN401 - as above
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    parser.set_defaults(command=command)
    return parser


def _create(options: argparse.Namespace) -> int:
    done = create_authority(
        options.folder,
        controller=options.controller,
        hosts=options.host,
        ask_passphrase=lambda: _passphrase(options.root_passphrase_file),
        now=utc_now(),
        has_new_issuing=options.new_issuing,
    )
    print("\n".join(done))
    return _DONE


def _passphrase(path: Path | None) -> bytes:
    if path is not None:
        try:
            return path.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if not sys.stdin.isatty():
        raise ConfigError("the root's passphrase is asked for on a terminal; or give --root-passphrase-file")
    first = getpass.getpass("Mật khẩu khoá gốc · passphrase of the root's key: ")
    if getpass.getpass("Nhập lại · again: ") != first:
        raise ConfigError("the two passphrases differ; nothing was made")
    return first.encode()


def _list(options: argparse.Namespace) -> int:
    zone = ZoneInfo(read_config(options.config).time_zone)
    for row in _client(options).call("GET", "/api/v1/enrolments")["enrolments"]:
        until_ms = row["certificate_ends_at_ms"] or row["expires_at_ms"]
        until = f"{dt.datetime.fromtimestamp(until_ms / 1000, zone):%Y-%m-%d}" if until_ms else "-"
        words = _STATE_WORDS.get(row["state"], row["state"])
        facts = [row["id"], row["node"] or "-", f"{row['state']} ({words})", row["fingerprint"] or "-", until]
        print("  ".join([*facts, row["hardware"] or "-", row["address"] or "-", row["reason"]]).rstrip())
    return _DONE


def _claim(options: argparse.Namespace) -> int:
    return _make_claim(options, may_replace=False)


def _replace(options: argparse.Namespace) -> int:
    if not options.unit:
        return _make_claim(options, may_replace=True)
    options.replace = True
    return _approve(options)


def _make_claim(options: argparse.Namespace, *, may_replace: bool) -> int:
    body = {"node": options.node, "replace": may_replace, "days": options.days}
    answer = _client(options).call("POST", "/api/v1/enrolments/claims", body)
    if options.output is None:
        print(answer["boot_file"], end="")
        return _DONE
    try:
        write_durably(options.output, answer["boot_file"].encode(), mode=0o600)
    except OSError as error:
        print(answer["boot_file"], end="")  # the code is told once: better on the screen than lost
        raise ConfigError(f"{options.output} cannot be written: {error.strerror or error}") from error
    print(f"Mã đăng ký · claim code: {answer['code']}\nĐã ghi · written: {options.output}")
    return _DONE


def _approve(options: argparse.Namespace) -> int:
    body = {"unit": options.unit, "node": options.node, "replace": options.replace, "days": options.days}
    answer = _client(options).call("POST", "/api/v1/enrolments/approvals", body)
    print(f"Đã duyệt hộp {answer['fingerprint']} cho {answer['node']} · approved")
    return _DONE


def _refuse(options: argparse.Namespace) -> int:
    return _end(options, "refusals", "Đã từ chối", "refused")


def _revoke(options: argparse.Namespace) -> int:
    return _end(options, "revocations", "Đã thu hồi", "revoked")


def _end(options: argparse.Namespace, path: str, vietnamese: str, english: str) -> int:
    body = {"unit": options.unit, "reason": options.reason}
    answer = _client(options).call("POST", f"/api/v1/enrolments/{path}", body)
    print(f"{vietnamese} {answer['node'] or '-'} {answer['fingerprint'] or answer['id']} · {english}")
    return _DONE


def _client(options: argparse.Namespace) -> ApiClient:
    console = read_config(options.config).http.console
    return ApiClient(console, read_token(Path(console.token_file)))
