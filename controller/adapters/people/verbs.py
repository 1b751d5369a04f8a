"""Carries out `people …` and `audit …` on the database; the arguments are `people.cli`'s.

Rules kept: what a person reads is Vietnamese first; a secret is printed once, to standard output, and nowhere else.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from controller.adapters.audit_reading import export_log, show_log, verify_log
from controller.adapters.config_file import read_config
from controller.adapters.database import open_database
from controller.adapters.people.office import PeopleOffice
from controller.adapters.people.passwords import Passwords
from controller.adapters.people.store import PeopleStore
from controller.configuration.config import Config
from controller.errors import ConfigError, RequestCode, RequestError
from controller.people.audit import Actor
from controller.people.model import checked_name, checked_password, grant_of
from controller.people.rights import Grant
from controller.tables import TABLES, table_of
from protocol.adapters.system_clock import read_now

PASSWORD_FILE_BYTES_MAX: Final = 1024
_DONE, _FAILED = 0, 1
Verb = Callable[[argparse.Namespace, Config, PeopleStore], Awaitable[int]]


async def run(options: argparse.Namespace, verb: str) -> int:
    """Run one verb; returns its exit code. Raises ControllerError."""
    config = read_config(options.config)
    async with _store(config) as store:
        return await VERBS[verb](options, config, store)


@asynccontextmanager
async def _store(config: Config) -> AsyncIterator[PeopleStore]:
    database = await open_database(config.database)
    try:
        yield PeopleStore(database)
    finally:
        await database.close()


async def _add(options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    grants, office = _grants(options, config), _office(store)
    name = checked_name(options.name)
    title = options.title or name
    if options.invite:
        invited = await office.invite(name, title, grants, by=_by())
        _said_invite(config, invited.name, invited.code)
        return _DONE
    password = checked_password(_password(options.password_file), name=name)
    await office.add_with_password(name, title, grants, await Passwords().hash(password), by=_by())
    _say(f"{name}: đã tạo / added. {_listed(grants)}")
    _say("Đăng nhập rồi thiết lập yếu tố thứ hai / log in, then set up a second factor")
    return _DONE


async def _list(_options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    rows = [
        {
            "name": view.person.name,
            "title": view.person.title,
            "state": view.person.state.value,
            "roles": _listed(view.grants),
            "factor": "yes" if view.has_second_factor else "no",
        }
        for view in await store.people()
    ]
    _say(table_of(rows, TABLES["people"], time_zone=config.time_zone))
    return _DONE


async def _role(options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    office, grants = _office(store), _grants(options, config)
    await office.set_grants(await office.known(options.name), grants, by=_by())
    _say(f"{options.name}: {_listed(grants)}")
    return _DONE


async def _disable(options: argparse.Namespace, _config: Config, store: PeopleStore) -> int:
    office = _office(store)
    await office.disable(await office.known(options.name), by=_by())
    _say(f"{options.name}: đã khoá / disabled")
    return _DONE


async def _reset(options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    office = _office(store)
    invited = await office.reset(await office.known(options.name), by=_by())
    _said_invite(config, invited.name, invited.code)
    return _DONE


async def _token_add(options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    office, person = _office(store), options.person
    if person:
        person = (await office.known(person)).person.name
    grants = _grants(options, config)
    _say(
        await office.add_token(
            options.title, grants, days=options.days, acts_alone=options.alone, person=person, by=_by()
        )
    )
    _warn("chỉ hiện một lần / shown once: Authorization: Bearer …")
    return _DONE


async def _token_list(_options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    rows = [
        {
            "id": token.id,
            "title": token.title,
            "person": token.person or "service",
            "roles": _listed(token.grants) + (" alone" if token.acts_alone else ""),
            "expires_at_ms": token.expires_at_ms,
            "used_at_ms": token.used_at_ms,
        }
        for token in await store.tokens()
    ]
    _say(table_of(rows, TABLES["tokens"], time_zone=config.time_zone))
    return _DONE


async def _token_revoke(options: argparse.Namespace, _config: Config, store: PeopleStore) -> int:
    await _office(store).revoke_token(options.id, by=_by())
    _say(f"{options.id}: đã thu hồi / revoked")
    return _DONE


async def _audit_verify(options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    found = await verify_log(store, config, copy=options.checkpoints, public_key=options.public_key)
    for fault in found.faults:
        _warn(fault)
    _say(found.summary)
    return _FAILED if found.faults else _DONE


async def _audit_show(options: argparse.Namespace, config: Config, store: PeopleStore) -> int:
    _say(await show_log(store, time_zone=config.time_zone, limit=max(1, min(options.limit, 10_000)), who=options.who))
    return _DONE


async def _audit_export(_options: argparse.Namespace, _config: Config, store: PeopleStore) -> int:
    await export_log(store, sys.stdout.buffer)
    return _DONE


def _grants(options: argparse.Namespace, config: Config) -> list[Grant]:
    known = frozenset(area.id for area in config.areas)
    return [grant_of(text, known) for text in options.role]


def _password(path: Path | None) -> str:
    if path is None:
        password = getpass.getpass("Mật khẩu / password: ")
        if getpass.getpass("Nhập lại / again: ") != password:
            raise RequestError(RequestCode.BAD_REQUEST, "hai lần nhập khác nhau / the two passwords differ")
        return password
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            text = file.read(PASSWORD_FILE_BYTES_MAX).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--password-file: {path} cannot be read: {error}") from error
    return text.split("\n", 1)[0].rstrip("\r")


def _said_invite(config: Config, name: str, code: str) -> None:
    console = config.http.console
    at = console.origin or f"http://localhost:{console.port}"
    _say(f"{at}/invite\ntên / name: {name}\nmã / code: {code}\n(72 giờ, dùng một lần / 72 hours, once)")


def _listed(grants: Iterable[Grant]) -> str:
    return ", ".join(f"{grant.role.value}@{grant.area}" for grant in sorted(grants)) or "-"


def _by() -> Actor:
    return Actor(who="system", address="command")


def _now_ms() -> int:
    return read_now().shared_ms


def _office(store: PeopleStore) -> PeopleOffice:
    return PeopleOffice(store, _now_ms)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _warn(text: str) -> None:
    sys.stderr.write(text + "\n")


VERBS: Final[dict[str, Verb]] = {
    "people add": _add,
    "people list": _list,
    "people role": _role,
    "people disable": _disable,
    "people reset": _reset,
    "token add": _token_add,
    "token list": _token_list,
    "token revoke": _token_revoke,
    "audit verify": _audit_verify,
    "audit show": _audit_show,
    "audit export": _audit_export,
}
