"""The emergency page: pick an area and a prepared clip, real or drill, press; and end it with one press.

Three steps on a telephone: what and where, a last look in the colour of the matter, the standing emergency with its
counts. Drill and real are two pages of different colour and wording. All-clear and correction ask for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from controller.errors import RequestCode, RequestError
from controller.people.rights import Action, areas_of, covers, is_fresh
from controller.people.sight import status_for
from controller.requests import EndEmergency, RaiseEmergency
from controller.web.access import sent_to
from controller.web.parts import CONSOLE, GATE, SETTINGS, VISITOR, form_of
from controller.web.render import render
from controller.web.rules import fields_of
from protocol.messages import Reality

MINUTES_USUAL: Final = 30
MINUTES_MAX: Final = 1_440
"""The bound of `RaiseEmergency`, which a struct that is made here does not check."""
MINUTES_OFFERED: Final = (5, 10, 15, 30, 60, 120)


def add_emergency_page(application: web.Application) -> None:
    """Add the routes."""
    router = application.router
    router.add_get("/emergency", _page)
    router.add_get("/emergency/now", _now)
    router.add_get("/emergency/confirm", _confirm)
    router.add_post("/emergency", _raise)
    router.add_post("/emergency/{id}/end", _end)


async def _page(request: web.Request) -> web.Response:
    reality = Reality.DRILL if request.query.get("reality") == "drill" else Reality.REAL
    return render(request, "emergency.html", **_facts(request, reality))


async def _now(request: web.Request) -> web.Response:
    return render(request, "emergency_now.html", **_facts(request, Reality.REAL))


async def _confirm(request: web.Request) -> web.Response:
    wanted = _wanted(await fields_of(request))
    site = request.app[CONSOLE].desk.site
    clip = site.clips.get(wanted.clip)
    if wanted.area not in site.tree or clip is None or clip.reality is not wanted.reality:
        what = "chọn lại địa bàn và bản tin / choose an area and a message"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    nodes = site.nodes_below(wanted.area)
    zones = len({site.rounds.turn_of(node) for node in nodes}) if wanted.in_turns else 1
    return render(request, "emergency_confirm.html", wanted=wanted, clip=clip, nodes=len(nodes), zones=zones)


async def _raise(request: web.Request) -> web.Response:
    wanted = _wanted(await fields_of(request))
    await request.app[CONSOLE].ask(wanted, by=request[VISITOR].actor)
    return sent_to(f"/emergency?reality={wanted.reality.value}#standing")


async def _end(request: web.Request) -> web.Response:
    form = await form_of(request)
    await request.app[CONSOLE].ask(
        EndEmergency(
            emergency=request.match_info["id"][:64],
            reason=form.get("reason", "")[:200],
            correction=form.get("how") == "correction",
        ),
        by=request[VISITOR].actor,
    )
    return sent_to("/emergency?reality=" + ("drill" if form.get("reality") == "drill" else "real"))


def _wanted(fields: Mapping[str, str]) -> RaiseEmergency:
    """What the form asks for: exactly the fields by which rights were decided."""
    reality = Reality.DRILL if fields.get("reality") == "drill" else Reality.REAL
    minutes = fields.get("minutes", "")
    is_number = len(minutes) <= len(str(MINUTES_MAX)) and minutes.isdecimal() and 0 < int(minutes) <= MINUTES_MAX
    return RaiseEmergency(
        area=fields.get("area", "")[:40],
        clip=fields.get("clip", "")[:40],
        reality=reality,
        minutes=int(minutes) if is_number else MINUTES_USUAL,
        in_turns=fields.get("in_turns") == "yes",
    )


def _facts(request: web.Request, reality: Reality) -> dict[str, Any]:
    console, visitor = request.app[CONSOLE], request[VISITOR]
    site = console.desk.site
    status = status_for(visitor.principal, console.status(), site.tree)
    action = Action.RAISE_DRILL if reality is Reality.DRILL else Action.RAISE_EMERGENCY
    may_end = areas_of(visitor.principal, Action.END_EMERGENCY)
    standing = [each for each in status.emergencies if each.is_standing]
    settings = request.app[SETTINGS]
    return {
        "now_ms": status.now_ms,
        "state": status,
        "titles": {node.id: node.title for node in status.nodes},
        "standing": standing,
        "endable": {
            each.id
            for each in standing
            if may_end is None or any(covers(area, each.area, site.tree.chain) for area in may_end)
        },
        "reality": reality.value,
        "areas": _areas(request, action),
        "clips": [clip for clip in site.clips.values() if clip.reality is reality],
        "minutes_offered": [each for each in MINUTES_OFFERED if each <= site.emergency.minutes_max],
        "minutes_usual": min(MINUTES_USUAL, site.emergency.minutes_max),
        "chosen": {name: request.query.get(name, "") for name in ("area", "clip")},
        "has_turns": bool(site.rounds.turns),
        "must_prove": action is Action.RAISE_EMERGENCY
        and not is_fresh(visitor.principal.proven_at_ms, request.app[GATE].clock(), settings.step_up_ms),
    }


def _areas(request: web.Request, action: Action) -> list[tuple[str, str]]:
    """The areas in which the caller may do it, with the depth as blanks."""
    tree = request.app[CONSOLE].desk.site.tree
    top = areas_of(request[VISITOR].principal, action)
    return [
        (area.id, "\u2007\u2007" * tree.depth(area.id) + area.title)
        for area in tree.areas
        if top is None or any(covers(each, area.id, tree.chain) for each in top)
    ]
