"""Opens the console's listener: page, API and people, over TLS where a certificate is configured; signs the audit log.

What needs a person's account works from the first start on: the command makes the first administrator.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from aiohttp import web

from controller.adapters.audit_recorder import AuditRecorder, Checkpoints
from controller.adapters.database import SqlDatabase
from controller.adapters.reporting.tally_store import TallyStore
from controller.configuration.config import Config
from controller.web.access import origin_of
from controller.web.account import add_account
from controller.web.api import add_api
from controller.web.audit_page import add_audit_page
from controller.web.console import console_application
from controller.web.emergency_page import add_emergency_page
from controller.web.listeners import console_tls, open_listener
from controller.web.login import add_login
from controller.web.measures_page import add_measures_page
from controller.web.page import add_page
from controller.web.parts import Console, ConsoleSettings
from controller.web.people import add_people
from controller.web.people_parts import PeopleParts, checkpoints_of, people_of, settings_of
from controller.web.plan_api import add_plan_api
from controller.web.quiet_connections import QuietLimits
from controller.web.reports import add_reports
from controller.web.silence_page import add_silence_page
from controller.web.voice import add_voice

log = logging.getLogger("controller")


def full_console(console: Console, *, settings: ConsoleSettings, people: PeopleParts) -> web.Application:
    """The application with all its routes."""
    application = console_application(console, settings=settings, people=people)
    for add in (
        add_api,
        add_plan_api,
        add_page,
        add_measures_page,
        add_login,
        add_account,
        add_people,
        add_audit_page,
        add_emergency_page,
        add_silence_page,
        add_voice,
    ):
        add(application)
    return application


async def open_console(
    stack: contextlib.AsyncExitStack,
    config: Config,
    console: Console,
    database: SqlDatabase,
    token: str,
    *,
    add_more: Callable[[web.Application], None],
) -> AuditRecorder:
    """Serve until the stack ends; gives what puts refused configurations on record. Raises ConfigError."""
    people = people_of(config, database)
    checkpoints = checkpoints_of(config, database)
    application = full_console(console, settings=settings_of(config, token), people=people)
    add_reports(application, TallyStore(database))
    add_more(application)
    listener = config.http.console
    opened = await open_listener(
        application,
        host=listener.host,
        port=listener.port,
        key="http.console",
        tls=console_tls(listener),
        quiet=QuietLimits(),
    )
    stack.push_async_callback(_end, asyncio.create_task(checkpoints.run(), name="checkpoints"), checkpoints)
    stack.push_async_callback(opened.cleanup)
    log.info("page and API at %s/", origin_of(listener))
    if not await people.store.count():
        log.info(
            "nobody has an account yet; make the first: loaxa-controller people add CONFIG NAME --role administrator"
        )
    return people.recorder


async def _end(signing: asyncio.Task[None], checkpoints: Checkpoints) -> None:
    """The last entries are signed too."""
    signing.cancel()
    await asyncio.gather(signing, return_exceptions=True)
    await checkpoints.sign_now()
