"""All that is live: relays of stations and voices at microphones, as one room of the desk.

Each keeps its own rules (`relay_desk`, `voice_desk`); here is only which of the two a stream belongs to, and what a
worker's news mean for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from controller.configuration.site import Site
from controller.documents.notary import Notary
from controller.documents.standing import Standing
from controller.effects import Effect
from controller.ledger import Ledger
from controller.people.audit import Actor
from controller.ports import Fresh
from controller.records import RelayRecord
from controller.requests import StartRelay, StartVoice, StopRelay
from controller.streams.group_delay import GroupDelays
from controller.streams.relay import RelayAlarm, RelayEnded, RelayEvent, RelayRecovered, RelayStarted, RelayTimed
from controller.streams.relay_desk import RelayDesk
from controller.streams.voice_desk import VoiceDesk
from protocol.units import Now, SharedMs


class StreamsDesk:
    """Relays and voices."""

    def __init__(
        self, *, site: Site, notary: Notary, standing: Standing, ledger: Ledger, fresh: Fresh, delays: GroupDelays
    ) -> None:
        self.relays: Final = RelayDesk(
            site=site, notary=notary, standing=standing, ledger=ledger, fresh=fresh, delays=delays
        )
        self.voices: Final = VoiceDesk(
            site=site, notary=notary, standing=standing, ledger=ledger, fresh=fresh, delays=delays
        )

    def restore(self, records: Iterable[RelayRecord]) -> None:
        """What ran when the last process stopped."""
        kept = tuple(records)
        self.relays.restore(each for each in kept if not each.speaker)
        self.voices.restore(each for each in kept if each.speaker)

    def site_changed(self, site: Site) -> None:
        """The configuration was read again."""
        self.relays.site_changed(site)
        self.voices.site_changed(site)

    @property
    def records(self) -> list[RelayRecord]:
        """All, the latest first."""
        both = [*self.relays.records, *self.voices.records]
        return sorted(both, key=lambda each: each.starts_at_ms, reverse=True)

    def next_at_ms(self, now_ms: SharedMs) -> SharedMs | None:
        """When something is due."""
        times = (self.relays.next_at_ms(now_ms), self.voices.next_at_ms)
        return min((each for each in times if each is not None), default=None)

    def look(self, now: Now) -> list[Effect]:
        """What is due by now."""
        return [*self.relays.look(now), *self.voices.look(now)]

    def start(self, request: StartRelay | StartVoice, by: Actor | None, ticket: int, now: Now) -> list[Effect]:
        """Relay a feed, or let somebody speak; raises RequestError or SigningError."""
        if isinstance(request, StartVoice):
            return self.voices.start(request, by, ticket, now)
        return self.relays.start(request, ticket, now)

    def stop(self, request: StopRelay, ticket: int, now: Now) -> list[Effect]:
        """End one before its time; raises RequestError."""
        desk = self.voices if request.stream in self.voices else self.relays
        return desk.stop(request, ticket, now)

    def news(self, stream: str, news: RelayEvent, now: Now) -> list[Effect]:
        """What a worker says of its stream."""
        desk = self.voices if stream in self.voices else self.relays
        match news:
            case RelayStarted() | RelayRecovered():
                return desk.flows(stream)
            case RelayAlarm(kind=kind, detail=detail, url=url):
                return self.relays.alarm(stream, f"{kind.value}: {detail} ({url})")
            case RelayTimed() if stream in self.voices:
                return self.voices.timed(stream, news, now)
            case RelayTimed():
                return self.relays.timed(stream, news)
            case RelayEnded() if stream in self.voices:
                return self.voices.worker_ended(stream, news, now)
            case RelayEnded(reason=reason):
                return self.relays.worker_ended(stream, reason, now)
