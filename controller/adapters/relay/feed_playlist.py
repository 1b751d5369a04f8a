"""HLS playlists on their way to ffmpeg: each reload is given out when there is something new.

Duty: `Playlists.hold` takes the body of a playlist and returns its text for ffmpeg's HLS reader; asked again for the
same address, it reloads at the pace of RFC 8216, 6.3.4, until the playlist has changed. Leaves parsing to ffmpeg.
Why: ffmpeg itself waits up to a segment's length between reloads and cannot be woken. So the durations in the text that
it gets are shortened to a tenth of a second (they only set its waits; sound is timed by its samples), and the true
waits are made here, where `Canceller` ends them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.adapters.relay.feed_connection import READ_S_MAX, Body, Canceller
from controller.streams.feed_watch import AlarmKind, FeedError

PLAYLIST_BYTES_MAX: Final = 256 * 1024
"""A live playlist has a few lines a segment; a recording of a day in segments of 2 s has more, and is no feed."""
TARGET_S_BOUNDS: Final = (0.5, 15.0)
"""Target durations outside are taken as these: a typing error must neither flood a station nor starve us."""
_MARK: Final = b"#EXTM3U"
_TARGET: Final = re.compile(rb"^#EXT-X-TARGETDURATION:\s*([0-9.]+)", re.MULTILINE)
_SEGMENT: Final = re.compile(rb"^#EXTINF:\s*[0-9.]+", re.MULTILINE)
_END: Final = b"#EXT-X-ENDLIST"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    text: bytes
    at_s: float


class Playlists:
    """The playlists of one reader; `reopen` asks for an address anew."""

    def __init__(self, reopen: Callable[[str], Body], canceller: Canceller) -> None:
        self._reopen = reopen
        self._canceller = canceller
        self._seen: dict[str, _Seen] = {}
        self.pieces_s = 0.0
        """The longest wait for a segment of a station that is well: its length, and until the next reload."""

    def hold(self, url: str, body: Body) -> bytes | None:
        """The text to give to ffmpeg, once it has changed; None for a body that is no media playlist.

        Raises FeedError(STALLED) when nothing changes for READ_S_MAX, and CancelledError.
        """
        if not is_playlist(body.sniff()):
            return None
        text = _whole(body)
        if not _SEGMENT.search(text):
            return text
        before = self._seen.get(url)
        give_up_s = time.monotonic() + READ_S_MAX
        while before is not None and text == before.text and _END not in text:
            if time.monotonic() > give_up_s:
                raise FeedError(AlarmKind.STALLED, f"the playlist {url} has not changed for {READ_S_MAX:g} s")
            self._canceller.wait(_target_s(text) / 2)
            with self._reopen(url) as again:
                text = _whole(again)
        self._seen[url] = _Seen(text=text, at_s=time.monotonic())
        self.pieces_s = 1.5 * _target_s(text)
        return _TARGET.sub(b"#EXT-X-TARGETDURATION:1", _SEGMENT.sub(b"#EXTINF:0.1", text))

    def await_turn(self, url: str) -> None:
        """Wait until a playlist that was given out may be asked for again."""
        before = self._seen.get(url)
        if before is not None:
            self._canceller.wait(max(0.0, before.at_s + _target_s(before.text) / 2 - time.monotonic()))


def is_playlist(beginning: bytes) -> bool:
    """Whether these first bytes are those of an M3U8 playlist."""
    return beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_MARK)


def _whole(body: Body) -> bytes:
    pieces, length = [], 0
    while piece := body.read(PLAYLIST_BYTES_MAX):
        pieces.append(piece)
        length += len(piece)
        if length > PLAYLIST_BYTES_MAX:
            raise FeedError(AlarmKind.NOT_AUDIO, f"the playlist {body.url} exceeds {PLAYLIST_BYTES_MAX} bytes")
    return b"".join(pieces)


def _target_s(text: bytes) -> float:
    found = _TARGET.search(text)
    try:
        wanted = float(found[1]) if found else 0.0
    except ValueError:
        wanted = 0.0
    return min(TARGET_S_BOUNDS[1], max(TARGET_S_BOUNDS[0], wanted))
