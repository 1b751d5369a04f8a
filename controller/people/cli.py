"""`loaxa-controller people …` and `audit …`: accounts and tokens, and what the audit log holds, through the database.

Whoever may read the configuration and open its database is the machine's owner: these commands need no login, make the
first administrator, and let somebody in again who has lost everything. Each act is on record under the system's name.
They work whether the controller runs or not.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
from pathlib import Path
from typing import Any, Final

_GRANT: Final = "a role, everywhere or in an area: operator, operator@xa-binh-minh"


def add_people_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Hang `people …` and `audit …` below the command."""
    people = verbs.add_parser("people", help="accounts, roles and API tokens").add_subparsers(
        required=True, metavar="VERB"
    )
    add = _verb(people, "people add", "a new account; asks for a password, or makes an invitation")
    add.add_argument("name", help="2 to 40 of a-z, 0-9, . _ -")
    add.add_argument("--title", default="", help="the person's name as screens show it")
    add.add_argument("--role", action="append", default=[], metavar="ROLE[@AREA]", help=_GRANT)
    how = add.add_mutually_exclusive_group()
    how.add_argument(
        "--password-file", type=Path, help="a file with the password on its first line; - is standard input"
    )
    how.add_argument(
        "--invite", action="store_true", help="no password: print a code with which the person chooses one"
    )
    _verb(people, "people list", "everybody with their roles")
    role = _verb(people, "people role", "give a person exactly these roles; none takes all away")
    role.add_argument("name")
    role.add_argument("--role", action="append", default=[], metavar="ROLE[@AREA]", help=_GRANT)
    _verb(people, "people disable", "nobody comes in by this account any more").add_argument("name")
    _verb(people, "people reset", "take password and second factors away; print an invitation").add_argument("name")
    _add_token_verbs(people)
    _add_audit_verbs(verbs)


def _add_token_verbs(people: Any) -> None:  # noqa: ANN401 - as above
    token = people.add_parser("token", help="keys of programs to the API").add_subparsers(required=True, metavar="VERB")
    add = _verb(token, "token add", "a new token; printed once")
    add.add_argument("title", help="which program it is for")
    add.add_argument("--role", action="append", required=True, metavar="ROLE[@AREA]", help=_GRANT)
    add.add_argument("--days", type=int, default=90, help="how long it is good for (default 90, at most 730)")
    add.add_argument("--person", default="", help="it never does more than this person may; without, it is a service's")
    alone = "it may do what asks people for a second factor (real emergencies, enrolment)"
    add.add_argument("--alone", action="store_true", help=alone)
    _verb(token, "token list", "all tokens")
    _verb(token, "token revoke", "a token is worth nothing any more").add_argument("id")


def _add_audit_verbs(verbs: Any) -> None:  # noqa: ANN401 - as above
    audit = verbs.add_parser("audit", help="who did what").add_subparsers(required=True, metavar="VERB")
    verify = _verb(audit, "audit verify", "look for altered, removed, moved or cut-off entries")
    verify.add_argument("--checkpoints", type=Path, help="a copy of the checkpoints that was kept elsewhere")
    verify.add_argument("--public-key", default="", help="the key that signed them, 64 hexadecimal digits")
    show = _verb(audit, "audit show", "the newest entries")
    show.add_argument("--limit", type=int, default=50, help="at most so many rows (default 50)")
    show.add_argument("--who", default=None, help="only of this name")
    _verb(audit, "audit export", "every entry as one line of JSON; its SHA-256 is the next one's third field")


def _verb(verbs: Any, verb: str, text: str) -> argparse.ArgumentParser:  # noqa: ANN401 - as above
    parser: argparse.ArgumentParser = verbs.add_parser(verb.rpartition(" ")[2], help=text, description=text)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    parser.set_defaults(command=functools.partial(_run, verb))
    return parser


def _run(verb: str, options: argparse.Namespace) -> int:
    from controller.adapters.people.verbs import run  # noqa: PLC0415 - an emergency's command must not load a database

    return asyncio.run(run(options, verb))
