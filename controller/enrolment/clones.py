"""Notices when a node's card has been copied and both units are alive; names it, and silences one.

Four signs, each worked out of what nodes say anyway: a box that is not the enrolled one; a life (session epoch) that
comes back after another was seen, again and again; a connection that somebody else keeps taking; two different reports
of one number, both signed by the node's key, which is a proof. State and telemetry are unsigned: the broker vouches for
the certificate, and both units hold that.

Rules kept:
- one sign that could be an accident is not enough: a life must come back RETURNS_MIN times, a connection be taken
  TAKEN_MIN times within WINDOW_MS; a foreign box and a forked chain count at once;
- only while two are alive is anybody silenced. Where the boxes differ, all but the known one are silenced whole; where
  both claim the same box, both are silenced but for real emergencies (docs/decisions/0020);
- what was ordered here stands until another report key is enrolled for the node, or a person releases it;
- everything is bounded: so many lives, boxes and signs of each node of the site.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from controller.configuration.site import Site
from controller.effects import Effect, Level, Note
from controller.errors import SigningError
from controller.ledger import Ledger
from controller.orders.silence import Narrowing, Place, SilenceDesk
from controller.people.audit import Actor, Deed, act_of
from protocol.messages import NodeState, Readiness, Silence, Telemetry
from protocol.units import Now

WINDOW_MS: Final = 30 * 60 * 1000
"""Signs older than this are forgotten: two units that share a name meet every few minutes at the broker."""
RETURNS_MIN: Final = 2
TAKEN_MIN: Final = 3
LIVES_KEPT: Final = 16
BOXES_KEPT: Final = 4
SIGNS_KEPT: Final = 32
BY: Final = "clone-watch"
"""Whose order it is, where no person gave it."""
BoxOf = Callable[[str], str]
"""The digest of the box that a node was enrolled from; empty where it was not enrolled, or the box had no number."""


@dataclass(slots=True)
class _Seen:
    """What was seen of one node; `boxes` by when they last spoke, `taken` by life."""

    lives: deque[int] = field(default_factory=lambda: deque(maxlen=LIVES_KEPT))
    returns_ms: deque[int] = field(default_factory=lambda: deque(maxlen=SIGNS_KEPT))
    taken_ms: deque[int] = field(default_factory=lambda: deque(maxlen=SIGNS_KEPT))
    taken: dict[int, int] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)
    first_box: str = ""
    is_forked: bool = False
    why: str = ""


class CloneWatch:
    """All nodes of the site."""

    def __init__(self, *, site: Site, silences: SilenceDesk, ledger: Ledger, box_of: BoxOf) -> None:
        self._site = site
        self._silences = silences
        self._ledger = ledger
        self._box_of = box_of
        self._nodes: dict[str, _Seen] = {}

    def why(self, node: str) -> str:
        """What speaks for a clone of a node; empty where nothing does."""
        seen = self._nodes.get(node)
        ordered = self._order_of(node)
        return (seen.why if seen else "") or (ordered.reason if ordered else "")

    def site_changed(self, site: Site, now: Now) -> list[Effect]:
        """Who was enrolled anew, under another report key, is believed anew."""
        before, self._site = self._site, site
        self._nodes = {node: seen for node, seen in self._nodes.items() if node in site.nodes}
        effects: list[Effect] = []
        for name, node in site.nodes.items():
            old = before.nodes.get(name)
            if old is None or not node.report_key or old.report_key == node.report_key:
                continue
            self._nodes.pop(name, None)
            ordered = self._order_of(name)
            if ordered is not None:
                place = Place(area=node.area, node=name)
                effects += self._silences.release(place, ordered, reason="another unit was enrolled", now=now)
        return effects

    def told_state(self, state: NodeState, now: Now) -> list[Effect]:
        """A birth; wills and farewells say nothing of who is alive."""
        if state.state not in {Readiness.INIT, Readiness.READY} or state.node not in self._site.nodes:
            return []
        seen = self._seen(state.node)
        if state.box:
            seen.first_box = seen.first_box or state.box
            seen.boxes.pop(state.box, None)
            seen.boxes[state.box] = now.shared_ms
            if len(seen.boxes) > BOXES_KEPT:
                del seen.boxes[next(iter(seen.boxes))]
        self._live(seen, state.session_epoch, now)
        return self._judge(state.node, seen, now)

    def told_telemetry(self, telemetry: Telemetry, now: Now) -> list[Effect]:
        """A status says whose life it is, and how often it was thrown out."""
        if not telemetry.session_epoch or telemetry.node not in self._site.nodes:
            return []
        seen = self._seen(telemetry.node)
        before = seen.taken.pop(telemetry.session_epoch, 0)
        seen.taken[telemetry.session_epoch] = telemetry.taken_over
        if len(seen.taken) > LIVES_KEPT:
            del seen.taken[next(iter(seen.taken))]
        seen.taken_ms.extend([now.shared_ms] * min(SIGNS_KEPT, max(0, telemetry.taken_over - before)))
        self._live(seen, telemetry.session_epoch, now)
        return self._judge(telemetry.node, seen, now)

    def forked(self, node: str, number: int, now: Now) -> list[Effect]:
        """Two different reports of one number, both with the node's signature."""
        if node not in self._site.nodes:
            return []
        seen = self._seen(node)
        seen.is_forked = True
        return self._judge(node, seen, now, fork=number)

    def _live(self, seen: _Seen, epoch: int, now: Now) -> None:
        """A process never lives again after the next one of its box has begun."""
        if seen.lives and seen.lives[-1] == epoch:
            return
        if epoch in seen.lives:
            seen.returns_ms.append(now.shared_ms)
        seen.lives.append(epoch)

    def _judge(self, node: str, seen: _Seen, now: Now, *, fork: int | None = None) -> list[Effect]:
        since_ms = now.shared_ms - WINDOW_MS
        returns = sum(at_ms >= since_ms for at_ms in seen.returns_ms)
        taken = sum(at_ms >= since_ms for at_ms in seen.taken_ms)
        enrolled = self._box_of(node)
        foreign = [box for box, at_ms in seen.boxes.items() if at_ms >= since_ms and enrolled and box != enrolled]
        both_live = returns >= RETURNS_MIN
        signs = [
            f"box {foreign[0]} is not the enrolled one" if foreign else "",
            f"two lives take turns ({returns} times)" if both_live else "",
            f"the connection was taken {taken} times" if taken >= TAKEN_MIN else "",
            "one number, two signed reports" if seen.is_forked else "",
        ]
        why = "; ".join(sign for sign in signs if sign)
        if not why:
            return []
        effects = [] if seen.why else self._named(node, why if fork is None else f"{why} (number {fork})", now)
        seen.why = why
        if foreign or both_live:
            effects += self._silence(node, self._narrowing(seen, enrolled, since_ms), why, now)
        return effects

    def _narrowing(self, seen: _Seen, enrolled: str, since_ms: int) -> Narrowing:
        """Whom to spare: the known box where the boxes differ; where they do not, real emergencies everywhere."""
        known = enrolled or seen.first_box
        if known and any(box != known and at_ms >= since_ms for box, at_ms in seen.boxes.items()):
            return Narrowing(spared_box=known)
        return Narrowing(spares_emergencies=True)

    def _named(self, node: str, why: str, now: Now) -> list[Effect]:
        area = self._site.nodes[node].area
        act = act_of(Deed.CLONE, by=Actor(who=BY), at_ms=now.shared_ms, place=area, detail=f"{node}: {why}")
        note = Note(level=Level.ERROR, what="clone", reason=why, facts={"node": node})
        return [note, *self._ledger.commit([act])]

    def _silence(self, node: str, narrowing: Narrowing, why: str, now: Now) -> list[Effect]:
        place = Place(area=self._site.nodes[node].area, node=node)
        standing = self._silences.standing_at(place)
        is_enough = standing is not None and (
            standing.ordered_by != BY or bool(standing.spared_box) or not narrowing.spared_box
        )
        if is_enough or self._silences.is_under_way(place):
            return []
        try:
            return self._silences.order(place, reason=why, by=BY, now=now, narrowing=narrowing)
        except SigningError as error:
            return [Note(level=Level.ERROR, what="not_signed", reason=str(error), facts={"node": node})]

    def _order_of(self, node: str) -> Silence | None:
        """The watch's own order that stands for a node."""
        known = self._site.nodes.get(node)
        if known is None:
            return None
        standing = self._silences.standing_at(Place(area=known.area, node=node))
        return standing if standing is not None and standing.ordered_by == BY else None

    def _seen(self, node: str) -> _Seen:
        if node not in self._nodes:
            self._nodes[node] = _Seen()
        return self._nodes[node]
