"""Agents with one fault each, for trying the checkers: subclasses of the product's own, planted in a simulated pole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from edge.agent import Agent
from edge.effects import Effect, FetchMedia, PowerAmplifier, StoreReport
from edge.events import Booted, ButtonMoved, Connected, Disconnected, Event, MessageReceived
from edge.player.ports import Frames
from edge.proof.desk import ProofDesk, Settled
from protocol.messages import AiringRecord, AiringState, Over, Reality, SourceKind
from protocol.units import NS_PER_MS, NS_PER_S, Now, SharedMs, SharedNs
from simulator.evidence import pattern

FOREIGN_TAG = 40_000


class Foreign(Agent):
    """Where it should play, it plays something that no document names."""

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        rendered = super().render(frames, at_ns)
        if rendered.any():
            sound = np.empty(frames, np.float32)
            pattern.fill(FOREIGN_TAG, at_ns * 48 // NS_PER_MS % 1_000_000, sound)
            rendered[:, 0] = (sound * 32_767).astype(np.int16)
        return rendered


class Sleepless(Agent):
    """Knows no quiet hours."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self._guard.place = replace(self._guard.place, quiet_hours=None)
        return super().handle(event, now)


class Echo(Agent):
    """120 ms early."""

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        return super().render(frames, SharedNs(at_ns + 120 * NS_PER_MS))


class Deaf(Agent):
    """Never hears of what it is asked to ignore; `topics` are ends of topics."""

    topics: tuple[str, ...] = ("area/tinh/plan",)

    def handle(self, event: Event, now: Now) -> list[Effect]:
        if isinstance(event, MessageReceived) and event.topic.endswith(self.topics):
            return []
        return super().handle(event, now)


class Unaware(Deaf):
    """Emergencies do not reach it."""

    topics = ("/emergency",)


class Slow(Agent):
    """Obeys an emergency ten seconds after it came first."""

    heard_at_ns: int | None = None

    def handle(self, event: Event, now: Now) -> list[Effect]:
        if isinstance(event, MessageReceived) and event.topic.endswith("/emergency") and event.payload:
            self.heard_at_ns = self.heard_at_ns or now.monotonic_ns
            if now.monotonic_ns - self.heard_at_ns < 10 * NS_PER_S:
                return []
        return super().handle(event, now)


class Endless(Agent):
    """The first emergency goes on for ever: no second document about it is taken."""

    seen: bytes = b""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        if isinstance(event, MessageReceived) and event.topic.endswith("/emergency"):
            self.seen = self.seen or event.payload
            if event.payload != self.seen:
                return []
        return super().handle(event, now)


class Secretive(Agent):
    """Puts nothing on record."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        return [effect for effect in super().handle(event, now) if not isinstance(effect, StoreReport)]


class Boastful(Agent):
    """Its records say that it sounds, and it is silent."""

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        rendered = super().render(frames, at_ns)
        rendered[:] = 0
        return rendered


class Whispering(Agent):
    """Its records say that it sounds, its card gives samples and its amplifier has power: 72 dB too quiet."""

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        return super().render(frames, at_ns) // 4_096


class Humming(Agent):
    """Switches the amplifier on when it boots, and never off."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        effects: list[Effect] = [each for each in super().handle(event, now) if not isinstance(each, PowerAmplifier)]
        if isinstance(event, Booted):
            effects.append(PowerAmplifier(on=True))
        return effects


class Unpowered(Agent):
    """Never switches the amplifier on."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        return [each for each in super().handle(event, now) if not isinstance(each, PowerAmplifier)]


class Sulking(Agent):
    """Having lost its connection once, it never speaks again."""

    is_hurt = False

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self.is_hurt = self.is_hurt or isinstance(event, Disconnected)
        if self.is_hurt and isinstance(event, Connected):
            return []
        return super().handle(event, now)


class Hoarding(Agent):
    """Keeps a voice for every event."""

    events = 0

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self.events += 1
        return super().handle(event, now)

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "voices": self.events}


class Crashing(Agent):
    """Raises in the middle of the programme."""

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        message = f"planted: {frames} frames at {at_ns}"
        raise RuntimeError(message)


class Unruly(Deaf):
    """Orders to be silent do not reach it."""

    topics = ("/silence",)


class Numb(Agent):
    """Its button is not connected."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        return [] if isinstance(event, ButtonMoved) else super().handle(event, now)


class Forgetful(Agent):
    """What silences it is gone with each start."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        if isinstance(event, Booted):
            kept = tuple(each for each in event.restored.documents if not each.topic.endswith("/silence"))
            event = Booted(restored=replace(event.restored, documents=kept))
        return super().handle(event, now)


class Impatient(Agent):
    """Does not wait for its turn."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self._guard.place = replace(self._guard.place, turn=0)
        return super().handle(event, now)


class Abrupt(Agent):
    """Knows no bed: what speaks always replaces."""

    over = Over.REPLACE
    depth_max = 9

    def _play(self, now: Now) -> list[Effect]:
        found = self._repertoire.candidates(now, self._studio.horizon_ms)
        said = [replace(each, over=self.over) if each.depth <= self.depth_max else each for each in found]
        return self._keep(self._studio.settle(said, now, gone=self._repertoire.why_gone), now)


class Babel(Abrupt):
    """Lets programmes go on below what the top of the tree replaces them with."""

    over = Over.DUCK
    depth_max = 0


class Unaimed(Agent):
    """Sounds when all others do, wherever it is aimed."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self._guard.place = replace(self._guard.place, aiming_delay_us=0, emergency_aiming_delay_us=0)
        self._is_stale = True
        return super().handle(event, now)


class Siren(Agent):
    """Announces drills as the real thing."""

    def _play(self, now: Now) -> list[Effect]:
        found = self._repertoire.candidates(now, self._studio.horizon_ms)
        said = [replace(each, reality=Reality.REAL) for each in found]
        return self._keep(self._studio.settle(said, now, gone=self._repertoire.why_gone), now)


class Late(Agent):
    """Begins what is planned two seconds after its instant."""

    late_ms = 2_000

    def _play(self, now: Now) -> list[Effect]:
        found = self._repertoire.candidates(now, self._studio.horizon_ms)
        said = [
            replace(each, starts_at_ms=SharedMs(each.starts_at_ms + self.late_ms))
            if each.source is SourceKind.MEDIA
            else each
            for each in found
        ]
        return self._keep(self._studio.settle(said, now, gone=self._repertoire.why_gone), now)


class Choosy(ProofDesk):
    """Puts on record what sounded; what did not, as often as it likes."""

    times = 0

    def keep(self, records: Iterable[tuple[AiringRecord, Settled]], now: Now) -> list[Effect]:
        effects: list[Effect] = []
        for record, settled in records:
            if record.state in {AiringState.STARTED, AiringState.FINISHED}:
                effects += super().keep([(record, settled)], now)
            for _ in range(0 if record.state in {AiringState.STARTED, AiringState.FINISHED} else self.times):
                effects += self._outbox.append(record)
        return effects


class Repetitive(Choosy):
    """The same, twice."""

    times = 2


class Discreet(Agent):
    """Does not say what it did not sound."""

    new_desk: type[Choosy] = Choosy

    def handle(self, event: Event, now: Now) -> list[Effect]:
        if isinstance(event, Booted):
            self._proof.__class__ = self.new_desk
        return super().handle(event, now)


class Wordy(Discreet):
    """Says twice what it did not sound."""

    new_desk = Repetitive


class Tireless(Agent):
    """Knows no air time."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self._guard.place = replace(self._guard.place, air_time=None)
        return super().handle(event, now)


class Loud(Agent):
    """Knows no volume caps."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self._guard.place = replace(self._guard.place, volume_caps=())
        return super().handle(event, now)


class Hoary(Agent):
    """Plays on what is no longer true."""

    def _play(self, now: Now) -> list[Effect]:
        found = self._repertoire.candidates(now, self._studio.horizon_ms)
        said = [replace(each, valid_until_ms=None) for each in found]
        return self._keep(self._studio.settle(said, now, gone=self._repertoire.why_gone), now)


class Spendthrift(Agent):
    """Knows no budget of its SIM."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        effects = super().handle(event, now)
        return [replace(each, bytes_max=None) if isinstance(each, FetchMedia) else each for each in effects]
