"""The guard has the last word that something may *not* sound or be obeyed.

It verifies what comes from outside, in this order: size, topic, form, key, signature, type, place, scope,
time, audience, replay; and it says at each instant what keeps a candidate silent: silence that was ordered, the
button on the pole, or the rules of the place (`house`); and how loud it may be at most. It leaves to the caller to
count a refusal it raised (`count`), and to store a document before it is obeyed.

Rules kept:
- nothing is believed before its signature is; a broker can only drop or delay;
- per key and topic the counter must rise; the same counter with the same bytes is a duplicate, harmless and
  silent; everything else is a replay;
- while the time is not known, only keys, the place and emergencies are judged, by the latest instant that has certainly
  passed: what the clock reads (a floor: image date, hour saved last), or what a genuine document says that the root or
  the same key has signed, or that gave this node its place: no other key says that something is over;
- in quiet hours only a real emergency sounds; before the first assignment the default quiet hours stand; what is
  heard in turns is judged by its whole round, so that either every zone hears it or none; nothing sounds that is stale
  or has no air time left, but for an emergency or a drill (`protocol.policy` says whom each rule binds);
- a document that was accepted once stays accepted when it or its key expires: validity bounds when it may
  begin to act. A revoked key or a lost scope takes it away, also while it sounds; but no silence (`silences`);
- a root takes the pinned one's place if both signed the change (`protocol.root_chain`). The keyset that an earlier
  root signed stays until the next one comes, for a pole must not fall silent in between; a new one must be the
  newest root's, and its versions are counted anew, so that a stolen root cannot have used up all numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from edge.assignment import Place
from edge.events import LastCounter
from edge.house import House
from edge.player.arbiter import Reason
from edge.silence.silences import SILENCE_TOPICS, Silences
from protocol.candidate import Candidate
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring, RootKeys, open_keyset
from protocol.messages import (
    DOCUMENT_BYTES_MAX,
    Acknowledgement,
    AllClear,
    AnyDocument,
    Assignment,
    BroadcastClass,
    Emergency,
    Keyset,
    Plan,
    Root,
    Silence,
    SilenceRelease,
    StreamEnd,
    StreamStart,
)
from protocol.opening import OPENER, Opener
from protocol.quiet import time_zone_of
from protocol.root_chain import continues, follow_chain, open_chain
from protocol.topics import ParsedTopic, TopicName, parse_topic
from protocol.units import Now, SharedMs

ROOT: Final = "root"
"""Stands for the first root's threshold where a key id is asked for; for a later one with its version behind it."""
GAIN_DB_MAX: Final = 12.0
"""No assignment makes a pole louder than this above its calibrated level: horns and ears have limits."""
EMERGENCY_GAIN_DB_MAX: Final = 18.0
"""As GAIN_DB_MAX, for emergencies."""

_ALLOWED: Final[dict[TopicName, tuple[type[AnyDocument], ...]]] = {
    TopicName.ROOT: (Root,),
    TopicName.KEYSET: (Keyset,),
    TopicName.ASSIGNMENT: (Assignment,),
    TopicName.PLAN: (Plan,),
    TopicName.STREAM: (StreamStart, StreamEnd),
    TopicName.EMERGENCY: (Emergency, AllClear),
    TopicName.AREA_SILENCE: (Silence, SilenceRelease),
    TopicName.NODE_SILENCE: (Silence, SilenceRelease),
    TopicName.ACKNOWLEDGEMENT: (Acknowledgement,),
}
_TIMELESS: Final = (
    frozenset({TopicName.ROOT, TopicName.KEYSET, TopicName.ASSIGNMENT, TopicName.EMERGENCY}) | SILENCE_TOPICS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A verified document and the bytes that it came in."""

    topic: str
    parsed: ParsedTopic
    document: AnyDocument
    key_id: str
    payload: bytes
    sha256: bytes
    is_duplicate: bool
    body: bytes = b""
    """Of a large plan, what its occurrences were read from."""


class Guard:
    """One node's guard; `place` and `keyring` are replaced as assignments and keysets are accepted."""

    def __init__(self, *, place: Place, root: RootKeys, opener: Opener = OPENER, box: str = "") -> None:
        self.house: Final = House()
        self.place = place
        self.keyring = Keyring.empty()
        self.silences: Final = Silences(box=box)
        self.refused: dict[str, int] = {}
        self._passed_ms: dict[str, int] = {}
        """The latest instant from which a genuine document of a key was valid; "" for what holds for all keys."""
        self._roots: tuple[RootKeys, ...] = (root,)
        self._opener = opener
        self._counters: dict[tuple[str, str], tuple[int, bytes]] = {}

    @property
    def place(self) -> Place:
        """What the node is: by the newest assignment."""
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        self._place = place
        self.house.use(place.house_rules)

    @property
    def has_keyset(self) -> bool:
        """Whether any signature can be judged."""
        return self.keyring.version > 0

    @property
    def root(self) -> RootKeys:
        """The root in force: the pinned one, or the newest that followed it."""
        return self._roots[-1]

    def trust(self, accepted: Accepted) -> None:
        """Make the newest root of an accepted chain the one in force."""
        self._roots = self._follow(accepted.topic, accepted.payload)

    def restore(self, counters: Iterable[LastCounter]) -> None:
        """Take in what was accepted before the process began."""
        for last in counters:
            self._counters[(last.key_id, last.topic)] = (last.counter, last.sha256)

    def count(self, reason: str, messages: int = 1) -> None:
        """Add to a reason's counter, as telemetry shows it."""
        self.refused[reason] = self.refused.get(reason, 0) + messages

    def open(self, topic: str, payload: bytes, now: Now) -> Accepted:
        """Verify a document that was just received; raises Refusal."""
        accepted = self._verify(topic, payload, now, is_new=True)
        if isinstance(accepted.document, Root) and accepted.document.counter == self.root.version:
            return replace(accepted, is_duplicate=True)  # what is in force, or pinned: a chain may be carried along
        last = self._counters.get((accepted.key_id, topic))
        if last is None or accepted.document.counter > last[0]:
            return accepted
        if accepted.document.counter == last[0] and accepted.sha256 == last[1]:
            return replace(accepted, is_duplicate=True)
        raise Refusal(
            RefusalReason.REPLAYED, f"counter {accepted.document.counter} of {accepted.key_id}; {last[0]} was accepted"
        )

    def reopen(self, topic: str, payload: bytes, now: Now) -> Accepted:
        """Verify a document that was accepted before: it or its key may have expired since; raises Refusal."""
        return self._verify(topic, payload, now, is_new=False)

    def remember(self, accepted: Accepted) -> LastCounter | None:
        """Raise the counter by an accepted document; gives what stood before, for `restore` if storing fails."""
        place = (accepted.key_id, accepted.topic)
        before = self._counters.get(place)
        self._counters[place] = (accepted.document.counter, accepted.sha256)
        if before is None:
            return None
        return LastCounter(key_id=place[0], topic=place[1], counter=before[0], sha256=before[1])

    def forget(self, accepted: Accepted, before: LastCounter | None) -> None:
        """Take `remember` back: the document could not be stored."""
        self._counters.pop((accepted.key_id, accepted.topic), None)
        if before is not None:
            self.restore([before])

    def forget_topic(self, topic: str) -> None:
        """Drop the counters of a topic whose every document has expired, and so is refused without them."""
        self._counters = {place: last for place, last in self._counters.items() if place[1] != topic}

    def blocks(self, candidate: Candidate, at_ms: SharedMs) -> Reason | None:
        """What forbids a candidate to sound at an instant."""
        silenced = self.silences.blocks(candidate)
        if silenced is not None:
            return silenced
        return self.house.blocks(candidate, at_ms)

    def gain_db(self, candidate: Candidate, at_ms: SharedMs) -> float:
        """How loud a candidate plays at an instant: the assignment's gain, never above the caps."""
        if candidate.broadcast_class is BroadcastClass.EMERGENCY:
            gain_db = min(self.place.emergency_gain_db, EMERGENCY_GAIN_DB_MAX)
        else:
            gain_db = min(self.place.gain_db, GAIN_DB_MAX)
        cap_db = self.house.gain_db_max(candidate, at_ms)
        return gain_db if cap_db is None else min(gain_db, cap_db)

    def passed_ms(self, key_id: str) -> int:
        """What has passed for certain, whatever the clock says, for who judges what this key has signed."""
        return max(self._passed_ms.get("", 0), self._passed_ms.get(key_id, 0))

    def _note_passed(self, document: AnyDocument, key_id: str) -> None:
        whose = "" if isinstance(document, Root | Keyset | Assignment) else key_id
        self._passed_ms[whose] = max(self._passed_ms.get(whose, 0), document.not_before_ms)

    def _judged_at_ms(self, document: AnyDocument, key_id: str, now: Now) -> int:
        if now.is_time_known:
            return now.shared_ms
        return max(now.shared_ms, self.passed_ms(key_id), document.not_before_ms)

    def _verify(self, topic: str, payload: bytes, now: Now, *, is_new: bool) -> Accepted:
        if len(payload) > DOCUMENT_BYTES_MAX:
            raise Refusal(RefusalReason.TOO_LARGE, f"{len(payload)} bytes; at most {DOCUMENT_BYTES_MAX}")
        parsed = parse_topic(topic)
        if parsed.name not in _ALLOWED:
            raise Refusal(RefusalReason.UNKNOWN_TOPIC, f"nothing is obeyed that comes on {topic}")
        must_wait = not now.is_time_known and parsed.name not in _TIMELESS
        if must_wait and is_new:
            raise Refusal(RefusalReason.NOT_YET_VALID, "the shared time is not known yet")
        if is_new or parsed.name not in SILENCE_TOPICS:
            document, key_id = self._authenticate(topic, parsed, payload, now, is_new=is_new)
        else:
            document, key_id = self._trust_own_store(topic, payload)
        if document.audience not in self.place.audiences:
            raise Refusal(RefusalReason.WRONG_AUDIENCE, f"for {document.audience}")
        _refuse_other_place(parsed, document)
        self._note_passed(document, key_id)
        if must_wait:
            raise Refusal(RefusalReason.NOT_YET_VALID, "the shared time is not known yet")
        return Accepted(
            topic=topic,
            parsed=parsed,
            document=document,
            key_id=key_id,
            payload=payload,
            sha256=hashlib.sha256(payload).digest(),
            is_duplicate=False,
        )

    def _authenticate(
        self, topic: str, parsed: ParsedTopic, payload: bytes, now: Now, *, is_new: bool
    ) -> tuple[AnyDocument, str]:
        if parsed.name is TopicName.ROOT:
            self._follow(topic, payload)
            return open_chain(payload)[-1], ROOT
        if parsed.name is TopicName.KEYSET:
            return self._keyset(topic, payload, now, is_new=is_new)
        sealed = self._opener.envelope(payload, topic=topic)
        document = self._opener.document(self._opener.payload(sealed, self.keyring.public_key(sealed.key_id)))
        if not isinstance(document, _ALLOWED[parsed.name]):
            raise Refusal(RefusalReason.UNEXPECTED_TYPE, f"a {type(document).__name__} on {topic}")
        try:
            self.keyring.check(
                sealed.key_id, document, self._judged_at_ms(document, sealed.key_id, now), self.place.parents
            )
        except Refusal as refusal:
            if is_new or refusal.reason is not RefusalReason.EXPIRED:
                raise
        if isinstance(document, Assignment):
            time_zone_of(document.time_zone)
        return document, sealed.key_id

    def _trust_own_store(self, topic: str, payload: bytes) -> tuple[AnyDocument, str]:
        """A silence or its release that was obeyed once holds on, whatever has become of its key: safe is silent."""
        sealed = self._opener.envelope(payload, topic=topic)
        return self._opener.document(sealed.payload), sealed.key_id

    def _follow(self, topic: str, payload: bytes) -> tuple[RootKeys, ...]:
        """The roots of a chain that begins with those known here; raises Refusal."""
        roots = follow_chain(payload, topic=topic, pinned=self._roots[0])
        if roots[-1].version < self.root.version:
            raise Refusal(RefusalReason.REPLAYED, f"root {roots[-1].version}; root {self.root.version} is in force")
        if not continues(roots, known=self._roots):
            raise Refusal(RefusalReason.BAD_SIGNATURE, f"another root {self.root.version} than the one in force")
        return roots

    def _keyset(self, topic: str, payload: bytes, now: Now, *, is_new: bool) -> tuple[Keyset, str]:
        """A keyset and whose it is; one that was accepted before may be an earlier root's."""
        earlier = () if is_new else self._roots[:-1]
        try:
            keyset, root = self._opener.keyset(payload, topic=topic, root=self.root), self.root
        except Refusal:
            found = next(_keysets_of(earlier, topic, payload), None)
            if found is None:
                raise
            keyset, root = found
        if is_new and now.shared_ms >= keyset.expires_at_ms:
            raise Refusal(RefusalReason.EXPIRED, f"the keyset {keyset.id}")
        return keyset, ROOT if root.version == 1 else f"{ROOT}-{root.version}"


def _keysets_of(roots: Iterable[RootKeys], topic: str, payload: bytes) -> Iterator[tuple[Keyset, RootKeys]]:
    for root in roots:
        with contextlib.suppress(Refusal):
            yield open_keyset(payload, topic=topic, root=root), root


def _refuse_other_place(parsed: ParsedTopic, document: AnyDocument) -> None:
    """A document must speak of the area, node and stream that its topic names."""
    for field, named in parsed.fields.items():
        said = getattr(document, field, named)
        if said != named:
            raise Refusal(RefusalReason.WRONG_AUDIENCE, f"it speaks of the {field} {said} on the topic of {named}")
