"""Keeps every node's assignment and every area's plan as the site wants them.

A document is signed anew only when what it says has changed, when it would run out too soon, or when its key
is no longer ours; a restart alone publishes no new version. What the site no longer knows is withdrawn.
Assignments wait until each emergency clip is prepared or refused, a plan until the files of its programmes are.
A round over a large site goes in slices, so that ten thousand signatures do not hold up an emergency.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from controller.configuration.config import NodeConfig
from controller.configuration.site import MediaShelf, Site, minute_of_day, quiet_hours_of
from controller.documents.notary import CLOCK_TOLERANCE_MS, Notary
from controller.documents.standing import Standing
from controller.effects import Effect, Level, Note
from controller.errors import SigningError
from controller.ledger import Ledger
from controller.planning.compile import COVERED_MS_MIN, DAY_MS, Compiled, compile_area, same_until
from controller.programmes.ready import ready_of
from controller.records import Change, StandingDocument, WithdrawnDocument
from protocol.errors import ProtocolError
from protocol.identity import area_audience, node_audience
from protocol.messages import Assignment, Document, MediaReference, Plan
from protocol.reconnect import herd_window_s
from protocol.topics import TopicName, topic
from protocol.units import US_PER_MS, Now, SharedMs

ASSIGNMENT_VALID_MS: Final = 400 * DAY_MS
ASSIGNMENT_RENEWED_MS: Final = 200 * DAY_MS
"""An assignment outlives a long absence of the controller; it is renewed at half its life."""
LOOK_AGAIN_MS: Final = 3600 * 1000
"""How often validity and the plan's horizon are looked at."""
SLICE_LOOKED: Final = 200
"""Compared in one turn of the desk: some milliseconds."""
SLICE_SIGNED: Final = 25
"""Signed in one turn: 5 ms with a key in this process, 25 ms with a signer of its own."""
SLICE_COMPILED: Final = 10
"""Plans compiled in one turn: 20 to 50 ms, which is what an emergency may wait behind them."""
SLICE_EVERY_MS: Final = 20
"""Between two slices everybody else has the desk: ten thousand nodes take eight seconds."""
PREPARED_CLIPS_MAX: Final = 64
"""The bound of `Assignment.prepared_clips`."""

DocumentT = TypeVar("DocumentT", bound=Document)
Maker = Callable[[SharedMs], StandingDocument | None]


class Provision:
    """Compares what stands with what should, and makes the difference."""

    def __init__(self, *, site: Site, shelf: MediaShelf, notary: Notary, standing: Standing, ledger: Ledger) -> None:
        self._site = site
        self._shelf = shelf
        self._notary = notary
        self._standing = standing
        self._ledger = ledger
        self._next_at_ms = SharedMs(0)
        self._round_at_ms = SharedMs(0)
        """When everything is compared again; single plans are in between."""
        self._under_way: set[str] = set()
        self._waiting: deque[Maker] = deque()
        self._settled: dict[str, tuple[tuple[MediaReference, ...], Assignment]] = {}
        """From what each node's assignment was found to be as it should; to be built again when that changes."""
        self._sufficient: dict[str, tuple[int, str]] = {}
        """The counter of each plan that was found to say what it should, and its warning; see `_is_sufficient`."""
        self.compiled = 0
        """Plans compiled so far, for whoever watches that it is not too many."""
        self._unsettled: dict[str, set[str]] = {}
        """The areas whose plans wait for a source, by its key."""
        self._changed_meanwhile: set[str] = set()
        """Areas whose programmes changed while a plan of theirs was being stored."""
        self.warnings: dict[str, str] = {}
        """What a person should know, by what it concerns."""

    @property
    def next_at_ms(self) -> SharedMs:
        """When to look again."""
        return self._next_at_ms

    def site_changed(self, site: Site) -> None:
        """The configuration was read again; everything is compared at the next look."""
        self._site = site
        self._settled.clear()
        self._unsettled.clear()
        self.look_soon()

    def programmes_changed(self, site: Site, areas: Iterable[str]) -> list[Effect]:
        """The plans of these areas come first; a round that is under way goes on behind them."""
        self._site = site
        self._plan_soon(areas)
        return []

    def media_settled(self, key: str) -> None:
        """A source is prepared or refused: the plans that waited for it come first, or all, where it is of all."""
        areas = self._unsettled.pop(key, None)
        if areas is None or any(clip.file == key for clip in self._site.clips.values()):
            self.look_soon()
        else:
            self._plan_soon(areas)

    def _plan_soon(self, areas: Iterable[str]) -> None:
        """First in line; slices that are under way keep their pace."""
        wanted = sorted(areas)
        for area in wanted:
            self._sufficient.pop(area, None)
        first = [functools.partial(self._plan, area) for area in wanted if area in self._site.tree]
        if first and not self._waiting:
            self._next_at_ms = SharedMs(0)
        self._waiting.extendleft(first)

    def look_soon(self) -> None:
        """Something that plans or assignments are made of has changed: a round that was under way begins anew."""
        self._waiting.clear()
        self._sufficient.clear()
        self._next_at_ms = SharedMs(0)

    def look(self, now: Now, *, is_connected: bool) -> list[Effect]:
        """Sign, keep and publish what differs; withdraw what nobody wants (only while the broker hears it)."""
        now_ms = now.shared_ms
        if now_ms < self._next_at_ms:
            return []
        effects: list[Effect] = []
        if not self._waiting or now_ms >= self._round_at_ms:
            self._round_at_ms = SharedMs(now_ms + LOOK_AGAIN_MS)
            self._waiting.clear()
            self.warnings.clear()
            self._waiting.extend(self._makers())
            effects += self._withdrawals() if is_connected else []
        signed: list[StandingDocument] = []
        compiled_max = self.compiled + SLICE_COMPILED
        for _ in range(min(SLICE_LOOKED, len(self._waiting))):
            if len(signed) == SLICE_SIGNED or self.compiled == compiled_max:
                break
            try:
                document = self._waiting.popleft()(now_ms)
            except (SigningError, ProtocolError) as error:
                self.warnings[str(error)[:40]] = str(error)
                effects.append(Note(level=Level.ERROR, what="not_signed", reason=str(error)))
            else:
                signed += [document] if document else []
        self._next_at_ms = SharedMs(now_ms + SLICE_EVERY_MS) if self._waiting else self._round_at_ms
        return effects + (self._keep(signed) if signed else [])

    def _keep(self, documents: list[StandingDocument]) -> list[Effect]:
        topics = {document.topic for document in documents}
        self._under_way |= topics

        def kept(now: Now) -> list[Effect]:
            self._under_way -= topics
            self._plan_soon(self._changed_meanwhile)
            self._changed_meanwhile.clear()
            return [self._standing.put(document, now.shared_ms) for document in documents]

        def not_kept(reason: str, now: Now) -> list[Effect]:
            self._under_way -= topics
            self._next_at_ms = self._round_at_ms = SharedMs(now.shared_ms + 60_000)
            return [Note(level=Level.ERROR, what="plans_not_stored", reason=reason)]

        return self._ledger.commit(documents, then=kept, otherwise=not_kept)

    def _makers(self) -> Iterator[Maker]:
        """What a round goes through: each gives a document if another than the standing one is wanted."""
        files = [clip.file for clip in self._site.clips.values()]
        if all(file in self._shelf.ready or file in self._shelf.refused for file in files):
            yield from (functools.partial(self._assignment, node) for node in self._site.nodes.values())
        yield from (functools.partial(self._plan, area.id) for area in self._site.tree.areas)
        for name in self._site.shadowed:
            self.warnings[f"shadowed {name}"] = (
                f"the programme {name} stands in the configuration and in the database: the configuration's counts; "
                "rename it there, or remove the other one"
            )
        for clip in self._site.clips.values():
            if clip.file in self._shelf.refused:
                self.warnings[f"clip {clip.id}"] = self._shelf.refused[clip.file]

    def _assignment(self, node: NodeConfig, now_ms: SharedMs) -> StandingDocument | None:
        topic_ = topic(TopicName.ASSIGNMENT, node=node.id)
        site = self._site
        policy = site.policies.of(node.id)
        clips = [self._shelf.ready[clip.file] for clip in site.clips.values() if clip.file in self._shelf.ready]

        def make(counter: int) -> Assignment:
            return Assignment(
                id=f"assignment.{node.id}.{counter}",
                issuer=site.controller,
                audience=node_audience(node.id),
                counter=counter,
                not_before_ms=now_ms - CLOCK_TOLERANCE_MS,
                expires_at_ms=now_ms + ASSIGNMENT_VALID_MS,
                node=node.id,
                title=node.title,
                areas=site.tree.chain(node.area),
                time_zone=site.time_zone,
                quiet_hours=quiet_hours_of(node),
                gain_db=node.gain_db,
                emergency_gain_db=node.emergency_gain_db,
                prepared_clips=tuple(dict.fromkeys(clips))[:PREPARED_CLIPS_MAX],
                herd_window_s=herd_window_s(len(site.nodes)),
                turn=site.rounds.turn_of(node.id),
                aiming_delay_us=round(node.aiming_delay_ms * US_PER_MS),
                emergency_aiming_delay_us=round(node.emergency_aiming_delay_ms * US_PER_MS),
                air_time=policy.air_time,
                volume_caps=policy.volume_caps,
                fetch_bytes_a_day_max=policy.fetch_bytes_a_day_max,
                self_test_minute=None if node.self_test is None else minute_of_day(node.self_test),
            )

        stands = self._stands(topic_, Assignment)
        if stands is not None and stands.expires_at_ms - now_ms > ASSIGNMENT_RENEWED_MS:
            made_of = (tuple(clips), stands)
            if self._settled.get(node.id) == made_of:
                return None
            wanted = msgspec.structs.replace(
                make(stands.counter), not_before_ms=stands.not_before_ms, expires_at_ms=stands.expires_at_ms
            )
            if wanted == stands:
                self._settled[node.id] = made_of
                return None
        return self._notary.sign(topic_, make, now_ms)

    def _plan(self, area: str, now_ms: SharedMs) -> StandingDocument | None:
        topic_ = topic(TopicName.PLAN, area=area)
        site = self._site
        programmes = site.programmes_of(area)
        if topic_ in self._under_way:
            self._changed_meanwhile.add(area)
            return None
        unsettled = {key for programme in programmes for key in self._shelf.unsettled(site.sources_of(programme))}
        for key in unsettled:
            self._unsettled.setdefault(key, set()).add(area)
        if unsettled:
            return None
        self.warnings.pop(f"plan {area}", None)
        self._warn_refused(area)
        if self._is_sufficient(area, now_ms):
            return None
        self.compiled += 1
        compiled = compile_area(
            (ready_of(programme, shelf=self._shelf, site=site) for programme in programmes),
            time_zone=site.time_zone,
            now_ms=now_ms,
            holidays=site.holidays,
        )
        if compiled.is_cut:
            days = (compiled.covers_until_ms - now_ms) / DAY_MS
            self.warnings[f"plan {area}"] = (
                f"the plan of {area} is too large and covers only {days:.1f} days; "
                "shorten its programmes, or move some to an area above or below"
            )
        stands = self._stands(topic_, Plan)
        if stands is not None and _suffices(stands, compiled, now_ms):
            self._sufficient[area] = stands.counter, self.warnings.get(f"plan {area}", "")
            return None

        def make(counter: int) -> Plan:
            return Plan(
                id=f"plan.{area}.{counter}",
                issuer=site.controller,
                audience=area_audience(area),
                counter=counter,
                not_before_ms=now_ms - CLOCK_TOLERANCE_MS,
                expires_at_ms=compiled.covers_until_ms,
                broadcast_class=compiled.broadcast_class,
                area=area,
                covers_from_ms=now_ms,
                covers_until_ms=compiled.covers_until_ms,
                occurrences=compiled.inline,
                body=compiled.body,
            )

        return self._notary.sign(topic_, make, now_ms, body=compiled.content or None)

    def _is_sufficient(self, area: str, now_ms: SharedMs) -> bool:
        """Whether nothing that a plan is made of has changed since it was found to suffice, and it reaches far enough.

        Else every hour a province's plans would be compiled, and those that stand be read, to find them equal.
        """
        counter, warning = self._sufficient.get(area, (-1, ""))
        stands = self._standing.signed(topic(TopicName.PLAN, area=area))
        if not isinstance(stands, Plan) or stands.counter != counter or self._key_is_gone(stands.area):
            return False
        if warning:
            self.warnings[f"plan {area}"] = warning
        return stands.covers_until_ms - now_ms >= COVERED_MS_MIN

    def _key_is_gone(self, area: str) -> bool:
        sealed = self._standing.sealed(topic(TopicName.PLAN, area=area))
        return sealed is None or sealed.key_id not in self._notary.key_ids

    def _warn_refused(self, area: str) -> None:
        for programme in self._site.programmes_of(area):
            self.warnings.pop(f"programme {programme.id}", None)
            for source in self._site.sources_of(programme):
                if source.key in self._shelf.refused:
                    self.warnings[f"programme {programme.id}"] = self._shelf.refused[source.key]

    def _stands(self, topic_: str, kind: type[DocumentT]) -> DocumentT | None:
        sealed = self._standing.sealed(topic_)
        if sealed is None or sealed.key_id not in self._notary.key_ids:
            return None
        document = self._standing.document(topic_)
        return document if isinstance(document, kind) else None

    def _withdrawals(self) -> list[Effect]:
        wanted = {topic(TopicName.ASSIGNMENT, node=node) for node in self._site.nodes}
        wanted |= {topic(TopicName.PLAN, area=area.id) for area in self._site.tree.areas}
        stand = self._standing.topics_of(TopicName.ASSIGNMENT) + self._standing.topics_of(TopicName.PLAN)
        unwanted = [each for each in stand if each not in wanted]
        if not unwanted:
            return []
        changes: list[Change] = [WithdrawnDocument(topic=each) for each in unwanted]
        return [*(self._standing.withdraw(each) for each in unwanted), *self._ledger.commit(changes)]


def _suffices(stands: Plan, compiled: Compiled, now_ms: SharedMs) -> bool:
    """Whether a standing plan says what a new one would, and for long enough."""
    until_ms = min(stands.covers_until_ms, compiled.covers_until_ms)
    far_enough = stands.covers_until_ms - now_ms >= COVERED_MS_MIN or (
        compiled.is_cut and stands.covers_until_ms >= compiled.covers_until_ms
    )
    return far_enough and same_until(stands.occurrences, compiled.occurrences, from_ms=now_ms, until_ms=until_ms)
