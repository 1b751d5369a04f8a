"""Which HTTP status belongs to which reason of a refusal."""

from __future__ import annotations

from typing import Final

from controller.errors import RequestCode

STATUS_OF: Final = {
    RequestCode.UNKNOWN_AREA: 404,
    RequestCode.UNKNOWN_CLIP: 404,
    RequestCode.UNKNOWN_FEED: 404,
    RequestCode.UNKNOWN_EMERGENCY: 404,
    RequestCode.UNKNOWN_STREAM: 404,
    RequestCode.NOT_FOUND: 404,
    RequestCode.CLIP_NOT_READY: 409,
    RequestCode.WRONG_REALITY: 409,
    RequestCode.ALREADY_OVER: 409,
    RequestCode.REAL_STANDS: 409,
    RequestCode.CONFLICT: 409,
    RequestCode.TOO_MANY: 429,
    RequestCode.TRY_LATER: 429,
    RequestCode.BAD_REQUEST: 400,
    RequestCode.NOT_ALLOWED: 401,
    RequestCode.FORBIDDEN: 403,
    RequestCode.STEP_UP_NEEDED: 403,
    RequestCode.NOT_STORED: 503,
    RequestCode.NOT_READY: 503,
    RequestCode.KEY_MISSING: 500,
}
