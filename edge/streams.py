"""Live streams: which are known, which packets are believed, which can sound now.

Verifies each packet by the key that its verified start names, hands it to the stream's source, and offers a
candidate while sound is really arriving. It leaves the jitter buffer and decoding to `player.stream_source`,
and who sounds to the arbiter.

Rules kept:
- a stream whose start was never verified is not subscribed to, and its packets are refused;
- a packet with a wrong signature, or whose epoch or sequence does not rise, is dropped and counted;
- a stream is that of the area which began it: a key for another area neither takes it over nor ends it;
- a stream is a candidate from its first packet's play time on, and no longer once nothing has been there to
  play for `stall_ms_max`: a silent relay keeps no amplifier powered. When packets return, so does it;
- one that is announced by a chime is a candidate from the chime on, before any packet has come: so the amplifier is
  warm and the air its own when somebody begins to speak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.assignment import Place
from edge.player.arbiter import Reason
from edge.player.chime import ChimedStream, chime_of
from edge.player.ports import OpusDecoder
from edge.player.source import Source
from edge.player.stream_source import StreamSource
from protocol.candidate import Candidate, planned_key
from protocol.errors import Refusal, RefusalReason
from protocol.messages import AnyDocument, SourceKind, StreamEnd, StreamHeard, StreamStart
from protocol.stream import AudioPacket, unpack_audio
from protocol.telemetry import STREAMS_TOLD_MAX
from protocol.topics import TopicName, topic
from protocol.units import FRAME_MS, NS_PER_MS, SAMPLES_PER_MS, US_PER_MS, Now, SharedMs, sample_of_shared_ms

PLAY_AHEAD_MS_MAX: Final = 10_000
"""Ten times a relay's group delay; a packet that claims more is a wrong clock or an attack on our memory."""
AFTERTASTE_MS: Final = 2_000
"""How long after its end a stream is still known, so that its last packets are not counted as foreign."""


class OpenPacket(Protocol):
    """Verifies and parses a packet, as `protocol.stream.unpack_audio`; a replay has no audio that it could verify."""

    def __call__(self, data: bytes, *, public_key: bytes, topic: str, stream: str) -> AudioPacket:
        """The packet; raises Refusal."""


@dataclass(slots=True, kw_only=True)
class LiveStream:
    """One stream whose start was verified; `first_at_ms` is None while it cannot sound.

    `sound` is what a voice reads: the source, or the source behind its chime.
    """

    start: StreamStart
    topic: str
    depth: int
    source: StreamSource
    sound: Source
    ends_at_ms: SharedMs
    has_end: bool = False
    epoch: int = -1
    sequence: int = -1
    first_at_ms: SharedMs | None = None
    heard_until_ms: SharedMs = field(default=SharedMs(0))
    aim_us: int = 0

    @property
    def aim_ms(self) -> int:
        """By how much this cluster sounds it later."""
        return self.aim_us // US_PER_MS

    @property
    def stalls_at_ms(self) -> SharedMs:
        """When it is given up if no packet comes."""
        return SharedMs(self.heard_until_ms + self.aim_ms + self.start.stall_ms_max)


class Streams:
    """The live streams of one node."""

    def __init__(self, new_decoder: Callable[[], OpusDecoder], *, open_packet: OpenPacket = unpack_audio) -> None:
        self._new_decoder = new_decoder
        self._open_packet = open_packet
        self._streams: dict[str, LiveStream] = {}

    def update(self, documents: Sequence[StreamStart | StreamEnd], place: Place, now_ms: SharedMs) -> None:
        """Make the known streams those of the documents in force. May raise DecoderError."""
        if not documents and not self._streams:
            return
        named: set[str] = set()
        for document in documents:
            named.add(document.stream)
            if isinstance(document, StreamEnd):
                self._end(document)
            elif document.ends_at_ms > now_ms:
                self._begin(document, place, now_ms)
        self._streams = {
            stream: live
            for stream, live in self._streams.items()
            if stream in named and live.ends_at_ms + AFTERTASTE_MS > now_ms
        }

    def audio_topics(self) -> frozenset[str]:
        """What must be subscribed to for the streams that are known."""
        return frozenset(live.topic for live in self._streams.values())

    def source(self, stream: str) -> Source:
        """The sound of a known stream."""
        return self._streams[stream].sound

    def receive(self, stream: str, audio_topic: str, payload: bytes, now: Now) -> bool:
        """Take in a packet; returns whether the stream has just become able to sound. Raises Refusal."""
        live = self._streams.get(stream)
        if live is None:
            raise Refusal(RefusalReason.UNKNOWN_STREAM, f"no verified start of {stream}")
        packet = self._open_packet(payload, public_key=live.start.public_key, topic=audio_topic, stream=stream)
        if (packet.epoch, packet.sequence) <= (live.epoch, live.sequence):
            raise Refusal(
                RefusalReason.REPLAYED,
                f"packet {packet.epoch}.{packet.sequence} after {live.epoch}.{live.sequence}",
            )
        _refuse_other_time(packet, live, now)
        live.epoch, live.sequence = packet.epoch, packet.sequence
        live.source.push(packet, arrived_at_ns=now.shared_ns)
        play_at_ms = SharedMs(packet.play_at_ns // NS_PER_MS)
        until_ms = SharedMs(play_at_ms + FRAME_MS * len(packet.frames))
        if until_ms + live.aim_ms <= now.shared_ms:
            return False
        live.heard_until_ms = max(live.heard_until_ms, until_ms)
        if live.first_at_ms is not None:
            return False
        live.first_at_ms = max(play_at_ms, SharedMs(live.start.starts_at_ms))
        return True

    def candidates(self, now_ms: SharedMs) -> tuple[Candidate, ...]:
        """The streams that can sound; gives up those that have stalled."""
        found: list[Candidate] = []
        for live in self._streams.values():
            if live.first_at_ms is not None and now_ms >= live.stalls_at_ms:
                live.first_at_ms = None
            if live.first_at_ms is not None and live.ends_at_ms > max(now_ms - live.aim_ms, live.first_at_ms):
                found.append(_candidate(live, live.first_at_ms))
        return tuple(found)

    def why_gone(self, candidate: Candidate) -> Reason:
        """Why a stream that was a candidate is none now."""
        live = self._streams.get(candidate.stream or "")
        if live is None or live.has_end:
            return Reason.STOPPED
        return Reason.STALLED

    def next_change_ms(self, now_ms: SharedMs) -> SharedMs | None:
        """When a stream stalls or is forgotten if nothing comes."""
        if not self._streams:
            return None
        changes = [live.stalls_at_ms for live in self._streams.values() if live.first_at_ms is not None]
        changes += [SharedMs(live.ends_at_ms + AFTERTASTE_MS) for live in self._streams.values()]
        return min((change for change in changes if change > now_ms), default=None)

    def told(self) -> tuple[StreamHeard, ...]:
        """How the known streams reach this node, for the status: the one with the least to spare first.

        A stream whose packets all come too late to sound is told too: that is what the controller must know.
        """
        if not self._streams:
            return ()
        heard = [each for live in self._streams.values() if (each := live.source.heard()).packets]
        heard.sort(key=lambda each: each.lateness_ms_p99, reverse=True)
        return tuple(heard[:STREAMS_TOLD_MAX])

    def _begin(self, document: StreamStart, place: Place, now_ms: SharedMs) -> None:
        known = self._streams.get(document.stream)
        if known is not None and known.start == document:
            return
        if known is not None and known.start.public_key == document.public_key:
            known.start, known.ends_at_ms, known.has_end = document, SharedMs(document.ends_at_ms), False
            return
        starts_at = sample_of_shared_ms(SharedMs(document.starts_at_ms))
        aim_us = place.aim_us(document.broadcast_class)
        source = StreamSource(
            stream=document.stream,
            decoder=self._new_decoder(),
            starts_at=starts_at,
            aim_samples=aim_us * SAMPLES_PER_MS // US_PER_MS,
        )
        live = self._streams[document.stream] = LiveStream(
            start=document,
            topic=topic(TopicName.AUDIO, stream=document.stream),
            depth=place.depth(document.area),
            source=source,
            sound=source,
            ends_at_ms=SharedMs(document.ends_at_ms),
            aim_us=aim_us,
        )
        content_at_ms = SharedMs(document.starts_at_ms + document.chime_ms)
        if document.chime_ms and now_ms < content_at_ms:
            chime = chime_of(document.broadcast_class, document.reality)
            live.sound = ChimedStream(source, chime, document.chime_ms, starts_at=starts_at)
            live.first_at_ms, live.heard_until_ms = SharedMs(document.starts_at_ms), content_at_ms

    def _end(self, document: StreamEnd) -> None:
        known = self._streams.get(document.stream)
        if known is not None:
            known.has_end = True
            known.ends_at_ms = SharedMs(min(known.ends_at_ms, document.ends_at_ms))


def refuse_taken(document: AnyDocument, others: Iterable[AnyDocument]) -> None:
    """Raise Refusal for the start or end of a stream that another area has begun."""
    if not isinstance(document, (StreamStart, StreamEnd)):
        return
    for other in others:
        if not isinstance(other, (StreamStart, StreamEnd)) or other.stream != document.stream:
            continue
        if other.area != document.area:
            detail = f"the stream {document.stream} is of {other.area}, not of {document.area}"
            raise Refusal(RefusalReason.WRONG_AUDIENCE, detail)


def _candidate(live: LiveStream, first_at_ms: SharedMs) -> Candidate:
    start = live.start
    return Candidate(
        key=f"stream:{start.stream}:{first_at_ms}",
        source=SourceKind.STREAM,
        source_id=start.stream,
        area=start.area,
        title=start.title,
        broadcast_class=start.broadcast_class,
        reality=start.reality,
        depth=live.depth,
        starts_at_ms=SharedMs(first_at_ms + live.aim_ms),
        ends_at_ms=SharedMs(live.ends_at_ms + live.aim_ms),
        aim_us=live.aim_us,
        stream=start.stream,
        is_voice=start.is_voice,
        over=start.over,
        before_upper=start.before_upper,
        occurrence=None if start.occurrence is None else planned_key(start.area, start.occurrence),
    )


def _refuse_other_time(packet: AudioPacket, live: LiveStream, now: Now) -> None:
    play_at_ms = packet.play_at_ns // NS_PER_MS
    until_ms = play_at_ms + FRAME_MS * len(packet.frames)
    if play_at_ms > now.shared_ms + PLAY_AHEAD_MS_MAX:
        raise Refusal(RefusalReason.NOT_YET_VALID, f"a packet that plays in {play_at_ms - now.shared_ms} ms")
    if until_ms <= live.start.starts_at_ms or play_at_ms >= live.ends_at_ms:
        raise Refusal(RefusalReason.EXPIRED, "a packet outside the time of its stream")
