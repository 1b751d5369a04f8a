"""The errors of the node.

`EdgeError` is the root. Each port has one error of its own; its adapter turns every library exception into
it, with a text that says what is wrong, where, and what to do. What a peer sent that cannot be obeyed is no
error of ours: that is `protocol.errors.Refusal`. A media failure carries a `MediaFailure`, because the agent
decides by it when to try again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class EdgeError(Exception):
    """Root of this package's errors."""


class ConfigurationError(EdgeError):
    """The configuration, or a file that it names, cannot be used; the text lists every problem found."""

    def __init__(self, path: str, problems: list[str]) -> None:
        super().__init__("\n".join([f"{path}:", *(f"  {problem}" for problem in problems)]))
        self.path: Final = path
        self.problems: Final = tuple(problems)


class EnrolmentError(EdgeError):
    """The unit cannot be enrolled now; the text says why, for a technician."""


class StoreError(EdgeError):
    """The node's database cannot be read or written."""


class GpioError(EdgeError):
    """A pin cannot be claimed or driven."""


class SoundError(EdgeError):
    """The sound card cannot be opened or has stopped."""


class HearingError(EdgeError):
    """A microphone, tap or current cannot be used, or a self-test cannot be asked for."""


class ClipError(EdgeError):
    """A media file cannot be opened or decoded."""


class FrameFault(StrEnum):
    """Why an Opus frame is of no use; the name under which the stream counts it."""

    UNDECODABLE = "undecodable"
    WRONG_DURATION = "wrong_duration"
    STEREO = "stereo"


class DecoderError(EdgeError):
    """An Opus frame or the codec library cannot be used."""

    def __init__(self, detail: str, fault: FrameFault = FrameFault.UNDECODABLE) -> None:
        super().__init__(detail)
        self.fault: Final = fault


class MediaFailure(StrEnum):
    """Why a media file did not arrive."""

    NOT_FOUND = "not_found"
    WRONG_HASH = "wrong_hash"
    DISK_FULL = "disk_full"
    UNREACHABLE = "unreachable"
    TOO_LARGE = "too_large"
    PARTLY = "partly"
    """As much as was asked for has come, and more is missing: no fault."""


class MediaError(EdgeError):
    """A media file cannot be fetched or kept."""

    def __init__(self, reason: MediaFailure, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason: Final = reason
        self.detail: Final = detail
