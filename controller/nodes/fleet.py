"""How every cluster is: birth, will, telemetry, and silence.

Rules kept: a will counts only for the session that it belongs to (an old will may overtake a new birth). A node
that has said nothing for `Site.lost_after_ms` is lost, unless the controller itself has no broker, for then nothing is
known of anybody. What nodes say of their health is unsigned and only shown; proof is in their reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from controller.configuration.site import Site
from controller.effects import Effect, Level, Note
from controller.ledger import Ledger
from controller.records import NodeSeen, PresenceSpan
from controller.reporting.presence import Presence
from protocol.messages import FaultRecord, NodeState, Readiness, Telemetry
from protocol.units import Now, SharedMs

SEEN_KEPT_EVERY_MS: Final = 60_000
"""How often `last seen` is made durable."""
STRANGERS_MAX: Final = 32
"""Names of unknown nodes that are remembered to be shown."""
UP: Final = frozenset({Readiness.INIT, Readiness.READY})
"""States of a node that is connected."""


@dataclass(slots=True)
class NodeLife:
    """What is known of one node now."""

    state: Readiness | None = None
    session_epoch: int = 0
    last_seen_ms: SharedMs | None = None
    telemetry: Telemetry | None = None
    reported_faults: dict[str, str] = field(default_factory=dict)
    is_kept: bool = True


class Fleet:
    """All nodes of the site."""

    def __init__(self, *, site: Site, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lost_after_ms = site.lost_after_ms
        self._nodes: dict[str, NodeLife] = {node: NodeLife() for node in site.nodes}
        self.strangers: dict[str, SharedMs] = {}
        """Nodes that speak but are not in the configuration, and when."""
        self._listening_since_ms: SharedMs | None = None
        self._deaf_reason = ""
        self._keep_at_ms: SharedMs | None = None
        self._silent_at_ms: SharedMs | None = None
        self._presence = Presence()

    def restore(self, seen: Iterable[NodeSeen]) -> None:
        """What was known before the restart."""
        for each in seen:
            if each.node in self._nodes:
                self._nodes[each.node] = NodeLife(
                    state=each.state, session_epoch=each.session_epoch, last_seen_ms=SharedMs(each.last_seen_ms)
                )

    def site_changed(self, site: Site) -> None:
        """Nodes that are still there keep what is known of them."""
        self._nodes = {node: self._nodes.get(node, NodeLife()) for node in site.nodes}
        self.strangers = {node: at for node, at in self.strangers.items() if node not in self._nodes}
        self._presence.keep_only(self._nodes)

    def life(self, node: str) -> NodeLife:
        """One node of the site."""
        return self._nodes[node]

    @property
    def reachable(self) -> frozenset[str]:
        """Nodes that are connected as far as is known."""
        return frozenset(node for node, life in self._nodes.items() if life.state in UP)

    @property
    def is_listening(self) -> bool:
        """Whether anything could be heard of a node."""
        return self._listening_since_ms is not None

    def listening_began(self, now: Now) -> None:
        """From now on silence means something."""
        self._deaf_reason = ""
        self._listening_since_ms = now.shared_ms
        self._silent_at_ms = SharedMs(now.shared_ms + self._lost_after_ms)
        known = {node: life.state in UP for node, life in self._nodes.items() if life.state is not None}
        up = [node for node, is_up in known.items() if is_up]
        self._presence.begin(up, [node for node, is_up in known.items() if not is_up], now.shared_ms)

    def listening_ended(self, reason: str, now: Now) -> list[Effect]:
        """Nothing is known of anybody."""
        watched = self._counted(self._presence.end(now.shared_ms))
        self._listening_since_ms = self._silent_at_ms = None
        is_news, self._deaf_reason = reason != self._deaf_reason, reason
        return [*watched, *([Note(level=Level.ERROR, what="nodes_not_heard", reason=reason)] if is_news else [])]

    def stopping(self, now: Now) -> list[Effect]:
        """The process ends: what was watched until now is kept."""
        return self._counted(self._presence.end(now.shared_ms))

    def told_state(self, state: NodeState, now: Now) -> list[Effect]:
        """A birth, a will, a farewell."""
        life = self._known(state.node, now)
        if life is None or state.session_epoch < life.session_epoch:
            return []
        was, life.session_epoch = life.state, state.session_epoch
        life.state = state.state
        life.is_kept = False
        if state.state in UP:
            life.last_seen_ms = now.shared_ms
        else:
            life.telemetry = None
        self._keep_soon(now, 1_000)
        return self._told(
            state.node, was, state.state, "it said so" if state.state is not Readiness.LOST else "its will", now
        )

    def told_telemetry(self, telemetry: Telemetry, now: Now) -> list[Effect]:
        """How a node is, in its own words."""
        life = self._known(telemetry.node, now)
        if life is None:
            return []
        before = life.telemetry
        knew_time = before is not None and before.clock_error_ms is not None
        if knew_time and before is not None and telemetry.at_ms < before.at_ms - self._lost_after_ms:
            return []
        life.telemetry = telemetry
        return self._seen(telemetry.node, life, now)

    def told_report(self, node: str, record: object, now: Now) -> list[Effect]:
        """A stored report: a sign of life, and maybe a fault."""
        life = self._nodes.get(node)
        if life is None:
            return []
        if isinstance(record, FaultRecord):
            if record.active:
                life.reported_faults[record.fault] = record.detail
            else:
                life.reported_faults.pop(record.fault, None)
        return self._seen(node, life, now)

    def look(self, now: Now) -> list[Effect]:
        """Who has been silent for too long; what is to be kept."""
        effects: list[Effect] = []
        if self._silent_at_ms is not None and now.shared_ms >= self._silent_at_ms:
            effects += self._lose_silent(now)
        if self._keep_at_ms is not None and now.shared_ms >= self._keep_at_ms:
            self._keep_at_ms = None
            effects += self._keep()
        return [*effects, *self._counted(self._presence.look(now.shared_ms))]

    @property
    def next_at_ms(self) -> SharedMs | None:
        """When something is due: a node turns lost, or what was seen is kept."""
        times = (self._silent_at_ms, self._keep_at_ms, self._presence.next_at_ms)
        return min((each for each in times if each is not None), default=None)

    def _lose_silent(self, now: Now) -> list[Effect]:
        """Who has been silent too long is lost; nobody else can be before the earliest of the rest."""
        effects: list[Effect] = []
        self._silent_at_ms = SharedMs(now.shared_ms + self._lost_after_ms)
        for node, at_ms in self._silent_at():
            if now.shared_ms < at_ms:
                self._silent_at_ms = min(self._silent_at_ms, at_ms)
                continue
            life = self._nodes[node]
            was, life.state, life.telemetry, life.is_kept = life.state, Readiness.LOST, None, False
            self._keep_soon(now, 1_000)
            effects += self._told(node, was, Readiness.LOST, f"nothing heard for {self._lost_after_ms // 1000} s", now)
        return effects

    def _known(self, node: str, now: Now) -> NodeLife | None:
        life = self._nodes.get(node)
        if life is None and (node in self.strangers or len(self.strangers) < STRANGERS_MAX):
            self.strangers[node] = now.shared_ms
        return life

    def _seen(self, node: str, life: NodeLife, now: Now) -> list[Effect]:
        was, life.last_seen_ms, life.is_kept = life.state, now.shared_ms, False
        self._keep_soon(now, SEEN_KEPT_EVERY_MS)
        if was in UP:
            return []
        life.state = Readiness.READY
        return self._told(node, was, Readiness.READY, "it speaks again", now)

    def _silent_at(self) -> Iterator[tuple[str, SharedMs]]:
        if self._listening_since_ms is None:
            return
        for node, life in self._nodes.items():
            if life.state in UP:
                since = max(life.last_seen_ms or 0, self._listening_since_ms)
                yield node, SharedMs(since + self._lost_after_ms)

    def _keep_soon(self, now: Now, wait_ms: int) -> None:
        at_ms = SharedMs(now.shared_ms + wait_ms)
        self._keep_at_ms = at_ms if self._keep_at_ms is None else min(self._keep_at_ms, at_ms)

    def _keep(self) -> list[Effect]:
        changes = []
        for node, life in self._nodes.items():
            if not life.is_kept and life.state is not None:
                life.is_kept = True
                changes.append(
                    NodeSeen(
                        node=node,
                        last_seen_ms=life.last_seen_ms or 0,
                        state=life.state,
                        session_epoch=life.session_epoch,
                    )
                )
        return self._ledger.commit(changes) if changes else []

    def _told(self, node: str, was: Readiness | None, state: Readiness, reason: str, now: Now) -> list[Effect]:
        if was is state:
            return []
        if self.is_listening and (was is None or (was in UP) != (state in UP)):
            self._presence.changed(node, is_up=state in UP, now_ms=now.shared_ms)
        level = Level.INFO if state in UP else Level.WARNING
        return [Note(level=level, what=f"node_{state.value}", reason=reason, facts={"node": node})]

    def _counted(self, spans: list[PresenceSpan]) -> list[Effect]:
        return self._ledger.commit(spans) if spans else []
