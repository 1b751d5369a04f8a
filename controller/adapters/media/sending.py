"""Sends a file to the running controller in pieces, by tus: resumed after a lost line, and by the next command too.

A piece takes a few seconds at most, whatever the line: its size follows how fast the last one went. What was begun and
broken off is found again by area, size and hash of the file. Blocks.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from controller.adapters.api_client import ApiClient, RefusedError
from controller.errors import ApiError

MEDIA: Final = "/api/v1/media"
PIECE_BYTES_MIN: Final = 64 * 1024
PIECE_BYTES_MAX: Final = 8 * 1024 * 1024
PIECE_S: Final = 5.0
"""How long a piece should take: the console ends a request whose body has not come within 45 s."""
ATTEMPTS_MAX: Final = 8
"""In a row without a byte getting through: about four minutes."""
RETRY_S: Final = 1.0
RETRY_S_MAX: Final = 60.0
LOOK_S: Final = 0.3
OnSent = Callable[[int, int], None]
"""Told how many bytes of how many have arrived."""


def send_file(
    client: ApiClient, path: Path, *, area: str, title: str, licence: str, on_sent: OnSent
) -> tuple[str, bool]:
    """The id under which it is judged, and whether an earlier upload was gone on with; raises ApiError."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise ApiError(f"{path}: không đọc được · cannot be read: {error.strerror or error}") from error
    if not size:
        raise ApiError(f"{path}: tệp rỗng, hãy chép lại · it is empty; copy it again")
    begun = _begun(client, area=area, size=size, digest=digest)
    name = begun or _begin(client, path, area=area, size=size, digest=digest, title=title, licence=licence)
    try:
        _send(client, path, f"{MEDIA}/intakes/{name}", size, on_sent)
    except OSError as error:
        raise ApiError(f"{path}: {error.strerror or error}") from error
    return name, bool(begun)


def wait_for(client: ApiClient, name: str, on_look: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """What came of it; raises ApiError."""
    while True:
        intake = client.call("GET", f"{MEDIA}/intakes/{name}")
        on_look(intake)
        if intake["state"] in {"kept", "refused", "cancelled"}:
            return intake
        time.sleep(LOOK_S)  # the command has nothing else to do while the controller works


def _begun(client: ApiClient, *, area: str, size: int, digest: str) -> str:
    """An upload of this very file that was broken off."""
    wanted = ("receiving", "upload", area, size, digest)
    for each in client.call("GET", f"{MEDIA}/intakes")["intakes"]:
        if (each["state"], each["kind"], each["area"], each["size_bytes"], each["expected_sha256"]) == wanted:
            return str(each["id"])
    return ""


def _begin(client: ApiClient, path: Path, *, area: str, size: int, digest: str, title: str, licence: str) -> str:
    notes = {"filename": path.name, "title": title, "licence": licence, "sha256": digest}
    told = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in notes.items() if value)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": told}
    answer = client.send("POST", client.path_of(f"{MEDIA}/intakes", {"area": area}), None, headers)
    return answer["Location"].rpartition("/")[2]


def _send(client: ApiClient, path: Path, at: str, size: int, on_sent: OnSent) -> None:
    piece_bytes, failures, offset = PIECE_BYTES_MIN, 0, _offset(client, at)
    with path.open("rb") as file:
        while offset < size:
            on_sent(offset, size)
            file.seek(offset)
            piece, begun_s = file.read(piece_bytes), time.monotonic()
            try:
                headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                arrived = int(client.send("PATCH", at, piece, headers)["Upload-Offset"])
            except RefusedError:
                arrived = _offset(client, at)  # raises where it is over; else an earlier try was counted after all
                if arrived == offset:
                    raise
            except ApiError:
                failures += 1
                if failures == ATTEMPTS_MAX:
                    raise
                piece_bytes = max(PIECE_BYTES_MIN, piece_bytes // 4)
                # the controller may be starting again; the piece is sent anew after a pause that grows
                time.sleep(min(RETRY_S_MAX, RETRY_S * 2 ** (failures - 1)))
                arrived = _offset_or(client, at, offset)
            else:
                took_s = max(time.monotonic() - begun_s, 1e-3)
                piece_bytes = _next_size(len(piece), took_s)
            if arrived > offset:
                failures = 0
            offset = arrived
    on_sent(size, size)


def _next_size(sent_bytes: int, took_s: float) -> int:
    """What would have taken PIECE_S, at most twice as much as this one."""
    return max(PIECE_BYTES_MIN, min(PIECE_BYTES_MAX, sent_bytes * 2, int(sent_bytes / took_s * PIECE_S)))


def _offset(client: ApiClient, at: str) -> int:
    return int(client.send("HEAD", at, None, {})["Upload-Offset"])


def _offset_or(client: ApiClient, at: str, known: int) -> int:
    try:
        return _offset(client, at)
    except RefusedError:
        raise
    except (ApiError, http.client.HTTPException):
        return known
