"""`run CONFIG`: the whole controller process, from its configuration to its last farewell.

Opens what it needs in the order in which it can fail with a clear sentence: keys, database, desk, listeners. SIGTERM
and SIGINT end it in good order, SIGHUP reads the configuration again: places, nodes, feeds, clips and programmes at
once; addresses, keys and the database need a restart. A configuration that is wrong changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from controller.adapters.config_file import make_token, read_config
from controller.adapters.database import open_database
from controller.adapters.media_import import ImportSettings, import_media
from controller.adapters.media_store import MediaStore
from controller.adapters.runtime import Runtime
from controller.adapters.signing import load_authority
from controller.adapters.time_link import start_time_service
from controller.config import Config
from controller.errors import ConfigError, ControllerError
from controller.web.api import add_api
from controller.web.console import console_application, is_loopback
from controller.web.listeners import mutual_tls, open_listener
from controller.web.media import media_application
from controller.web.page import add_page

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
        runtime = Runtime(
            config=config,
            authority=authority,
            database=database,
            import_media=functools.partial(
                import_media,
                media_dir=store.folder.parent,
                settings=ImportSettings(level_dbfs=config.relay.level_dbfs),
            ),
        )
        failure = await stack.enter_async_context(runtime.running())
        start_time_service(stack, config, authority)
        await _open_listeners(stack, config, runtime, store, token)
        log.info("controller %s runs; page and API at http://%s:%d/", config.controller, *_console(config))
        await _until_told(failure, on_hangup=lambda: _read_again(path, runtime))
    log.info("controller %s has stopped", config.controller)


async def _open_listeners(
    stack: contextlib.AsyncExitStack, config: Config, runtime: Runtime, store: MediaStore, token: str
) -> None:
    nodes, console = config.http.nodes, config.http.console
    tls = mutual_tls(nodes, config.trust)
    media = await open_listener(media_application(store), host=nodes.host, port=nodes.port, key="http.nodes", tls=tls)
    stack.push_async_callback(media.cleanup)
    application = console_application(runtime, token=token, listener=console)
    add_api(application)
    add_page(application)
    page = await open_listener(application, host=console.host, port=console.port, key="http.console")
    stack.push_async_callback(page.cleanup)
    if not is_loopback(console.host):
        log.warning("http.console.host is %s: whoever reaches it can read the page; people come later", console.host)


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


def _read_again(path: Path, runtime: Runtime) -> None:
    try:
        runtime.reconfigure(read_config(path))
    except ControllerError as error:
        log.error("the configuration was not read again, the old one stays: %s", error)  # noqa: TRY400 - a sentence


def _state_dir(config: Config) -> Path:
    folder = Path(config.state_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state_dir: {folder} cannot be made: {error.strerror or error}") from error
    return folder


def _console(config: Config) -> tuple[str, int]:
    return config.http.console.host, config.http.console.port
