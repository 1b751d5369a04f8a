"""Targets of the media library: what an upload says of itself, and addresses from which something may be pulled."""

from __future__ import annotations

import base64

from controller.errors import RequestError
from controller.media.addresses import ForbiddenAddressError, PullRules
from controller.web.media_api import _notes_of
from tests.fuzz.target import Target

_RULES = PullRules(["nas.xa.local", "192.168.10.0/24"])

MEDIA = (
    Target(
        name="upload-notes",
        decode=lambda data: _notes_of(data.decode("utf-8", "surrogateescape")),
        declared=(RequestError,),
        seeds=lambda: [b"filename " + base64.b64encode("bản tin.mp3".encode()) + b", licence , title QQ=="],
    ),
    Target(
        name="pull-address",
        decode=lambda data: _RULES.checked(data.decode("utf-8", "surrogateescape")),
        declared=(ForbiddenAddressError,),
        seeds=lambda: [b"https://example.vn:8443/a/b.mp3?x=1", b"http://[2400:cb00::1]/a.mp3", b"http://192.168.10.5/"],
    ),
)
