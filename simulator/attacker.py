"""Somebody with a stolen certificate: the broker lets them in, and nothing that they send may change anything.

They listen to all that is retained, so they can send it again; they sign with keys that nobody gave them. Everything
they send is well formed: what must stop it is the signature, the scope, the counter, the audience.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from protocol.envelope import Sign, Signer, seal, signer_from_private_key
from protocol.identity import area_audience, node_audience
from protocol.messages import (
    Assignment,
    BroadcastClass,
    Document,
    Emergency,
    Occurrence,
    Plan,
    StreamStart,
)
from protocol.stream import AudioPacket, pack_audio
from protocol.topics import TopicName, parse_topic, topic
from protocol.units import NS_PER_MS, SharedNs, sample_of_shared_ns
from simulator.clock import ClockSettings, NodeClock
from simulator.commune import BROKER, Province
from simulator.network.delay import WIRED
from simulator.network.link import Link, LinkSettings
from simulator.pole.workshop import synthetic_frame
from simulator.services.media_server import Recording

CAPTURED_MAX: Final = 2_000
PACKETS: Final = 50
"""Five seconds of foreign sound."""
PACKET_NS: Final = 100_000_000
FRAMES: Final = 5
FOREIGN: Final = "foreign-voice"
_STREAM: Final = "f0" * 8
_MINUTE_MS: Final = 60_000

What = Literal["emergency", "plan", "stream", "audio", "assignment"]


class Attacker:
    """One attacker with one certificate, `identity`."""

    def __init__(self, province: Province, identity: str) -> None:
        self._province = province
        self._world = province.world
        self._captured: deque[tuple[str, bytes]] = deque(maxlen=CAPTURED_MAX)
        self._streams: list[str] = []
        self._tag = province.tags.tag(f"stream:{FOREIGN}")
        self._link = Link(
            province.world,
            province.network,
            province.network.add_host(identity, WIRED),
            NodeClock(province.world, identity, ClockSettings()),
            LinkSettings(address=BROKER, client_id=identity),
            on_connected=lambda _present, _incarnation: self._listen(),
            on_disconnected=lambda _reason: None,
            on_message=self._hears,
        )
        self._link.start()

    def replay(self, area: str) -> None:
        """Send again every document that was ever heard for an area, oldest first."""
        audience = area_audience(area)
        for at, payload in list(self._captured):
            if parse_topic(at).fields.get("area", area) == area:
                self._link.publish(at, payload, 1, False)
        self._world.record("attacker", "replayed", audience=audience, documents=len(self._captured))

    def forge(self, what: What, area: str, key: str) -> None:
        """Send a document or a stream that nobody in office signed."""
        self._world.record("attacker", "forges", what=what, area=area, key=key)
        signer = self._signer(key)
        match what:
            case "audio":
                self._speak(self._streams[-1] if self._streams else _STREAM)
            case "stream":
                self._send(topic(TopicName.STREAM, area=area, stream=_STREAM), self._stream(area, signer), signer)
                self._speak(_STREAM)
            case "assignment":
                for node in [each.id for each in self._province.config.nodes if each.area == area]:
                    self._send(topic(TopicName.ASSIGNMENT, node=node), self._assignment(node, area), signer)
            case "emergency":
                self._send(topic(TopicName.EMERGENCY, area=area), self._emergency(area), signer)
            case "plan":
                self._send(topic(TopicName.PLAN, area=area), self._plan(area), signer)

    @property
    def _now_ms(self) -> int:
        return self._world.now_ns // NS_PER_MS

    @property
    def _clip(self) -> Recording:
        return next(iter(self._province.surroundings.recordings.values()))

    def _listen(self) -> None:
        areas = [(topic(name, area="+"), 1) for name in (TopicName.PLAN, TopicName.EMERGENCY)]
        streams = (topic(TopicName.STREAM, area="+", stream="+"), 1)
        self._link.subscribe([*areas, streams, (topic(TopicName.ASSIGNMENT, node="+"), 1)])

    def _hears(self, at: str, payload: bytes) -> None:
        if not payload:
            return
        self._captured.append((at, payload))
        parsed = parse_topic(at)
        if parsed.name is TopicName.STREAM:
            self._streams.append(parsed.fields["stream"])

    def _signer(self, key: str) -> Signer:
        authority = self._province.authority
        match key:
            case "forged":
                return signer_from_private_key("operations-1", authority.key("mallory"))
            case "report":
                return authority.signer(f"report/{self._province.config.nodes[0].id}")
            case "drill-1":
                return authority.signer("drill-1")
            case _:
                return authority.signer("mallory")

    def _send(self, at: str, document: Document, signer: Signer) -> None:
        self._link.publish(at, seal(document, signer=signer, topic=at), 1, False)

    def _speak(self, stream: str) -> None:
        """Five seconds of packets on a stream's topic, signed by nobody's key."""
        sign = self._province.authority.key("mallory").sign
        at = topic(TopicName.AUDIO, stream=stream)
        for number in range(PACKETS):
            self._world.after(number * PACKET_NS, self._speak_packet, at, stream, number, sign)

    def _speak_packet(self, at: str, stream: str, number: int, sign: Sign) -> None:
        play_at_ns = SharedNs((self._world.now_ns + 10 * PACKET_NS) // NS_PER_MS * NS_PER_MS)
        first = sample_of_shared_ns(play_at_ns)
        packet = AudioPacket(
            stream=stream,
            epoch=1_000,
            sequence=number,
            first_sample=number * FRAMES * 960,
            play_at_ns=play_at_ns,
            frames=tuple(synthetic_frame(self._tag, first + index * 960) for index in range(FRAMES)),
        )
        self._link.publish(at, pack_audio(packet, sign=sign, topic=at), 0, False)

    def _common(self, area: str, name: str) -> dict[str, object]:
        return {
            "id": f"forged.{name}.{self._now_ms}",
            "issuer": "controller1",
            "audience": area_audience(area),
            "counter": self._now_ms + _MINUTE_MS,
            "not_before_ms": self._now_ms - _MINUTE_MS,
            "expires_at_ms": self._now_ms + 60 * _MINUTE_MS,
        }

    def _emergency(self, area: str) -> Emergency:
        return Emergency(
            **self._common(area, "emergency"),  # type: ignore[arg-type]
            broadcast_class=BroadcastClass.EMERGENCY,
            emergency="forged",
            area=area,
            title="Giả mạo",
            clip=self._clip.reference,
            play_at_ms=self._now_ms + 500,
            repeat_every_ms=self._clip.duration_ms + 1_000,
            sounds_until_ms=self._now_ms + 10 * _MINUTE_MS,
        )

    def _plan(self, area: str) -> Plan:
        occurrence = Occurrence(
            id="forged.0",
            programme="forged",
            title="Giả mạo",
            broadcast_class=BroadcastClass.PRIORITY,
            start_at_ms=self._now_ms + 2_000,
            duration_ms=self._clip.duration_ms,
            media=self._clip.reference,
        )
        return Plan(
            **self._common(area, "plan"),  # type: ignore[arg-type]
            area=area,
            covers_from_ms=self._now_ms,
            covers_until_ms=self._now_ms + 60 * _MINUTE_MS,
            occurrences=(occurrence,),
        )

    def _stream(self, area: str, signer: Signer) -> StreamStart:
        public_key = self._province.authority.key("mallory").public_key().public_bytes_raw()
        return StreamStart(
            **self._common(area, signer.key_id),  # type: ignore[arg-type]
            stream=_STREAM,
            area=area,
            title="Giả mạo",
            public_key=public_key,
            starts_at_ms=self._now_ms,
            ends_at_ms=self._now_ms + 10 * _MINUTE_MS,
        )

    def _assignment(self, node: str, area: str) -> Assignment:
        common = {**self._common(area, f"assignment.{node}"), "audience": node_audience(node)}
        return Assignment(**common, node=node, title="Giả mạo", areas=(area,), quiet_hours=None)  # type: ignore[arg-type]
