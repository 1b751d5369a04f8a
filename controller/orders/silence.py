"""The silences of a site: orders that poles be silent, and their release.

What stands is what its signed document on the retained topic says; there is no other record of it. Rules kept: the
order goes out even if the database cannot keep it, with a loud note; a release goes out only once it is kept; one order
of an area or a node at a time, and a second press returns the one that stands. A silence has no end by itself: its
document is valid for ten years, and is signed again when its key may not sign any more, or half of them have passed
(`resigning`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from controller.configuration.site import Site
from controller.documents.notary import CLOCK_TOLERANCE_MS, Notary
from controller.documents.standing import Standing
from controller.effects import Answer, Effect, Level, Note
from controller.errors import RequestCode, RequestError
from controller.ledger import Ledger
from controller.people.audit import Actor
from controller.records import SilenceRecord, StandingDocument
from controller.requests import EndSilence, StartSilence
from protocol.identity import area_audience, node_audience
from protocol.messages import BroadcastClass, Silence, SilenceRelease
from protocol.topics import TopicName, topic
from protocol.units import Now

VALID_MS: Final = 3650 * 24 * 3600 * 1000
"""For poles that come late; one that has obeyed goes on for ever."""
BY_MAX: Final = 64
"""The bound of the field on the wire."""


class Place(Struct, frozen=True, kw_only=True):
    """An area, or one node of it; `area` is where rights are asked for."""

    area: str
    node: str = ""

    @property
    def topic(self) -> str:
        """Where its silence stands."""
        if self.node:
            return topic(TopicName.NODE_SILENCE, node=self.node)
        return topic(TopicName.AREA_SILENCE, area=self.area)

    @property
    def audience(self) -> str:
        """Whom a document for it addresses."""
        return node_audience(self.node) if self.node else area_audience(self.area)


class Narrowing(Struct, frozen=True, kw_only=True):
    """What an order spares, where of one node two are alive."""

    spares_emergencies: bool = False
    spared_box: str = ""


EVERYTHING: Final = Narrowing()


class SilenceDesk:
    """Orders and releases silences, and says which stand."""

    def __init__(self, *, site: Site, notary: Notary, ledger: Ledger, standing: Standing) -> None:
        self._site = site
        self._notary = notary
        self._ledger = ledger
        self._standing = standing
        self._under_way: set[str] = set()

    def site_changed(self, site: Site) -> None:
        """The configuration was read again; what stands goes on."""
        self._site = site

    @property
    def records(self) -> list[SilenceRecord]:
        """Every silence that stands, the latest first."""
        topics = self._standing.topics_of(TopicName.AREA_SILENCE) + self._standing.topics_of(TopicName.NODE_SILENCE)
        found = [self._standing.document(each) for each in topics]
        records = [self._record(each) for each in found if isinstance(each, Silence)]
        return sorted(records, key=lambda each: each.ordered_at_ms, reverse=True)

    def area_of(self, request: StartSilence | EndSilence) -> str:
        """The area whose rights and records a request is about; empty where its node is not known."""
        if not request.node:
            return request.area
        node = self._site.nodes.get(request.node)
        return node.area if node else ""

    def start(self, request: StartSilence, by: Actor | None, ticket: int, now: Now) -> list[Effect]:
        """Order one; raises RequestError, or SigningError when no key may sign it."""
        place = self._place(request)
        if not request.reason.strip():
            raise RequestError(RequestCode.BAD_REQUEST, "say why: the reason is shown wherever the silence is")
        standing = self.standing_at(place)
        if standing is not None and not standing.spares_emergencies and not standing.spared_box:
            return [Answer(ticket=ticket, result=self._record(standing), is_new=False)]
        return self.order(place, reason=request.reason, by=by.who if by else "", ticket=ticket, now=now)

    def end(self, request: EndSilence, ticket: int, now: Now) -> list[Effect]:
        """Release one; raises RequestError."""
        place = self._place(request)
        standing = self.standing_at(place)
        if standing is None:
            named = ", ".join(each.node or each.area for each in self.records) or "none"
            raise RequestError(RequestCode.ALREADY_OVER, f"no silence stands for {place.audience}; standing: {named}")
        return self.release(place, standing, reason=request.reason, ticket=ticket, now=now)

    def is_under_way(self, place: Place) -> bool:
        """Whether an order or a release is on its way to the disk."""
        return place.topic in self._under_way

    def standing_at(self, place: Place) -> Silence | None:
        """The order that stands for a very place."""
        document = self._standing.document(place.topic)
        return document if isinstance(document, Silence) else None

    def order(
        self,
        place: Place,
        *,
        reason: str,
        by: str,
        now: Now,
        ticket: int | None = None,
        narrowing: Narrowing = EVERYTHING,
    ) -> list[Effect]:
        """Sign an order, publish it whether it can be kept or not."""
        order = f"silence.{now.shared_ms}.{place.node or place.area}"
        document = self._notary.sign(
            place.topic,
            lambda counter: Silence(
                id=f"order.{counter}",
                **self._header(place, counter, now),
                order=order,
                reason=reason[:200],
                ordered_by=(by or self._site.controller)[:BY_MAX],
                spares_emergencies=narrowing.spares_emergencies,
                spared_box=narrowing.spared_box,
            ),
            now.shared_ms,
        )
        record = SilenceRecord(
            order=order,
            area=place.area,
            node=place.node,
            reason=reason[:200],
            by=(by or self._site.controller)[:BY_MAX],
            ordered_at_ms=now.shared_ms,
            spares_emergencies=narrowing.spares_emergencies,
            spared_box=narrowing.spared_box,
        )

        self._under_way.add(place.topic)

        def say(later: Now) -> list[Effect]:
            self._under_way.discard(place.topic)
            note = Note(level=Level.WARNING, what="silence_ordered", reason=reason, facts=_facts(record))
            return [self._standing.put(document, later.shared_ms), *_answer(ticket, record), note]

        def say_unkept(why: str, later: Now) -> list[Effect]:
            note = Note(level=Level.ERROR, what="silence_not_on_record", reason=why, facts=_facts(record))
            return [*say(later), note]

        return self._ledger.commit([document], then=say, otherwise=say_unkept)

    def release(
        self, place: Place, standing: Silence, *, reason: str, now: Now, ticket: int | None = None
    ) -> list[Effect]:
        """Sign the release of what stands; it goes out only once it is kept."""
        document: StandingDocument = self._notary.sign(
            place.topic,
            lambda counter: SilenceRelease(
                id=f"release.{counter}", **self._header(place, counter, now), order=standing.order, reason=reason[:200]
            ),
            now.shared_ms,
        )
        before = self._record(standing)
        self._under_way.add(place.topic)

        def say(later: Now) -> list[Effect]:
            self._under_way.discard(place.topic)
            record = msgspec.structs.replace(before, released_at_ms=later.shared_ms)
            note = Note(level=Level.WARNING, what="silence_released", reason=reason, facts=_facts(record))
            return [self._standing.put(document, later.shared_ms), *_answer(ticket, record), note]

        def not_kept(why: str, _later: Now) -> list[Effect]:
            self._under_way.discard(place.topic)
            refusal = RequestError(RequestCode.NOT_STORED, f"the release cannot be kept, the silence stands: {why}")
            note = Note(level=Level.ERROR, what="release_not_stored", reason=why, facts=_facts(before))
            return [*([] if ticket is None else [Answer(ticket=ticket, result=refusal)]), note]

        return self._ledger.commit([document], then=say, otherwise=not_kept)

    def _header(self, place: Place, counter: int, now: Now) -> dict[str, Any]:
        return {
            "issuer": self._site.controller,
            "audience": place.audience,
            "counter": counter,
            "not_before_ms": now.shared_ms - CLOCK_TOLERANCE_MS,
            "expires_at_ms": now.shared_ms + VALID_MS,
            "broadcast_class": BroadcastClass.EMERGENCY,
            "area": None if place.node else place.area,
            "node": place.node or None,
        }

    def _place(self, request: StartSilence | EndSilence) -> Place:
        if bool(request.area) == bool(request.node):
            raise RequestError(RequestCode.BAD_REQUEST, "name either an area or a node")
        if request.area and request.area not in self._site.tree:
            known = ", ".join(each.id for each in self._site.tree.areas)
            raise RequestError(
                RequestCode.UNKNOWN_AREA, f"the area {request.area!r} is not known; known areas: {known}"
            )
        if request.node and request.node not in self._site.nodes:
            raise RequestError(RequestCode.NOT_FOUND, f"the node {request.node!r} is not known; see: show nodes")
        return Place(area=self.area_of(request), node=request.node)

    def _record(self, document: Silence) -> SilenceRecord:
        node = document.node or ""
        known = self._site.nodes.get(node)
        return SilenceRecord(
            order=document.order,
            area=document.area or (known.area if known else ""),
            node=node,
            reason=document.reason,
            by=document.ordered_by,
            ordered_at_ms=document.not_before_ms + CLOCK_TOLERANCE_MS,
            spares_emergencies=document.spares_emergencies,
            spared_box=document.spared_box,
        )


def _answer(ticket: int | None, record: SilenceRecord) -> list[Effect]:
    """Nobody waits for an answer to what the controller ordered by itself."""
    return [] if ticket is None else [Answer(ticket=ticket, result=record)]


def _facts(record: SilenceRecord) -> dict[str, str | int | float]:
    return {"order": record.order, "area": record.area, "node": record.node, "by": record.by}
