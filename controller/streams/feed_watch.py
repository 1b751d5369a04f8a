"""Watch over one feed: which of its addresses to pull, when it counts as down, when it is well again.

Duty: the state machine of a feed's connection. It is told what the reader saw and answers with commands for the
reader and findings for people. Leaves reading to `adapters.feed_reader`, sound and time to `relay`.
Rules kept: a feed is alive only when decoded audio has level; addresses are tried in the configured order, the next
one at once, a whole round again only after a delay that doubles and is scattered; while a substitute plays, the
addresses before it are probed beside it and taken back when they sound; an address that stalled is believed only
when it goes on sending; each trouble of an address is told once until the feed is well again.
The transitions stand in TRANSITIONS; what is not in it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.errors import ControllerError
from protocol.units import NS_PER_S, MonotonicNs

RETRY_S_FIRST: Final = 1.0
"""Delay after the first round in which no address gave audio."""
RETRY_S_MAX: Final = 30.0
"""Longest delay: a station that comes back is heard within this and its opening time."""
HEALTHY_S: Final = 10.0
"""Audio for this long ends a series of failures."""
PROBE_EVERY_S: Final = 60.0
"""How often the addresses before a substitute are probed."""
OPEN_S_MAX: Final = 15.0
"""An address must give audio within this; covers name, connection, playlist and three HLS segments."""
PROVE_S: Final = 3.0
"""An address that stalled must go on sending for this long before it is believed: Icecast and HLS hand the last
seconds before the stall to everyone who connects, and the village would hear them over and over."""
CUSHION_MS: Final = 2_000
"""A feed that sends nothing is stalled only when less than this is stored, so that HLS may come in pieces."""


class AlarmKind(StrEnum):
    """What can be wrong with a feed."""

    UNREACHABLE = "unreachable"
    HTTP_STATUS = "http_status"
    NOT_AUDIO = "not_audio"
    SILENT = "silent"
    STALLED = "stalled"


ADVICE: Final = {
    AlarmKind.UNREACHABLE: "check the address and the controller's network",
    AlarmKind.HTTP_STATUS: "the station refuses or has moved: check the address, and the feed's headers (Referer)",
    AlarmKind.NOT_AUDIO: "the address leads to a page or to something without sound: ask the station",
    AlarmKind.SILENT: "the station sends silence: call its studio",
    AlarmKind.STALLED: "the station stopped sending: nothing to do while it is tried again, else call it",
}
"""What a person can do about each."""


class FeedError(ControllerError):
    """A feed's address gives no audio; `kind` says how."""

    def __init__(self, kind: AlarmKind, detail: str) -> None:
        super().__init__(f"{kind.value}: {detail}")
        self.kind: Final = kind
        self.detail: Final = detail


class WatchState(StrEnum):
    """Where the connection stands."""

    OPENING = "opening"
    PLAYING = "playing"
    SILENT = "silent"
    WAITING = "waiting"


class WatchEvent(StrEnum):
    """What moves it."""

    LEVEL = "level"
    SILENCE = "silence"
    FAILED = "failed"
    DUE = "due"
    TAKEN_BACK = "taken_back"


TRANSITIONS: Final[dict[tuple[WatchState, WatchEvent], WatchState]] = {
    (WatchState.WAITING, WatchEvent.DUE): WatchState.OPENING,
    (WatchState.OPENING, WatchEvent.LEVEL): WatchState.PLAYING,
    (WatchState.OPENING, WatchEvent.FAILED): WatchState.WAITING,
    (WatchState.OPENING, WatchEvent.SILENCE): WatchState.SILENT,
    (WatchState.PLAYING, WatchEvent.FAILED): WatchState.WAITING,
    (WatchState.PLAYING, WatchEvent.SILENCE): WatchState.SILENT,
    (WatchState.PLAYING, WatchEvent.TAKEN_BACK): WatchState.PLAYING,
    (WatchState.SILENT, WatchEvent.LEVEL): WatchState.PLAYING,
    (WatchState.SILENT, WatchEvent.FAILED): WatchState.WAITING,
    (WatchState.SILENT, WatchEvent.TAKEN_BACK): WatchState.PLAYING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFeed:
    """Pull this address, in place of the one before; `is_probe`: beside it, unheard."""

    url: str
    is_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseFeed:
    """Stop pulling; `is_probe`: only the probe."""

    is_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeProbe:
    """The probe sounds: it becomes the feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A finding: an address is not well."""

    kind: AlarmKind
    url: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Well:
    """A finding: after troubles, this address sounds."""

    url: str


Outcome = OpenFeed | CloseFeed | TakeProbe | Trouble | Well


class FeedWatch:
    """The watch of one feed. `scatter` gives a number in [0, 1) for the retry delay (full jitter's upper half)."""

    def __init__(
        self,
        urls: tuple[str, ...],
        *,
        stall_s_max: float,
        scatter: Callable[[], float],
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        self._urls = urls
        self._probe_every_s = probe_every_s
        self._stall_s_max = stall_s_max
        self.pieces_s = 0.0
        """For how long the address in use may rightly send nothing: it comes in pieces, as HLS does."""
        self._scatter = scatter
        self._state = WatchState.WAITING
        self._index = 0
        self._failures = 0
        self._next_try = MonotonicNs(0)
        self._since = MonotonicNs(0)
        self._last_data = MonotonicNs(0)
        self._first_data: MonotonicNs | None = None
        self._stalled: set[str] = set()
        self._next_probe = MonotonicNs(0)
        self._probing: int | None = None
        self._told: set[tuple[AlarmKind, str]] = set()

    @property
    def state(self) -> WatchState:
        """Where the connection stands."""
        return self._state

    @property
    def is_proving(self) -> bool:
        """Whether what comes may only be what was heard before the stall."""
        return self._state is WatchState.OPENING and self.url in self._stalled

    @property
    def is_silent(self) -> bool:
        """Whether silence was told and nothing has sounded since: such a feed is not worth an amplifier's power."""
        return any(kind is AlarmKind.SILENT for kind, _url in self._told)

    @property
    def url(self) -> str:
        """The address in use or next in turn."""
        return self._urls[self._index]

    def data(self, now: MonotonicNs) -> None:
        """Samples came, of whatever level."""
        self._last_data = now
        if self._first_data is None:
            self._first_data = now

    def level(self, now: MonotonicNs) -> list[Outcome]:
        """The audio has level."""
        self.data(now)
        if self.is_proving and now - (self._first_data or now) < PROVE_S * NS_PER_S:
            return []
        self._stalled.discard(self.url)
        if not self._move(WatchEvent.LEVEL):
            return []
        self._since = now
        self._next_probe = _after(now, self._probe_every_s)
        if not self._told:
            return []
        self._told.clear()
        return [Well(url=self.url)]

    def silence(self, silent_s: float, now: MonotonicNs) -> list[Outcome]:
        """The audio has had no level for too long; a lone address is listened to further, others are tried."""
        if not self._move(WatchEvent.SILENCE):
            return []
        told = self._tell(AlarmKind.SILENT, f"no sound for {silent_s:.0f} s")
        return told if len(self._urls) == 1 else [*told, *self._turn_away(now)]

    def failed(self, kind: AlarmKind, detail: str, now: MonotonicNs) -> list[Outcome]:
        """The reader came to its end."""
        if (self._state, WatchEvent.FAILED) not in TRANSITIONS:
            return []
        told = self._tell(kind, detail)
        if kind is AlarmKind.STALLED:
            self._stalled.add(self.url)
        return [*told, *self._turn_away(now)]

    def tick(self, now: MonotonicNs, *, stored_ms: float) -> list[Outcome]:
        """Time has passed; `stored_ms` is what could still be played."""
        match self._state:
            case WatchState.WAITING:
                return self._try_when_due(now)
            case WatchState.OPENING:
                if now - self._last_data > OPEN_S_MAX * NS_PER_S:
                    return self.failed(AlarmKind.STALLED, f"no audio within {OPEN_S_MAX:.0f} s of opening", now)
            case _:
                quiet_s = self._stall_s_max + self.pieces_s
                if now - self._last_data > quiet_s * NS_PER_S and stored_ms < CUSHION_MS:
                    return self.failed(AlarmKind.STALLED, f"no data for {quiet_s:g} s", now)
        if now - self._since > HEALTHY_S * NS_PER_S and self._state is WatchState.PLAYING:
            self._failures = 0
        return self._probe_when_due(now)

    def probe_level(self, now: MonotonicNs) -> list[Outcome]:
        """The probe has level: take it back."""
        if self._probing is None or not self._move(WatchEvent.TAKEN_BACK):
            return []
        self._index, self._probing = self._probing, None
        self._last_data = self._since = now
        self._next_probe = _after(now, self._probe_every_s)
        well: list[Outcome] = [Well(url=self.url)] if self._told else []
        self._told.clear()
        return [TakeProbe(), *well]

    def probe_failed(self, now: MonotonicNs) -> list[Outcome]:
        """The probe gave nothing; the next one takes the address after it."""
        if self._probing is None:
            return []
        following = self._probing + 1
        self._probing = None
        self._next_probe = _after(now, self._probe_every_s)
        if following < self._index:
            return self._probe(following, now)
        return [CloseFeed(is_probe=True)]

    def _move(self, event: WatchEvent) -> bool:
        target = TRANSITIONS.get((self._state, event))
        if target is None:
            return False
        self._state = target
        return True

    def _tell(self, kind: AlarmKind, detail: str) -> list[Outcome]:
        if (kind, self.url) in self._told:
            return []
        self._told.add((kind, self.url))
        return [Trouble(kind=kind, url=self.url, detail=f"{detail}; {ADVICE[kind]}")]

    def _turn_away(self, now: MonotonicNs) -> list[Outcome]:
        self._move(WatchEvent.FAILED)
        self._failures += 1
        self._index = (self._index + 1) % len(self._urls)
        rounds, rest = divmod(self._failures, len(self._urls))
        delay_s = 0.0
        if not rest:
            delay_s = min(RETRY_S_MAX, RETRY_S_FIRST * 2.0 ** min(rounds - 1, 10)) * (0.5 + 0.5 * self._scatter())
        self._next_try = _after(now, delay_s)
        closing: list[Outcome] = [CloseFeed()]
        if self._probing is not None:
            self._probing = None
            closing.append(CloseFeed(is_probe=True))
        return closing

    def _try_when_due(self, now: MonotonicNs) -> list[Outcome]:
        if now < self._next_try or not self._move(WatchEvent.DUE):
            return []
        self._last_data = self._since = now
        self._first_data = None
        return [OpenFeed(url=self.url)]

    def _probe_when_due(self, now: MonotonicNs) -> list[Outcome]:
        if self._state is not WatchState.PLAYING or self._index == 0:
            return []
        if self._probing is not None:
            return self.probe_failed(now) if now > self._next_probe else []
        return self._probe(0, now) if now > self._next_probe else []

    def _probe(self, index: int, now: MonotonicNs) -> list[Outcome]:
        self._probing = index
        self._next_probe = _after(now, OPEN_S_MAX)
        return [OpenFeed(url=self._urls[index], is_probe=True)]


def _after(now: MonotonicNs, delay_s: float) -> MonotonicNs:
    return MonotonicNs(now + int(delay_s * NS_PER_S))
