"""The controller's errors: one root, and one kind for each door through which trouble comes.

An adapter turns every library exception into its port's error here. Each text says what is wrong, where,
and what to do. A `RequestError` is the caller's mistake and becomes an answer; the others are ours.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from controller.media.refusal import Refusal


class ControllerError(Exception):
    """Root of this package's errors."""


class ConfigError(ControllerError):
    """The configuration, or a file that it names, cannot be used."""


class KeyFileError(ControllerError):
    """A key file, a passphrase or a step of a ceremony that cannot be used; nothing was written."""


class SigningError(ControllerError):
    """No configured key may sign what was asked."""


class DatabaseError(ControllerError):
    """The database could not be opened, upgraded, read or written."""


class ConflictError(DatabaseError):
    """Something that may be used once was used before, or has changed meanwhile; nothing was kept."""


class MediaError(ControllerError):
    """A media file cannot be taken into the store; the refusal is the reason without the file's name."""

    def __init__(self, message: str, refusal: Refusal) -> None:
        super().__init__(message)
        self.refusal: Final = refusal


class RecurrenceError(ControllerError):
    """When a programme begins cannot be read, or goes beyond its bounds."""


class ExchangeError(ControllerError):
    """A calendar or a playlist of another program cannot be read."""


class SpeechError(ControllerError):
    """A text cannot be spoken."""


class ApiError(ControllerError):
    """The running controller could not be reached, or refused what the command asked."""


class RequestCode(StrEnum):
    """Why a request is refused; stable names that a program may rely on."""

    UNKNOWN_AREA = "unknown_area"
    UNKNOWN_CLIP = "unknown_clip"
    UNKNOWN_FEED = "unknown_feed"
    UNKNOWN_EMERGENCY = "unknown_emergency"
    UNKNOWN_STREAM = "unknown_stream"
    CLIP_NOT_READY = "clip_not_ready"
    WRONG_REALITY = "wrong_reality"
    ALREADY_OVER = "already_over"
    REAL_STANDS = "real_stands"
    TOO_MANY = "too_many"
    BAD_REQUEST = "bad_request"
    NOT_ALLOWED = "not_allowed"
    FORBIDDEN = "forbidden"
    STEP_UP_NEEDED = "step_up_needed"
    TRY_LATER = "try_later"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    NOT_STORED = "not_stored"
    KEY_MISSING = "key_missing"
    NOT_READY = "not_ready"


class RequestError(ControllerError):
    """A request that changes nothing: a stable code, and a sentence that says what to do."""

    def __init__(self, code: RequestCode, message: str) -> None:
        super().__init__(message)
        self.code: Final = code
        self.message: Final = message
