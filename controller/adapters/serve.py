"""`run CONFIG`: the whole controller process, from its configuration to its last farewell.

Opens what it needs in the order in which it can fail with a clear sentence: keys, database, desk, listeners. SIGTERM
and SIGINT end it in good order, SIGHUP reads the configuration again: places, nodes, feeds, clips and programmes at
once, and so are the root, the keyset and the signing keys; addresses, certificates and the database need a restart. A
configuration that is wrong changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from controller.adapters.audit_recorder import AuditRecorder
from controller.adapters.authority_keeper import AuthorityKeeper
from controller.adapters.config_file import make_token, read_config
from controller.adapters.database import open_database
from controller.adapters.endings import tell_endings_daily
from controller.adapters.enrolment_service import EnrolmentService
from controller.adapters.enrolment_start import open_enrolment, open_enrolment_doors, places_of
from controller.adapters.keys.signing import load_authority
from controller.adapters.media.library import MediaLibrary
from controller.adapters.media.library_start import open_library
from controller.adapters.media_import import import_media, import_settings
from controller.adapters.media_store import MediaStore
from controller.adapters.programmes_start import ProgrammeRooms, open_programmes, tidy_daily
from controller.adapters.reporting.expecting import expecting
from controller.adapters.reporting.tally_store import start_counting
from controller.adapters.running_mark import running_mark
from controller.adapters.runtime import Runtime
from controller.adapters.time_link import start_time_service
from controller.configuration.config import Config
from controller.errors import ConfigError, ControllerError
from controller.web.bulletins_api import add_bulletins_api
from controller.web.console_start import open_console
from controller.web.enrolment_api import add_enrolment_api
from controller.web.exchange_api import add_exchange_api
from controller.web.listeners import mutual_tls, open_listener
from controller.web.media import media_application
from controller.web.media_api import add_media_api
from controller.web.programmes_api import add_programmes_api
from protocol.adapters.system_clock import read_now

log = logging.getLogger("controller")


async def serve(path: Path) -> None:
    """Run until a signal comes; raises ControllerError, or what the desk failed with."""
    config = read_config(path)
    authority = load_authority(config.trust)
    token = make_token(Path(config.http.console.token_file))
    store = MediaStore(_state_dir(config))
    async with contextlib.AsyncExitStack() as stack:
        database = await open_database(config.database)
        stack.push_async_callback(database.close)
        await start_counting(stack, database, time_zone=config.time_zone)
        runtime = Runtime(
            config=config,
            authority=authority,
            database=database,
            import_media=functools.partial(
                import_media,
                media_dir=store.folder.parent,
                settings=import_settings(config.media),
            ),
        )
        library = await open_library(config, database, runtime, media_dir=store.folder.parent)
        rooms = await open_programmes(
            database, runtime, recording=library.reference, is_recorded=library.is_for, media_dir=store.folder.parent
        )
        enrolment = await open_enrolment(config, database, on_keys=runtime.set_report_keys)
        if enrolment is not None:
            runtime.box_of = enrolment.box_of
        failure = await stack.enter_async_context(runtime.running())
        await stack.enter_async_context(library.running())
        await stack.enter_async_context(
            expecting(database, desk=lambda: runtime.desk, clock=lambda: read_now().shared_ms)
        )
        tell_time = start_time_service(stack, config, authority)
        mark = stack.enter_context(running_mark(_state_dir(config)))
        keeper = AuthorityKeeper(authority, mark=mark, uses=(runtime.use_authority, tell_time))
        nodes = media_application(store, runtime.body_of)
        if enrolment is not None:
            await open_enrolment_doors(stack, config, enrolment, nodes=nodes, documents=runtime.documents_of)
        await _open_nodes_listener(stack, config, nodes)
        add_more = functools.partial(_add_more, config=config, enrolment=enrolment, library=library, rooms=rooms)
        recorder = await open_console(stack, config, runtime, database, token, add_more=add_more)
        log.info("controller %s runs", config.controller)
        telling = asyncio.create_task(tell_endings_daily(config), name="endings")
        stack.push_async_callback(_cancelled, telling)
        tidying = asyncio.create_task(tidy_daily(rooms, runtime, library.reference), name="tidying")
        stack.push_async_callback(_cancelled, tidying)
        hangups = asyncio.Queue[None]()
        reading = asyncio.create_task(
            _read_again_each_time(hangups, path, runtime, enrolment, recorder, keeper, library), name="reading"
        )
        stack.push_async_callback(_cancelled, reading)
        await _until_told(failure, on_hangup=lambda: hangups.put_nowait(None))
    log.info("controller %s has stopped", config.controller)


async def _open_nodes_listener(stack: contextlib.AsyncExitStack, config: Config, application: web.Application) -> None:
    nodes = config.http.nodes
    tls = mutual_tls(nodes, config.trust)
    opened = await open_listener(application, host=nodes.host, port=nodes.port, key="http.nodes", tls=tls)
    stack.push_async_callback(opened.cleanup)


def _add_more(
    application: web.Application,
    *,
    config: Config,
    enrolment: EnrolmentService | None,
    library: MediaLibrary,
    rooms: ProgrammeRooms,
) -> None:
    add_media_api(application, library)
    add_programmes_api(application, rooms.programmes)
    add_bulletins_api(application, rooms.bulletins, rooms.spoken)
    add_exchange_api(application)
    if enrolment is not None and config.enrolment is not None:
        add_enrolment_api(application, enrolment, url=config.enrolment.url)


async def _until_told(failure: asyncio.Future[None], *, on_hangup: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    waiting = asyncio.create_task(told.wait())
    failure.add_done_callback(lambda _: told.set())
    try:
        await waiting
        if failure.done():
            failure.result()
    finally:
        waiting.cancel()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _read_again_each_time(
    hangups: asyncio.Queue[None],
    path: Path,
    runtime: Runtime,
    enrolment: EnrolmentService | None,
    recorder: AuditRecorder,
    keeper: AuthorityKeeper,
    library: MediaLibrary,
) -> None:
    while True:
        await hangups.get()
        reason = _read_again(path, runtime, enrolment) or await keeper.read_again(runtime.config.trust)
        library.reconfigure(runtime.config.media)
        if reason:
            await recorder.configuration_refused(reason)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _read_again(path: Path, runtime: Runtime, enrolment: EnrolmentService | None) -> str:
    """Why the old one stays; an empty text where it was read."""
    try:
        config = read_config(path)
        runtime.reconfigure(config)
        if enrolment is not None:
            enrolment.set_places(places_of(config))
    except ControllerError as error:
        log.error("the configuration was not read again, the old one stays: %s", error)  # noqa: TRY400 - a sentence
        return str(error)
    return ""


def _state_dir(config: Config) -> Path:
    folder = Path(config.state_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state_dir: {folder} cannot be made: {error.strerror or error}") from error
    return folder
