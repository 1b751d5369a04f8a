"""Puts the media library together when the controller starts, and tells the desk's preparing of its recordings."""

from __future__ import annotations

from pathlib import Path

from controller.adapters.database import SqlDatabase
from controller.adapters.media.catalogue_store import CatalogueStore
from controller.adapters.media.import_process import ImportProcess
from controller.adapters.media.library import MediaLibrary
from controller.adapters.media_import import import_settings
from controller.adapters.runtime import Runtime
from controller.configuration.config import Config
from controller.errors import ConfigError
from controller.programmes.sources import MediaSource
from protocol.adapters.system_clock import read_now


async def open_library(config: Config, database: SqlDatabase, runtime: Runtime, *, media_dir: Path) -> MediaLibrary:
    """What the database and the folder hold; raises DatabaseError, ConfigError."""
    library = MediaLibrary(
        media_dir=media_dir,
        store=CatalogueStore(database),
        importing=ImportProcess(media_dir=media_dir, settings=import_settings(config.media)),
        config=config.media,
        uses=runtime.uses_of,
        clock=lambda: read_now().shared_ms,
        on_kept=lambda reference: runtime.preparing.want([MediaSource(sha256=reference.sha256)]),
    )
    try:
        await library.open()
    except OSError as error:
        raise ConfigError(f"state_dir: {media_dir} cannot be used: {error.strerror or error}") from error
    runtime.preparing.recording = library.reference
    return library
