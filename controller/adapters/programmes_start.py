"""Puts the desks of programmes and bulletins together when the controller starts: database, voice, planner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from controller.adapters.database import SqlDatabase
from controller.adapters.preparing import Recording
from controller.adapters.programme_office import BulletinDesk, ProgrammeDesk, Tell
from controller.adapters.runtime import Runtime
from controller.adapters.speech import EspeakVoice, SpokenMedia
from controller.programmes.fitting import Recorded
from controller.programmes.speech import SpeechConfig
from controller.site import Site
from protocol.adapters.system_clock import read_now


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
    database: SqlDatabase, runtime: Runtime, *, recording: Recording, media_dir: Path
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
        "is_recorded": lambda sha256: recording(sha256) is not None,
        "clock": lambda: read_now().shared_ms,
    }
    programmes, bulletins = ProgrammeDesk(database, **parts), BulletinDesk(database, **parts)
    standing = await programmes.store.standing()
    runtime.programmes_changed({version.paper.id: version.paper for version in standing}, await bulletins.airing())
    return ProgrammeRooms(programmes=programmes, bulletins=bulletins, spoken=spoken)
