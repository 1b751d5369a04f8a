"""What a node says of itself in a status: gathered from its rooms at one instant. It decides nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edge.events import Measured
from edge.gpio.faults import DETAIL_CHARACTERS_MAX
from edge.guard import Guard
from edge.health import Health
from edge.media_need import MediaNeed
from edge.outbox import Outbox
from edge.repertoire import Repertoire
from edge.studio import Studio
from edge.telemetry import SOUND_PATH_CHARACTERS_MAX, sounding_of
from protocol.messages import NodeState, Telemetry
from protocol.units import NS_PER_MS, Now


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Where a status looks; `birth` says which node and which of its lives."""

    birth: NodeState
    guard: Guard
    health: Health
    media: MediaNeed
    outbox: Outbox
    repertoire: Repertoire
    studio: Studio

    def telemetry(self, measured: Measured | None, now: Now) -> Telemetry:
        """The status of now."""
        on_air = self.studio.on_air
        heard = self.studio.heard
        streams = self.repertoire.streams.told()
        fetched_bytes, fetch_bytes_max = self.media.fetched_today or (0, None)
        return Telemetry(
            node=self.birth.node,
            at_ms=now.shared_ms,
            sounding=None if on_air is None else sounding_of(*on_air),
            level_dbfs=None if on_air is None else self.studio.playout.level_dbfs,
            amplifier=self.studio.amplifier.state.value,
            sound_path=self.studio.card_path[:SOUND_PATH_CHARACTERS_MAX],
            clock_error_ms=now.error_ns / NS_PER_MS if now.is_time_known else None,
            lateness_ms_p50=streams[0].lateness_ms_p50 if streams else None,
            lateness_ms_p99=streams[0].lateness_ms_p99 if streams else None,
            audible_ms=heard.audible_ms,
            concealed_ms=heard.concealed_ms,
            silent_ms=heard.silent_ms,
            underruns=0 if measured is None else measured.underruns,
            reanchors=self.studio.playout.reanchors,
            refused=self._refused(measured),
            faults=self.health.faults.active,
            media_missing=self.media.missing,
            reports_waiting=self.outbox.waiting,
            plan_until_ms=self.repertoire.program.until_ms,
            disk_free_bytes=None if measured is None else measured.disk_free_bytes,
            version=self.birth.version,
            silenced=self.guard.silences.why[:DETAIL_CHARACTERS_MAX],
            taken_over=self.health.taken_over,
            session_epoch=self.birth.session_epoch,
            clock_source=now.source.value if now.is_time_known else "",
            correction_ppm=None if on_air is None else self.studio.playout.correction_ppm,
            card_error_ms=None if on_air is None else self.studio.playout.card_error_ms,
            streams=streams,
            fetched_bytes=fetched_bytes,
            fetch_bytes_max=fetch_bytes_max,
        )

    def _refused(self, measured: Measured | None) -> dict[str, int]:
        """What was not believed, orders and answers about the time alike, by reason."""
        counted = Counter(self.guard.refused)
        counted.update({} if measured is None else measured.time_refused)
        return dict(counted)
