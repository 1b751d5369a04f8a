"""The API: JSON over HTTP under `/api/v1`, with a bearer token.

The bodies are `requests`' structs, the answers `views`' structs; who may ask was settled by `access`, what may be
done is the desk's decision. A token sees the places in which it may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from controller.effects import Answer
from controller.errors import RequestCode, RequestError
from controller.people.sight import seen_areas, status_for
from controller.ports import AIRINGS_MAX, AiringQuestion, AiringRow
from controller.records import EmergencyRecord, RelayRecord, SilenceRecord
from controller.requests import EndEmergency, EndSilence, RaiseEmergency, Request, StartRelay, StartSilence, StopRelay
from controller.views import StatusView
from controller.web.parts import CONSOLE, VISITOR
from controller.web.rules import API
from protocol.adapters.system_clock import read_now
from protocol.messages import AiringRecord

AIRINGS_DEFAULT: Final = 50
T = TypeVar("T", bound=msgspec.Struct)


class AllClearBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an emergency ends, and whether it should never have been."""

    reason: str = ""
    correction: bool = False


def add_api(application: web.Application) -> None:
    """Add the API's routes."""
    routes = (
        ("GET", "/status", _status),
        ("GET", "/nodes", _nodes),
        ("GET", "/airings", _airings),
        ("GET", "/emergencies", _emergencies),
        ("POST", "/emergencies", _raise_emergency),
        ("POST", "/emergencies/{id}/all-clear", _end_emergency),
        ("GET", "/relays", _relays),
        ("POST", "/relays", _start_relay),
        ("DELETE", "/relays/{stream}", _stop_relay),
        ("GET", "/silences", _silences),
        ("POST", "/silences", _start_silence),
        ("POST", "/silences/release", _end_silence),
        ("GET", "/areas", _areas),
        ("GET", "/feeds", _feeds),
        ("GET", "/clips", _clips),
        ("GET", "/plans/{area}", _plan),
    )
    for method, path, handler in routes:
        application.router.add_route(method, API + path, handler)


def _seen(request: web.Request) -> StatusView:
    console = request.app[CONSOLE]
    return status_for(request[VISITOR].principal, console.status(), console.desk.site.tree)


async def _status(request: web.Request) -> web.Response:
    return _json(_seen(request))


async def _nodes(request: web.Request) -> web.Response:
    status = _seen(request)
    return _json({"nodes": status.nodes, "broker": status.broker, "strangers": status.strangers})


async def _airings(request: web.Request) -> web.Response:
    question = AiringQuestion(
        limit=_whole(request.query, "limit", AIRINGS_DEFAULT) or AIRINGS_DEFAULT,
        node=request.query.get("node"),
        before=_whole(request.query, "before", None),
        nodes=_seen_nodes(request),
    )
    rows = await request.app[CONSOLE].airings(question)
    return _json({"airings": [airing_of(row) for row in rows]})


async def _emergencies(request: web.Request) -> web.Response:
    return _json({"emergencies": _seen(request).emergencies})


async def _relays(request: web.Request) -> web.Response:
    return _json({"relays": _seen(request).relays})


async def _raise_emergency(request: web.Request) -> web.Response:
    return await _asked(request, await _body(request, RaiseEmergency), created=201)


async def _end_emergency(request: web.Request) -> web.Response:
    body = await _body(request, AllClearBody)
    wanted = EndEmergency(emergency=request.match_info["id"][:64], reason=body.reason[:200], correction=body.correction)
    return await _asked(request, wanted, created=200)


async def _start_relay(request: web.Request) -> web.Response:
    return await _asked(request, await _body(request, StartRelay), created=201)


async def _stop_relay(request: web.Request) -> web.Response:
    return await _asked(request, StopRelay(stream=request.match_info["stream"][:16]), created=200)


async def _silences(request: web.Request) -> web.Response:
    return _json({"silences": _seen(request).silences})


async def _start_silence(request: web.Request) -> web.Response:
    return await _asked(request, await _body(request, StartSilence), created=201)


async def _end_silence(request: web.Request) -> web.Response:
    return await _asked(request, await _body(request, EndSilence), created=200)


async def _areas(request: web.Request) -> web.Response:
    tree = request.app[CONSOLE].desk.site.tree
    seen = seen_areas(request[VISITOR].principal, tree)
    areas = [
        {"id": area.id, "title": area.title, "level": area.level, "parent": area.parent, "depth": tree.depth(area.id)}
        for area in tree.areas
        if seen is None or area.id in seen
    ]
    return _json({"areas": areas})


async def _feeds(request: web.Request) -> web.Response:
    feeds = request.app[CONSOLE].desk.site.feeds.values()
    return _json({"feeds": [{"id": feed.id, "title": feed.title, "urls": feed.urls} for feed in feeds]})


async def _clips(request: web.Request) -> web.Response:
    clips = request.app[CONSOLE].desk.site.clips.values()
    return _json({"clips": [{"id": clip.id, "title": clip.title, "reality": clip.reality} for clip in clips]})


async def _plan(request: web.Request) -> web.Response:
    area = request.match_info["area"]
    plan = request.app[CONSOLE].desk.plan(area)
    if plan is None:
        raise RequestError(RequestCode.NOT_READY, f"the plan of {area} is being compiled; try again in a few seconds")
    kept = ("area", "covers_from_ms", "covers_until_ms", "occurrences", "counter")
    return _json({name: getattr(plan, name) for name in kept})


async def _asked(request: web.Request, wanted: Request, *, created: int) -> web.Response:
    console = request.app[CONSOLE]
    answer: Answer = await console.ask(wanted, by=request[VISITOR].actor)
    view: Mapping[str, Any]
    match answer.result:
        case EmergencyRecord() as record:
            view = msgspec.to_builtins(console.desk.emergency_view(record, read_now()))
        case RelayRecord() as relay:
            view = msgspec.to_builtins(console.desk.relay_view(relay))
        case SilenceRecord() as silence:
            view = msgspec.to_builtins(console.desk.silence_view(silence))
        case RequestError() as error:
            raise error
    broker = console.status().broker
    answered = {**view, "is_new": answer.is_new, "is_broker_connected": broker.is_connected, "broker": broker.reason}
    return _json(answered, status=created if answer.is_new else 200)


async def _body(request: web.Request, kind: type[T]) -> T:
    data = await request.read()
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fields = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise RequestError(RequestCode.BAD_REQUEST, f"{error}; the body is JSON with {fields}") from error


def _seen_nodes(request: web.Request) -> tuple[str, ...] | None:
    """The nodes whose records may be seen; None is all, those that are no longer configured among them."""
    if seen_areas(request[VISITOR].principal, request.app[CONSOLE].desk.site.tree) is None:
        return None
    return tuple(node.id for node in _seen(request).nodes)


def airing_of(row: AiringRow) -> dict[str, Any]:
    """A stored record as JSON says it."""
    report = row.report
    record = report.record
    # whole: what stands at its default too, for whoever reads it knows no schema
    told = (
        {"kind": "airing", **msgspec.to_builtins(msgspec.structs.asdict(record))}
        if isinstance(record, AiringRecord)
        else {}
    )
    kept = {
        "row": row.row,
        "node": report.node,
        "number": report.number,
        "received_at_ms": report.received_at_ms,
        "is_chained": report.is_chained,
    }
    return {**kept, **told}


def _whole(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18 or (name == "limit" and not 0 < int(text) <= AIRINGS_MAX):  # noqa: PLR2004 - digits of 2**63
        bound = f"from 1 to {AIRINGS_MAX}" if name == "limit" else "a row number"
        raise RequestError(RequestCode.BAD_REQUEST, f"{name}={text[:20]!r}: write {bound}")
    return int(text)


def _json(value: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - any view
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
