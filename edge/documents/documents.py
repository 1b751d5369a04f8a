"""The documents that a node obeys: received, made durable, then in force.

Keeps for each topic the document that is in force. It leaves verification to the guard and what a document
means to the agent, which reads `in_force` whenever `receive` or `stored` says that something changed.

Rules kept:
- nothing is obeyed before it and its counter are on the disk, so a power cut at any moment repeats nothing.
  One exception: a real emergency whose storing *failed*, or has gone unanswered for PATIENCE_MS, is obeyed from
  memory, for a pole with a dying card must still warn; in this run its counter holds all the same, and its own
  expiry bounds what a replay after a restart could do;
- silence first, then the disk: an order to be silent is obeyed as soon as it is verified, and stored then; its
  release is obeyed only once it is on the disk, for what a power cut makes a node forget must never be a silence;
- what the disk refused is offered to it again, and comes into force as soon as it is kept;
- an acknowledgement is obeyed without being stored: forgetting a report twice, or by an older one, harms nothing;
- when the root, the keyset or the assignment changes, everything in force is judged anew, and what no longer may
  be is gone at once, whatever it is: an emergency whose key is revoked falls silent in the middle of a word;
- a plan whose occurrences travel apart waits for its body in `plan_bodies`, and is stored with it;
- what may follow what stands on a topic is `succession`'s decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from edge.assignment import place_of
from edge.documents.log import accepted_log, not_stored_log, refused_log, waiting_log
from edge.documents.pending import PENDING_MAX, Pending, is_urgent
from edge.documents.plan_bodies import PlanBodies, body_of
from edge.documents.succession import refuse_out_of_turn
from edge.effects import Effect, ForgetDocuments, StoreDocument
from edge.events import BodyFetched, DocumentStored, DocumentStoreFailed, LastCounter, StoredDocument
from edge.guard import Accepted, Guard
from edge.silence.silences import SILENCE_TOPICS
from edge.silence.succession import refuse_unfit
from edge.streams import refuse_taken
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring
from protocol.messages import (
    Acknowledgement,
    AnyDocument,
    Assignment,
    Keyset,
    Root,
    Silence,
    SilenceRelease,
    StreamEnd,
    StreamStart,
)
from protocol.opening import OPENER, Opener
from protocol.plan import BodyReference
from protocol.topics import TopicName, parse_topic
from protocol.units import NS_PER_MS, MonotonicNs, Now

OFFER_AGAIN_MS: Final = 60_000
"""How long what the disk refused waits until it is offered again; at once when the disk has taken something else."""
STREAM_TOPICS_MAX: Final = 64
"""Streams known at once; a controller has a handful."""
_ORDER: Final = {
    TopicName.ROOT: 0,
    TopicName.KEYSET: 1,
    TopicName.ASSIGNMENT: 2,
    **dict.fromkeys(SILENCE_TOPICS, 3),
}
"""Keys come before what they sign, the place before what is addressed to it, silence before what it silences."""
_NOT_ALLOWED: Final = frozenset({RefusalReason.REVOKED_KEY, RefusalReason.UNKNOWN_KEY, RefusalReason.WRONG_SCOPE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What followed from one step: effects to run, documents that came into force, whether a body is to be fetched."""

    effects: tuple[Effect, ...] = ()
    came: tuple[AnyDocument, ...] = ()
    needs_body: bool = False


class Documents:
    """The documents of one node."""

    def __init__(self, guard: Guard, opener: Opener = OPENER) -> None:
        self.bodies: Final = PlanBodies(opener)
        self._guard = guard
        self._in_force: dict[str, Accepted] = {}
        self._shown: tuple[Accepted, ...] | None = ()
        self._pending: dict[tuple[str, bytes], Pending] = {}
        self._refused: dict[str, Accepted] = {}
        """What the disk did not take, the latest of each topic."""
        self._offer_at: MonotonicNs | None = None
        self._parked: dict[str, StoredDocument] = {}
        self._taken_away: tuple[AnyDocument, ...] = ()

    @property
    def taken_away(self) -> tuple[AnyDocument, ...]:
        """What the newest keyset or root took away, because the key that signed it may not sign it any more."""
        return self._taken_away

    @property
    def in_force(self) -> tuple[Accepted, ...]:
        """Every document that is obeyed now; the same value as long as nothing has changed."""
        if self._shown is None:
            self._shown = tuple(self._in_force.values())
        return self._shown

    def restore(self, stored: Iterable[StoredDocument], counters: Iterable[LastCounter], now: Now) -> Outcome:
        """Take in what the store holds; what cannot be judged yet is kept aside and judged again later."""
        self._guard.restore(counters)
        self._parked = {document.topic: document for document in stored}
        return self.judge_parked(now)

    def judge_parked(self, now: Now) -> Outcome:
        """Judge again what was restored but not yet in force (the clock or the keyset was missing)."""
        effects: list[Effect] = []
        came: list[AnyDocument] = []
        for parked in sorted(self._parked.values(), key=_restore_order):
            if self._parked.get(parked.topic) is not parked:
                continue  # an assignment or keyset that came into force before it has had it judged already
            if not now.is_time_known and parse_topic(parked.topic).name is TopicName.EMERGENCY:
                continue  # it may be long over; the broker hands out what stands, and that is obeyed
            if parked.topic in self._in_force:
                del self._parked[parked.topic]
                continue
            try:
                accepted = self.bodies.fill(self._guard.reopen(parked.topic, parked.payload, now), parked.body)
            except Refusal as refusal:
                effects.append(refused_log("restored document not in force", parked.topic, refusal))
                continue
            del self._parked[parked.topic]
            outcome = self._enforce(accepted, now)
            effects += outcome.effects
            came += outcome.came
        return Outcome(effects=tuple(effects), came=tuple(came))

    def receive(self, topic: str, payload: bytes, now: Now) -> Outcome:
        """Judge what was received; raises Refusal, which the caller counts.

        An empty message says that a retained one was taken away; what that one said stands until it expires.
        """
        return self._judge(topic, payload, b"", now) if payload else Outcome()

    def body_fetched(self, event: BodyFetched, now: Now) -> Outcome:
        """What plans were waiting for has come: each is judged as if it came now, with its body."""
        effects: list[Effect] = []
        came: list[AnyDocument] = []
        for waited in self.bodies.take(event.sha256):
            try:
                outcome = self._judge(waited.topic, waited.payload, event.content, now)
            except Refusal as refusal:
                self._guard.count(refusal.reason.value)
                effects.append(refused_log("plan not obeyed", waited.topic, refusal))
                continue
            effects += outcome.effects
            came += outcome.came
        return Outcome(effects=tuple(effects), came=tuple(came))

    def _judge(self, topic: str, payload: bytes, body: bytes, now: Now) -> Outcome:
        """What follows from a document; from a large plan only with its body, which may be here already."""
        accepted = self._guard.open(topic, payload, now)
        if (topic, accepted.sha256) in self._pending or self.bodies.is_waiting(accepted):
            return Outcome()
        self._refuse_unfit(accepted, self._standing(topic, now))
        refuse_taken(accepted.document, self._known())
        if accepted.is_duplicate:
            known = self._in_force.get(topic)
            if isinstance(accepted.document, Root) or (known is not None and known.sha256 == accepted.sha256):
                return Outcome()
        needed = body_of(accepted)
        if needed is not None:
            body = body or self._body_here(accepted, needed)
            if not body:
                self.bodies.wait(accepted)
                return Outcome(effects=(waiting_log(accepted, needed),), needs_body=True)
            accepted = self.bodies.fill(accepted, body)
        if accepted.is_duplicate:
            return self._enforce(accepted, now)
        if isinstance(accepted.document, Acknowledgement):
            self._guard.remember(accepted)
            return Outcome(came=(accepted.document,))
        if isinstance(accepted.document, Silence):
            return self._hush(accepted, now)
        self._refuse_excess(accepted)
        self._pending[(topic, accepted.sha256)] = Pending(
            accepted=accepted, before=self._guard.remember(accepted), since=now.monotonic_ns
        )
        return Outcome(effects=(_store(accepted),))

    def stored(self, event: DocumentStored, now: Now) -> Outcome:
        """A document is durable: it comes into force."""
        refused = self._refused.get(event.topic)
        if refused is not None and refused.sha256 == event.sha256:
            del self._refused[event.topic]
        if self._refused:
            self._offer_at = now.monotonic_ns
        pending = self._pending.pop((event.topic, event.sha256), None)
        return Outcome() if pending is None else self._enforce_stored(pending.accepted, now)

    def store_failed(self, event: DocumentStoreFailed, now: Now) -> Outcome:
        """A document could not be stored: it is not obeyed, unless it is a real emergency or its all-clear."""
        pending = self._pending.pop((event.topic, event.sha256), None)
        refused = self._in_force.get(event.topic) if pending is None else pending.accepted
        if refused is None or refused.sha256 != event.sha256:
            return Outcome()
        self._refused[event.topic] = refused
        self._offer_at = self._offer_at or MonotonicNs(now.monotonic_ns + OFFER_AGAIN_MS * NS_PER_MS)
        if pending is None or self._in_force.get(event.topic) is refused:
            return Outcome()
        if pending.cannot_wait:
            return self._enforce_stored(pending.accepted, now)
        self._guard.forget(pending.accepted, pending.before)
        return Outcome(effects=(not_stored_log(event.topic, event.detail),))

    def wake(self, now: Now) -> Outcome:
        """Obey what cannot wait for the disk any longer; offer the disk again what it refused."""
        effects: list[Effect] = []
        came: list[AnyDocument] = []
        late = [place for place, pending in self._pending.items() if pending.is_late(now.monotonic_ns)]
        for outcome in [self._enforce_stored(self._pending.pop(place).accepted, now) for place in late]:
            effects += outcome.effects
            came += outcome.came
        if self._offer_at is not None and now.monotonic_ns >= self._offer_at:
            self._offer_at = MonotonicNs(now.monotonic_ns + OFFER_AGAIN_MS * NS_PER_MS) if self._refused else None
            effects += self._offer_again(now)
        return Outcome(effects=tuple(effects), came=tuple(came))

    def next_deadline(self) -> MonotonicNs | None:
        """When `wake` has something to do."""
        waits = [pending.patience_until for pending in self._pending.values() if pending.cannot_wait]
        return min((*waits, *(() if self._offer_at is None else (self._offer_at,))), default=None)

    def _hush(self, accepted: Accepted, now: Now) -> Outcome:
        """An order to be silent is obeyed now; a disk that has too much to do is offered it later."""
        before = self._guard.remember(accepted)
        outcome = self._enforce(accepted, now)
        if len(self._pending) >= PENDING_MAX:
            self._refused[accepted.topic] = accepted
            self._offer_at = self._offer_at or MonotonicNs(now.monotonic_ns + OFFER_AGAIN_MS * NS_PER_MS)
            return outcome
        place = (accepted.topic, accepted.sha256)
        self._pending[place] = Pending(accepted=accepted, before=before, since=now.monotonic_ns)
        return Outcome(effects=(*outcome.effects, _store(accepted)), came=outcome.came)

    def _enforce_stored(self, accepted: Accepted, now: Now) -> Outcome:
        """What was waiting for the disk, unless what came meanwhile forbids it, or it is in force already."""
        standing = self._in_force.get(accepted.topic)
        if standing is accepted:
            return Outcome()
        try:
            self._refuse_unfit(accepted, standing)
        except Refusal as refusal:
            return Outcome(effects=(refused_log("document not in force", accepted.topic, refusal),))
        return self._enforce(accepted, now)

    def _offer_again(self, now: Now) -> list[Effect]:
        effects: list[Effect] = []
        for topic, accepted in list(self._refused.items()):
            standing = self._in_force.get(topic)
            if standing is not None and standing.sha256 == accepted.sha256:
                effects.append(_store(accepted))
                continue
            del self._refused[topic]
            with contextlib.suppress(Refusal):  # it has expired, or a newer one is in force
                effects += self._judge(topic, accepted.payload, accepted.body, now).effects
        return effects

    def purge(self, now: Now) -> tuple[Effect, ...]:
        """Forget streams that are over and expired: their documents would be refused without any counter."""
        over = [
            accepted.topic
            for accepted in self.in_force
            if isinstance(accepted.document, (StreamStart, StreamEnd))
            and now.shared_ms > max(accepted.document.expires_at_ms, accepted.document.ends_at_ms)
        ]
        for topic in over:
            self._drop(topic)
            self._guard.forget_topic(topic)
        return (ForgetDocuments(topics=tuple(over), with_counters=True),) if over else ()

    def _enforce(self, accepted: Accepted, now: Now) -> Outcome:
        self._in_force[accepted.topic] = accepted
        self._shown = None
        self._parked.pop(accepted.topic, None)
        self.bodies.followed(accepted)
        effects: list[Effect] = [accepted_log(accepted)]
        came: list[AnyDocument] = [accepted.document]
        match accepted.document:
            case Root():
                self._guard.trust(accepted)
            case Keyset():
                self._guard.keyring = Keyring.from_keyset(accepted.document)
            case Assignment():
                self._guard.place = place_of(accepted.document)
            case Silence() | SilenceRelease():
                self._use_silences()
                return Outcome(effects=tuple(effects), came=tuple(came))
            case _:
                return Outcome(effects=tuple(effects), came=tuple(came))
        effects += self._judge_all(now)
        parked = self.judge_parked(now)
        return Outcome(effects=(*effects, *parked.effects), came=(*came, *parked.came))

    def _judge_all(self, now: Now) -> list[Effect]:
        """Drop what the keys or the place no longer allow."""
        effects: list[Effect] = []
        dropped: list[str] = []
        taken_away: list[AnyDocument] = []
        for topic, accepted in list(self._in_force.items()):
            try:
                self._guard.reopen(topic, accepted.payload, now)
            except Refusal as refusal:
                self._drop(topic)
                dropped.append(topic)
                if refusal.reason in _NOT_ALLOWED:
                    taken_away.append(accepted.document)
                effects.append(refused_log("document no longer in force", topic, refusal))
        if dropped:
            effects.append(ForgetDocuments(topics=tuple(dropped), with_counters=False))
            self._use_silences()
        self._taken_away = tuple(taken_away)
        return effects

    def _use_silences(self) -> None:
        self._guard.silences.use(each.document for each in self._in_force.values())

    def _drop(self, topic: str) -> None:
        del self._in_force[topic]
        self._shown = None

    def _body_here(self, accepted: Accepted, needed: BodyReference) -> bytes:
        """A body that the plan in force has too, as when only its end was put off."""
        standing = self._in_force.get(accepted.topic)
        return b"" if standing is None or body_of(standing) != needed else standing.body

    def _known(self) -> Iterator[AnyDocument]:
        """What is obeyed, and what is about to be."""
        yield from (each.document for each in self._in_force.values())
        yield from (each.accepted.document for each in self._pending.values())

    def _refuse_excess(self, accepted: Accepted) -> None:
        is_urgent_too = is_urgent(accepted.document)
        if sum(each.cannot_wait is is_urgent_too for each in self._pending.values()) >= PENDING_MAX:
            raise Refusal(RefusalReason.TOO_LARGE, f"{PENDING_MAX} documents are waiting for the disk")
        is_stream = isinstance(accepted.document, (StreamStart, StreamEnd))
        if is_stream and accepted.topic not in self._in_force:
            known = sum(isinstance(each.document, (StreamStart, StreamEnd)) for each in self._in_force.values())
            if known >= STREAM_TOPICS_MAX:
                raise Refusal(RefusalReason.UNKNOWN_STREAM, f"{STREAM_TOPICS_MAX} streams are known already")

    def _standing(self, topic: str, now: Now) -> Accepted | None:
        """What stands on a topic: in force, or on the card and waiting for the time to be known."""
        parked = self._parked.get(topic)
        if topic not in self._in_force and parked is not None:
            with contextlib.suppress(Refusal):
                return self._guard.reopen(topic, parked.payload, now)
        return self._in_force.get(topic)

    def _refuse_unfit(self, accepted: Accepted, standing: Accepted | None) -> None:
        refuse_unfit(accepted, standing, self._guard.keyring, self._guard.place.parents)
        refuse_out_of_turn(accepted, standing)


def _store(accepted: Accepted) -> StoreDocument:
    return StoreDocument(
        topic=accepted.topic,
        payload=accepted.payload,
        key_id=accepted.key_id,
        counter=accepted.document.counter,
        sha256=accepted.sha256,
        body=accepted.body,
    )


def _restore_order(stored: StoredDocument) -> int:
    try:
        return _ORDER.get(parse_topic(stored.topic).name, len(_ORDER))
    except Refusal:
        return len(_ORDER)
