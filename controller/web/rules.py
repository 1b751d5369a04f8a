"""The one table of routes and rights: what each route does, to which area, and who is asked to prove what.

A route that is not here is not served (`access` refuses it, and a test compares the table with the routes). A rule's
subject reads the areas from path, query, form or body; the handlers read them again and do exactly that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
from aiohttp import web

from controller.errors import RequestCode, RequestError
from controller.people.rights import EVERYWHERE, Action, Question
from controller.web.media_parts import area_of_entry, area_of_intake
from controller.web.parts import CONSOLE, FORM_TYPE, OFFICE, form_of, posted
from controller.web.programmes_parts import area_of_bulletin, area_of_programme
from controller.web.report_parts import area_of_report

API: Final = "/api/v1"
Subject = Callable[[web.Request, Action], Awaitable[Question]]


class Door(StrEnum):
    """Who knocks at a route."""

    OPEN = "open"
    """Anybody: the way in."""
    HELD = "held"
    """Whoever holds a session, be it without its second factor yet."""
    ONLOOKER = "onlooker"
    """People; and on the machine itself anybody, where no other address is configured."""
    PERSON = "person"
    PROGRAM = "program"
    """Bearer tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a route asks of whoever calls it."""

    door: Door
    action: Action = Action.SEE
    subject: Subject


async def _anywhere(_request: web.Request, action: Action) -> Question:
    return Question(action=action)


async def _everywhere(_request: web.Request, action: Action) -> Question:
    """What is of no one place: only who may do it everywhere."""
    return Question(action=action, areas=(EVERYWHERE,))


async def _place_of_node(request: web.Request, action: Action) -> Question:
    node = request.app[CONSOLE].desk.site.nodes.get((await fields_of(request)).get("node", ""))
    return Question(action=action, areas=(node.area if node else EVERYWHERE,))


async def _place_of_pole(request: web.Request, action: Action) -> Question:
    node = request.app[CONSOLE].desk.site.nodes.get((await fields_of(request)).get("pole", ""))
    return Question(action=action, areas=(node.area if node else EVERYWHERE,))


async def _area_in_path(request: web.Request, action: Action) -> Question:
    return Question(action=action, areas=(request.match_info["area"],))


async def _area_asked(request: web.Request, action: Action) -> Question:
    return Question(action=action, areas=((await fields_of(request)).get("area", ""),))


async def _area_in_query(request: web.Request, action: Action) -> Question:
    """Of what carries bytes in its body, not fields."""
    return Question(action=action, areas=(request.query.get("area", ""),))


async def _raising(request: web.Request, _action: Action) -> Question:
    """Real unless it says that it is a drill: what cannot be read is measured by the stricter rule."""
    fields = await fields_of(request)
    action = Action.RAISE_DRILL if fields.get("reality") == "drill" else Action.RAISE_EMERGENCY
    return Question(action=action, areas=(fields.get("area", ""),))


async def _speaking(request: web.Request, _action: Action) -> Question:
    """A voice of the class emergency is an emergency, real unless it says that it is a drill."""
    fields = await fields_of(request)
    action = Action.SPEAK
    if fields.get("broadcast_class") == "emergency":
        action = Action.RAISE_DRILL if fields.get("reality") == "drill" else Action.RAISE_EMERGENCY
    return Question(action=action, areas=(fields.get("area", ""),))


async def _of_emergency(request: web.Request, action: Action) -> Question:
    known = {each.id: each.area for each in request.app[CONSOLE].status().emergencies}
    return _of(action, known.get(request.match_info["id"]))


async def _of_relay(request: web.Request, action: Action) -> Question:
    known = {each.stream: each.area for each in request.app[CONSOLE].status().relays}
    return _of(action, known.get(request.match_info["stream"]))


async def _silenced(request: web.Request, action: Action) -> Question:
    """The area that is to be silent, or that of the node; a node that is not known is nowhere."""
    fields = await fields_of(request)
    if not fields.get("node"):
        return Question(action=action, areas=(fields.get("area", ""),))
    node = request.app[CONSOLE].desk.site.nodes.get(fields["node"])
    areas = {node.area if node else EVERYWHERE, *([fields["area"]] if fields.get("area") else [])}
    return Question(action=action, areas=tuple(sorted(areas)))


async def _of_person(request: web.Request, action: Action) -> Question:
    """Every area in which the person has a role, and those of the roles that a form gives.

    Whoever has no role is of no place: an area's administrator must not take over an account that gets roles later.
    """
    view = await request.app[OFFICE].known(request.match_info["name"])
    areas = {grant.area for grant in view.grants} or {EVERYWHERE}
    if request.method == "POST":
        areas |= await _granted(request)
    return Question(action=action, areas=tuple(sorted(areas)))


async def _of_grants(request: web.Request, action: Action) -> Question:
    return Question(action=action, areas=tuple(sorted(await _granted(request) or {EVERYWHERE})))


async def _granted(request: web.Request) -> set[str]:
    grants = (await posted(request)).get("grant", ())
    return {each.partition("@")[2] or EVERYWHERE for each in grants if each}


def _of(action: Action, area: str | None) -> Question:
    """What is not known is nowhere: whoever may do it anywhere is told so by the handler."""
    return Question(action=action, areas=() if area is None else (area,))


async def fields_of(request: web.Request) -> Mapping[str, str]:
    """The plain fields of a query, a form or a JSON body; a body that is none has none, and the handler says so."""
    if request.method in {"GET", "HEAD"}:
        return {name: str(value) for name, value in request.query.items()}
    if request.content_type in {FORM_TYPE, "multipart/form-data"}:
        if request.path.startswith(API):
            raise RequestError(RequestCode.BAD_REQUEST, "the body is JSON; send Content-Type: application/json")
        return await form_of(request)
    try:
        value = msgspec.json.decode(await request.read() or b"{}")  # the handlers' own parser: both read the same
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {name: each for name, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}


_OPEN: Final = Rule(door=Door.OPEN, subject=_anywhere)
_HELD: Final = Rule(door=Door.HELD, subject=_anywhere)
_LOOK: Final = Rule(door=Door.ONLOOKER, subject=_anywhere)


def _person(action: Action, subject: Subject = _anywhere) -> Rule:
    return Rule(door=Door.PERSON, action=action, subject=subject)


def _program(action: Action, subject: Subject = _anywhere) -> Rule:
    return Rule(door=Door.PROGRAM, action=action, subject=subject)


RULES: Final[Mapping[tuple[str, str], Rule]] = {
    ("GET", f"{API}/status"): _program(Action.SEE),
    ("GET", f"{API}/nodes"): _program(Action.SEE),
    ("GET", f"{API}/airings"): _program(Action.SEE),
    ("GET", f"{API}/areas"): _program(Action.SEE),
    ("GET", f"{API}/feeds"): _program(Action.SEE),
    ("GET", f"{API}/clips"): _program(Action.SEE),
    ("GET", f"{API}/plans/{{area}}"): _program(Action.SEE, _area_in_path),
    ("GET", f"{API}/plan"): _program(Action.SEE, _place_of_pole),
    ("POST", f"{API}/plan"): _program(Action.SEE, _place_of_pole),
    ("GET", f"{API}/emergencies"): _program(Action.SEE),
    ("POST", f"{API}/emergencies"): _program(Action.RAISE_EMERGENCY, _raising),
    ("POST", f"{API}/emergencies/{{id}}/all-clear"): _program(Action.END_EMERGENCY, _of_emergency),
    ("GET", f"{API}/relays"): _program(Action.SEE),
    ("POST", f"{API}/relays"): _program(Action.RELAY, _area_asked),
    ("DELETE", f"{API}/relays/{{stream}}"): _program(Action.RELAY, _of_relay),
    ("GET", f"{API}/voice"): _program(Action.SPEAK, _speaking),
    ("GET", f"{API}/silences"): _program(Action.SEE),
    ("POST", f"{API}/silences"): _program(Action.SILENCE, _silenced),
    ("POST", f"{API}/silences/release"): _program(Action.SILENCE, _silenced),
    ("GET", f"{API}/media"): _program(Action.SEE),
    ("GET", f"{API}/media/intakes"): _program(Action.SEE),
    ("POST", f"{API}/media/intakes"): _program(Action.MANAGE_MEDIA, _area_in_query),
    ("GET", f"{API}/media/intakes/{{intake}}"): _program(Action.MANAGE_MEDIA, area_of_intake),
    ("PATCH", f"{API}/media/intakes/{{intake}}"): _program(Action.MANAGE_MEDIA, area_of_intake),
    ("DELETE", f"{API}/media/intakes/{{intake}}"): _program(Action.MANAGE_MEDIA, area_of_intake),
    ("POST", f"{API}/media/pulls"): _program(Action.MANAGE_MEDIA, _area_asked),
    ("GET", f"{API}/media/{{entry}}"): _program(Action.SEE),
    ("POST", f"{API}/media/{{entry}}"): _program(Action.MANAGE_MEDIA, area_of_entry),
    ("DELETE", f"{API}/media/{{entry}}"): _program(Action.MANAGE_MEDIA, area_of_entry),
    ("POST", f"{API}/media/{{entry}}/restore"): _program(Action.MANAGE_MEDIA, area_of_entry),
    ("GET", f"{API}/media/{{entry}}/sound"): _program(Action.SEE),
    ("GET", f"{API}/media/{{entry}}/original"): _program(Action.SEE),
    ("GET", f"{API}/media/{{entry}}/waveform"): _program(Action.SEE),
    ("GET", f"{API}/reports"): _program(Action.SEE, area_of_report),
    ("GET", f"{API}/programmes"): _program(Action.SEE),
    ("POST", f"{API}/programmes"): _program(Action.WRITE_PROGRAMMES, _area_in_query),
    ("GET", f"{API}/programmes/{{name}}"): _program(Action.SEE),
    ("PUT", f"{API}/programmes/{{name}}"): _program(Action.WRITE_PROGRAMMES, area_of_programme),
    ("DELETE", f"{API}/programmes/{{name}}"): _program(Action.WRITE_PROGRAMMES, area_of_programme),
    ("POST", f"{API}/programmes/{{name}}/undo"): _program(Action.WRITE_PROGRAMMES, area_of_programme),
    ("GET", f"{API}/programmes/{{name}}/versions/{{number}}"): _program(Action.SEE),
    ("GET", f"{API}/exchange/{{format}}"): _program(Action.SEE),
    ("POST", f"{API}/exchange/{{format}}"): _program(Action.WRITE_PROGRAMMES, _area_in_query),
    ("GET", f"{API}/bulletins"): _program(Action.SEE),
    ("POST", f"{API}/bulletins"): _program(Action.WRITE_BULLETINS, _area_in_query),
    ("GET", f"{API}/bulletins/{{name}}"): _program(Action.SEE),
    ("PUT", f"{API}/bulletins/{{name}}"): _program(Action.WRITE_BULLETINS, area_of_bulletin),
    ("DELETE", f"{API}/bulletins/{{name}}"): _program(Action.WRITE_BULLETINS, area_of_bulletin),
    ("POST", f"{API}/bulletins/{{name}}/undo"): _program(Action.WRITE_BULLETINS, area_of_bulletin),
    ("POST", f"{API}/bulletins/{{name}}/decision"): _program(Action.APPROVE_BULLETINS, area_of_bulletin),
    ("GET", f"{API}/bulletins/{{name}}/versions/{{number}}"): _program(Action.SEE),
    ("GET", f"{API}/bulletins/{{name}}/sound"): _program(Action.SEE),
    ("POST", f"{API}/speech"): _program(Action.WRITE_BULLETINS),
    ("GET", f"{API}/enrolments"): _program(Action.ENROL_NODES, _everywhere),
    ("POST", f"{API}/enrolments/claims"): _program(Action.ENROL_NODES, _place_of_node),
    ("POST", f"{API}/enrolments/approvals"): _program(Action.ENROL_NODES, _place_of_node),
    ("POST", f"{API}/enrolments/refusals"): _program(Action.ENROL_NODES, _everywhere),
    ("POST", f"{API}/enrolments/revocations"): _program(Action.ENROL_NODES, _everywhere),
    ("GET", "/"): _LOOK,
    ("GET", "/now"): _LOOK,
    ("GET", "/measures"): _LOOK,
    ("GET", "/measures/now"): _LOOK,
    ("GET", "/reports"): Rule(door=Door.ONLOOKER, subject=area_of_report),
    ("GET", "/reports/file"): Rule(door=Door.ONLOOKER, subject=area_of_report),
    ("GET", "/static/{name}"): _OPEN,
    ("GET", "/login"): _OPEN,
    ("POST", "/login"): _OPEN,
    ("POST", "/login/passkey/ask"): _OPEN,
    ("POST", "/login/passkey"): _OPEN,
    ("GET", "/invite"): _OPEN,
    ("POST", "/invite"): _OPEN,
    ("GET", "/prove"): _HELD,
    ("POST", "/prove"): _HELD,
    ("POST", "/prove/passkey/ask"): _HELD,
    ("POST", "/prove/passkey"): _HELD,
    ("POST", "/logout"): _HELD,
    ("POST", "/logout/everywhere"): _person(Action.USE_ACCOUNT),
    ("GET", "/account"): _person(Action.USE_ACCOUNT),
    ("POST", "/account/password"): _person(Action.USE_ACCOUNT),
    ("POST", "/account/sessions"): _person(Action.USE_ACCOUNT),
    ("GET", "/account/totp"): _person(Action.SECURE_ACCOUNT),
    ("POST", "/account/totp"): _person(Action.SECURE_ACCOUNT),
    ("POST", "/account/totp/remove"): _person(Action.SECURE_ACCOUNT),
    ("POST", "/account/recovery"): _person(Action.SECURE_ACCOUNT),
    ("POST", "/account/passkeys/ask"): _person(Action.SECURE_ACCOUNT),
    ("POST", "/account/passkeys"): _person(Action.SECURE_ACCOUNT),
    ("POST", "/account/passkeys/remove"): _person(Action.SECURE_ACCOUNT),
    ("GET", "/people"): _person(Action.MANAGE_PEOPLE),
    ("POST", "/people"): _person(Action.MANAGE_PEOPLE, _of_grants),
    ("GET", "/people/{name}"): _person(Action.MANAGE_PEOPLE, _of_person),
    ("POST", "/people/{name}/roles"): _person(Action.MANAGE_PEOPLE, _of_person),
    ("POST", "/people/{name}/disable"): _person(Action.MANAGE_PEOPLE, _of_person),
    ("POST", "/people/{name}/reset"): _person(Action.MANAGE_PEOPLE, _of_person),
    ("GET", "/audit"): _person(Action.READ_AUDIT),
    ("GET", "/emergency"): _person(Action.SEE),
    ("GET", "/emergency/now"): _person(Action.SEE),
    ("GET", "/emergency/confirm"): _person(Action.RAISE_EMERGENCY, _raising),
    ("POST", "/emergency"): _person(Action.RAISE_EMERGENCY, _raising),
    ("POST", "/emergency/{id}/end"): _person(Action.END_EMERGENCY, _of_emergency),
    ("GET", "/silence"): _person(Action.SEE),
    ("POST", "/silence"): _person(Action.SILENCE, _silenced),
    ("POST", "/silence/release"): _person(Action.SILENCE, _silenced),
}
