"""The API of the media library: uploads in pieces that can be resumed, pulls, the catalogue, and the sound itself.

Uploads speak tus 1.0.0 (https://tus.io: core, creation, termination), so that any client of it will do: POST says how
many bytes come, PATCH brings them from where HEAD says. GET of the same address tells in JSON how far it is, judging
included, and why a recording was refused. Who may ask was settled by `access`; what is above one's own area is seen,
and changed only there.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import PurePath
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from aiohttp import web

from controller.adapters.media.library import MediaLibrary
from controller.adapters.media.pull import PIECE_BYTES
from controller.errors import RequestCode, RequestError
from controller.media.catalogue import EntryState, Licence, MediaEntry, OriginKind, Title
from controller.media.intake import Intake
from controller.web.media_parts import LIBRARY, is_area_seen, is_seen, seen_entry
from controller.web.parts import CONSOLE, VISITOR
from controller.web.rules import API
from protocol.adapters.system_clock import read_now
from protocol.identity import SHA256_PATTERN, AreaId

TUS_VERSION: Final = "1.0.0"
METADATA_CHARACTERS_MAX: Final = 4_096
NAME_CHARACTERS_MAX: Final = 255
LISTED: Final = 200
LISTED_MAX: Final = 1_000
"""Of one answer, about 1 kB each."""
WORDS_MAX: Final = 16
"""Each is looked for in every title."""
T = TypeVar("T", bound=msgspec.Struct)
_SHA256: Final = re.compile(SHA256_PATTERN)
_NO_ID: Final = ""


class UploadNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What tus calls metadata: `filename`, `title`, `licence`, `sha256`; the others are another program's."""

    filename: str = ""
    title: str = ""
    licence: Licence = ""
    sha256: str = ""


class PullBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be pulled, and for which area."""

    area: AreaId
    url: str
    title: str = ""
    licence: Licence = ""
    sha256: str = ""


class DescribeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of a recording; what is left out stays."""

    title: Title | None = None
    licence: Licence | None = None


class _Titled(msgspec.Struct, frozen=True, kw_only=True):
    title: Title


def add_media_api(application: web.Application, library: MediaLibrary) -> None:
    """Add the routes."""
    application[LIBRARY] = library
    routes = (
        ("GET", "/media", _list),
        ("GET", "/media/intakes", _intakes),
        ("POST", "/media/intakes", _begin_upload),
        ("GET", "/media/intakes/{intake}", _intake),
        ("PATCH", "/media/intakes/{intake}", _append),
        ("DELETE", "/media/intakes/{intake}", _cancel),
        ("POST", "/media/pulls", _begin_pull),
        ("GET", "/media/{entry}", _entry),
        ("POST", "/media/{entry}", _describe),
        ("DELETE", "/media/{entry}", _remove),
        ("POST", "/media/{entry}/restore", _restore),
        ("GET", "/media/{entry}/sound", _sound),
        ("GET", "/media/{entry}/original", _original),
        ("GET", "/media/{entry}/waveform", _waveform),
    )
    for method, path, handler in routes:
        application.router.add_route(method, API + path, handler)
    for path, head in (("/media/intakes/{intake}", _intake_head), ("/media/{entry}/sound", _sound)):
        application.router.add_route("HEAD", API + path, head)


async def _list(request: web.Request) -> web.Response:
    """Recordings that are kept, the newest first; `removed=1`: those that can be brought back.

    `area` narrows to what that area may use, `search` to words of the title or an id; at most `limit`.
    """
    wanted = EntryState.REMOVED if request.query.get("removed") else EntryState.KEPT
    area, limit = request.query.get("area"), request.query.get("limit", str(LISTED))
    if not limit.isdecimal() or len(limit) > 5 or not 0 < int(limit) <= LISTED_MAX:  # noqa: PLR2004 - digits
        raise RequestError(RequestCode.BAD_REQUEST, f"limit={limit[:20]!r}: write 1 to {LISTED_MAX}")
    words = set(request.query.get("search", "").casefold().split())
    if len(words) > WORDS_MAX:
        raise RequestError(RequestCode.BAD_REQUEST, f"search: {len(words)} words; at most {WORDS_MAX}")
    tree = request.app[CONSOLE].desk.site.tree
    entries = [
        entry
        for entry in request.app[LIBRARY].entries
        if entry.state is wanted and is_seen(request, entry) and (area is None or entry.area in tree.chain(area))
        if all(word in f"{entry.title} {entry.id}".casefold() for word in words)
    ]
    shown = [_shown(request, entry) for entry in entries[: int(limit)]]
    return _json({"media": shown, "found": len(entries)})


async def _entry(request: web.Request) -> web.Response:
    entry = seen_entry(request)
    uses = request.app[LIBRARY].uses_of(entry)
    return _json({**_shown(request, entry), "uses": uses})


async def _describe(request: web.Request) -> web.Response:
    entry = seen_entry(request)
    body = await _body(request, DescribeBody)
    title = entry.title if body.title is None else _title(body.title)
    licence = entry.licence if body.licence is None else body.licence.strip()
    by = request[VISITOR].actor
    return _json(_shown(request, await request.app[LIBRARY].describe(entry, title=title, licence=licence, by=by)))


async def _remove(request: web.Request) -> web.Response:
    entry = seen_entry(request)
    return _json(_shown(request, await request.app[LIBRARY].remove(entry, by=request[VISITOR].actor)))


async def _restore(request: web.Request) -> web.Response:
    entry = seen_entry(request)
    return _json(_shown(request, await request.app[LIBRARY].restore(entry, by=request[VISITOR].actor)))


async def _sound(request: web.Request) -> web.StreamResponse:
    entry = seen_entry(request)
    path = request.app[LIBRARY].sound_path(entry)
    if not path.is_file():
        raise RequestError(RequestCode.NOT_FOUND, f"{entry.id}: tệp không còn · its file is gone")
    headers = {"Content-Type": "audio/ogg", "ETag": f'"{entry.reference.sha256}"'}
    return web.FileResponse(path, headers=headers)


async def _original(request: web.Request) -> web.StreamResponse:
    """As a file to be saved, never as something that a browser opens: it is whatever somebody sent."""
    entry = seen_entry(request)
    path = request.app[LIBRARY].original_path(entry)
    if not path.is_file():
        raise RequestError(RequestCode.NOT_FOUND, f"{entry.id}: bản gốc không còn · its original is gone")
    kept = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
    return web.FileResponse(path, headers=kept)


async def _waveform(request: web.Request) -> web.Response:
    entry = seen_entry(request)
    points = await request.app[LIBRARY].waveform(entry)
    return _json({"id": entry.id, "duration_ms": entry.reference.duration_ms, "points": list(points)})


async def _intakes(request: web.Request) -> web.Response:
    """What is on its way, and what came of the latest; of places that are seen."""
    library = request.app[LIBRARY]
    tree = request.app[CONSOLE].desk.site.tree
    shown = [each for each in library.intakes.all if each.area in tree and is_area_seen(request, each.area)]
    return _json({"intakes": [_told(intake) for intake in shown]})


async def _intake(request: web.Request) -> web.Response:
    return _json(_told(request.app[LIBRARY].intakes.intake(request.match_info["intake"])))


async def _intake_head(request: web.Request) -> web.Response:
    return _tus(request.app[LIBRARY].intakes.intake(request.match_info["intake"]), HTTPStatus.OK)


async def _begin_upload(request: web.Request) -> web.Response:
    _require_tus(request)
    size = request.headers.get("Upload-Length", "")
    if not size.isdecimal() or len(size) > 12 or not int(size):  # noqa: PLR2004 - a terabyte
        what = "say how many bytes come: Upload-Length, at least 1"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    notes = _notes_of(request.headers.get("Upload-Metadata", ""))
    name = PurePath(notes.filename.replace("\\", "/")).name[:NAME_CHARACTERS_MAX]
    intake = _new_intake(
        request,
        kind=OriginKind.UPLOAD,
        area=request.query.get("area", ""),
        name=name,
        title=notes.title or PurePath(name).stem,
        licence=notes.licence,
        sha256=notes.sha256,
    )
    begun = await request.app[LIBRARY].intakes.begin(msgspec.structs.replace(intake, size_bytes=int(size)))
    answer = _json(_told(begun), status=HTTPStatus.CREATED)
    answer.headers.update({"Location": f"{API}/media/intakes/{begun.id}", "Tus-Resumable": TUS_VERSION})
    return answer


async def _append(request: web.Request) -> web.Response:
    _require_tus(request)
    if request.content_type != "application/offset+octet-stream":
        what = "send the bytes as Content-Type: application/offset+octet-stream"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    offset = request.headers.get("Upload-Offset", "")
    if not offset.isdecimal() or len(offset) > 12:  # noqa: PLR2004 - as above
        raise RequestError(RequestCode.BAD_REQUEST, "say where these bytes belong: Upload-Offset")
    intake = await request.app[LIBRARY].intakes.append(request.match_info["intake"], int(offset), _pieces(request))
    return _tus(intake, HTTPStatus.NO_CONTENT)


async def _cancel(request: web.Request) -> web.Response:
    return _tus(await request.app[LIBRARY].intakes.cancel(request.match_info["intake"]), HTTPStatus.NO_CONTENT)


async def _begin_pull(request: web.Request) -> web.Response:
    body = await _body(request, PullBody)
    last = PurePath(body.url.partition("?")[0].rstrip("/")).name
    intake = _new_intake(
        request,
        kind=OriginKind.PULL,
        area=body.area,
        name=body.url,
        title=body.title or PurePath(last).stem or body.url[:100],
        licence=body.licence,
        sha256=body.sha256,
    )
    return _json(_told(await request.app[LIBRARY].intakes.begin(intake)), status=HTTPStatus.ACCEPTED)


async def _body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fields = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise RequestError(RequestCode.BAD_REQUEST, f"{error}; the body is JSON with {fields}") from error


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes; a line that breaks off ends it, and what came is kept."""
    with contextlib.suppress(aiohttp.ClientPayloadError, ConnectionError, web.RequestPayloadError):
        async for piece in request.content.iter_chunked(PIECE_BYTES):
            yield piece


def _new_intake(
    request: web.Request, *, kind: OriginKind, area: str, name: str, title: str, licence: str, sha256: str
) -> Intake:
    if area not in request.app[CONSOLE].desk.site.tree:
        raise RequestError(RequestCode.UNKNOWN_AREA, f"there is no area {area[:40]!r}")
    sha256 = sha256.lower()
    if sha256 and not _SHA256.match(sha256):
        raise RequestError(RequestCode.BAD_REQUEST, "sha256 is written in 64 hexadecimal digits")
    title = _title(title)
    now_ms = read_now().shared_ms
    actor = request[VISITOR].actor
    return Intake(
        id=_NO_ID,
        kind=kind,
        area=area,
        title=title,
        licence=licence.strip(),
        name=name,
        by=actor.who,
        address=actor.address,
        begun_at_ms=now_ms,
        changed_at_ms=now_ms,
        expected_sha256=sha256,
    )


def _title(text: str) -> str:
    try:
        return msgspec.convert({"title": text.strip()}, _Titled).title
    except msgspec.ValidationError as error:
        raise RequestError(RequestCode.BAD_REQUEST, f"{error}; give the recording a title") from error


def _notes_of(header: str) -> UploadNotes:
    """Tus metadata: keys and base64 values, with commas between them; raises RequestError."""
    found: dict[str, str] = {}
    try:
        if len(header) > METADATA_CHARACTERS_MAX:
            raise ValueError(f"longer than {METADATA_CHARACTERS_MAX} characters")  # noqa: TRY301 - one answer to all
        for pair in filter(None, (each.strip() for each in header.split(","))):
            key, _, value = pair.partition(" ")
            found[key] = base64.b64decode(value.strip(), validate=True).decode()
        return msgspec.convert(found, UploadNotes)
    except (binascii.Error, ValueError) as error:
        what = f"Upload-Metadata cannot be read ({error}); it is `key base64,key base64` with filename, title, licence"
        raise RequestError(RequestCode.BAD_REQUEST, what) from error


def _require_tus(request: web.Request) -> None:
    version = request.headers.get("Tus-Resumable", TUS_VERSION)
    if version != TUS_VERSION:
        raise RequestError(RequestCode.BAD_REQUEST, f"tus {version[:20]} is not spoken here; speak {TUS_VERSION}")


def _tus(intake: Intake, status: HTTPStatus) -> web.Response:
    """An answer without a body; never kept by anything on the way."""
    headers = {
        "Tus-Resumable": TUS_VERSION,
        "Upload-Offset": str(intake.received_bytes),
        "Upload-Length": str(intake.size_bytes),
        "Cache-Control": "no-store",
    }
    return web.Response(status=status, headers=headers)


def _shown(request: web.Request, entry: MediaEntry) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(entry)
    is_there = request.app[LIBRARY].sound_path(entry).exists()
    return {"id": entry.id, **plain.pop("reference"), **plain, "is_there": is_there}


def _told(intake: Intake) -> dict[str, Any]:
    names = ("id", "kind", "area", "title", "licence", "name", "by", "state", "entry", "is_new", "measured_ms")
    counts = ("expected_sha256", "size_bytes", "received_bytes", "begun_at_ms", "changed_at_ms", "refusal")
    plain: dict[str, Any] = msgspec.to_builtins(intake)
    return {name: plain[name] for name in (*names, *counts)}


def _json(value: dict[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
