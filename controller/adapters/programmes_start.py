"""Puts the desks of programmes and bulletins together when the controller starts: database, voice, planner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from controller.adapters.database import SqlDatabase
from controller.adapters.preparing import Recording
from controller.adapters.programme_office import BulletinDesk, ProgrammeDesk, Tell
from controller.adapters.runtime import Runtime
from controller.adapters.speech import EspeakVoice, SpokenMedia
from controller.configuration.site import Site
from controller.programmes.fitting import Recorded
from controller.programmes.speech import SpeechConfig
from protocol.adapters.system_clock import read_now

log = logging.getLogger("controller.speech")

TIDY_EVERY_S: Final = 24 * 3600


class _Parts(TypedDict):
    site: Callable[[], Site]
    tell: Tell
    is_recorded: Recorded
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeRooms:
    """What API and planner need of programmes."""

    programmes: ProgrammeDesk
    bulletins: BulletinDesk
    spoken: SpokenMedia


async def open_programmes(
    database: SqlDatabase, runtime: Runtime, *, recording: Recording, is_recorded: Recorded, media_dir: Path
) -> ProgrammeRooms:
    """Everything that the database holds is told to the planner before it begins; raises DatabaseError.

    Another engine for speech (`speech.command`) needs a restart; voices, pace and words are followed.
    """

    def speech() -> SpeechConfig:
        return runtime.config.speech

    spoken = SpokenMedia(
        voice=EspeakVoice(speech().command),
        config=speech,
        import_media=runtime.preparing.take_in,
        media_dir=media_dir,
    )
    runtime.preparing.say = spoken.say
    runtime.preparing.recording = recording
    parts: _Parts = {
        "site": lambda: runtime.desk.site,
        "tell": runtime.programmes_changed,
        "is_recorded": is_recorded,
        "clock": lambda: read_now().shared_ms,
    }
    programmes, bulletins = ProgrammeDesk(database, **parts), BulletinDesk(database, **parts)
    standing = await programmes.store.standing()
    runtime.programmes_changed({version.paper.id: version.paper for version in standing}, await bulletins.airing())
    return ProgrammeRooms(programmes=programmes, bulletins=bulletins, spoken=spoken)


async def tidy_daily(rooms: ProgrammeRooms, runtime: Runtime, recording: Recording) -> None:
    """Sounds of texts that nobody needs any more are let go, once a day until cancelled."""
    while True:
        try:
            unheard = await asyncio.to_thread(rooms.spoken.unheard, read_now().shared_ms / 1000)
            ready = runtime.preparing.ready
            named = {ready[source.key].sha256 for source in runtime.desk.site.sources if source.key in ready}
            gone = {
                note: sha256
                for note, sha256 in unheard.items()
                if not sha256 or (sha256 not in named and recording(sha256) is None and not runtime.uses_of(sha256))
            }
            runtime.preparing.forget(frozenset(gone.values()))
            await asyncio.to_thread(rooms.spoken.let_go, gone)
            if gone:
                log.info("spoken texts that nobody needs: %d sounds let go", len(gone))
        except OSError as error:
            log.warning("spoken texts that nobody needs stay: %s", error)
        await asyncio.sleep(TIDY_EVERY_S)
