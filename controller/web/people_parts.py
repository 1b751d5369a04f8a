"""Joins what concerns people into one set of parts, from the configuration and the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.adapters.audit_recorder import AuditRecorder, Checkpoints
from controller.adapters.database import SqlDatabase
from controller.adapters.gate import Gate
from controller.adapters.people.keys import audit_key, checkpoints_path, sealing_key
from controller.adapters.people.office import PeopleOffice
from controller.adapters.people.own_account import OwnAccount
from controller.adapters.people.passkeys import Passkeys
from controller.adapters.people.passwords import Passwords
from controller.adapters.people.second_factors import Sealer
from controller.adapters.people.store import PeopleStore
from controller.configuration.config import Config, ConsoleListenerConfig
from controller.people.model import SessionLimits
from controller.people.rights import Grant, Principal
from controller.web.access import host_of, origin_of
from controller.web.parts import ConsoleSettings
from protocol.adapters.system_clock import read_now

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleParts:
    """The rooms that know people."""

    store: PeopleStore
    gate: Gate
    account: OwnAccount
    office: PeopleOffice
    recorder: AuditRecorder


def clock() -> int:
    """Shared milliseconds."""
    return read_now().shared_ms


def settings_of(config: Config, token: str) -> ConsoleSettings:
    """The console's settings; the token of the file is a service that acts alone in one role, everywhere."""
    console = config.http.console
    return ConsoleSettings(
        listener=console,
        token=token,
        file_token=Principal(
            name="service/file", grants=frozenset(Grant(role=role) for role in console.token_roles), acts_alone=True
        ),
        step_up_ms=config.people.step_up_minutes * 60_000,
    )


def limits_of(config: Config) -> SessionLimits:
    """How long sessions live."""
    people = config.people
    return SessionLimits(idle_ms=people.session_idle_minutes * 60_000, absolute_ms=people.session_hours * 3_600_000)


def people_parts(
    database: SqlDatabase,
    *,
    listener: ConsoleListenerConfig,
    key: bytes,
    limits: SessionLimits,
    passwords: Passwords | None = None,
    now: Clock = clock,
) -> PeopleParts:
    """The parts on a database."""
    store, sealer = PeopleStore(database), Sealer(key)
    recorder = AuditRecorder(store)
    passwords = passwords or Passwords()
    passkeys = Passkeys(origin=origin_of(listener), host=host_of(listener))
    gate = Gate(
        store=store,
        passwords=passwords,
        passkeys=passkeys,
        sealer=sealer,
        recorder=recorder,
        limits=limits,
        clock=now,
    )
    account = OwnAccount(store=store, gate=gate, passwords=passwords, passkeys=passkeys, sealer=sealer)
    office = PeopleOffice(store, now)
    return PeopleParts(store=store, gate=gate, account=account, office=office, recorder=recorder)


def people_of(config: Config, database: SqlDatabase) -> PeopleParts:
    """The parts as the configuration says; raises ConfigError."""
    return people_parts(database, listener=config.http.console, key=sealing_key(config), limits=limits_of(config))


def checkpoints_of(config: Config, database: SqlDatabase) -> Checkpoints:
    """What signs the audit log; raises ConfigError."""
    return Checkpoints(
        PeopleStore(database),
        audit_key(config),
        checkpoints_path(config),
        every_s=config.audit.checkpoint_minutes * 60,
    )
