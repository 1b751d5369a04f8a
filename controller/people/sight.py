"""What of the controller's state somebody sees: only the places in which they may see something.

What sounds in a place may come from above it: emergencies and relays of the areas above are seen too. What concerns
the whole controller (warnings, strangers, counters) is for those who see everywhere. Pure.
"""

from __future__ import annotations

import msgspec

from controller.areas import AreaTree
from controller.people.rights import Action, Principal, areas_of
from controller.views import RelayView, StatusView


def seen_areas(principal: Principal, tree: AreaTree) -> frozenset[str] | None:
    """Every area that somebody sees; None is all."""
    top = areas_of(principal, Action.SEE)
    if top is None:
        return None
    return frozenset(each for area in top if area in tree for each in tree.below(area))


def sounding_areas(principal: Principal, tree: AreaTree) -> frozenset[str] | None:
    """The areas from which sound can reach what somebody sees; None is all."""
    seen = seen_areas(principal, tree)
    return None if seen is None else frozenset(above for area in seen for above in tree.chain(area))


def status_for(principal: Principal, status: StatusView, tree: AreaTree) -> StatusView:
    """The part of the state that somebody sees."""
    seen, sounding = seen_areas(principal, tree), sounding_areas(principal, tree)
    if seen is None or sounding is None:
        return status
    nodes = tuple(node for node in status.nodes if node.area in seen)
    names = {node.id for node in nodes}
    emergencies = tuple(
        msgspec.structs.replace(
            each,
            **{
                kind: tuple(node for node in getattr(each, kind) if node in names)
                for kind in ("sounding", "late", "finished", "waiting", "missed")
            },
        )
        for each in status.emergencies
        if each.area in sounding
    )
    silences = tuple(
        each for each in status.silences if (each.area in sounding if not each.node else each.node in names)
    )
    return msgspec.structs.replace(
        status,
        nodes=nodes,
        silences=silences,
        emergencies=emergencies,
        relays=tuple(_seen_by(names, each) for each in status.relays if each.area in sounding),
        warnings=(),
        strangers=(),
        refused={},
    )


def _seen_by(names: set[str], relay: RelayView) -> RelayView:
    """A relay without the names of nodes that are not seen."""
    delay = relay.delay
    if delay is None:
        return relay
    seen = msgspec.structs.replace(
        delay,
        worst_node=delay.worst_node if delay.worst_node in names else "",
        late=tuple(node for node in delay.late if node in names),
        left_out=tuple(node for node in delay.left_out if node in names),
    )
    return msgspec.structs.replace(relay, delay=seen)
