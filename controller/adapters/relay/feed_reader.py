"""A station's address to samples: HTTP, HLS and Icecast in, int16 mono 48 kHz out, in a thread of its own.

Duty: open one address, find out from the bytes what it is, decode with PyAV (ffmpeg) and hold a bounded number of
blocks ready for `take`. Why it ended stands in `failure`. Leaves retries, failover and alarms to `feed_watch`.
Rules kept: the codec is told by the data, never by the name; all bytes come through `feed_connection`, so that headers,
waits and cancelling are the same for playlists and segments; a damaged packet is skipped, many in a row are
the end; `stop` ends every wait for the station at once, but for the making of a connection (CONNECT_S_MAX).
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import av
import av.error
import av.logging
import numpy as np
from numpy.typing import NDArray

from controller.adapters.relay.feed_connection import Body, CancelledError, Canceller, is_page, open_body
from controller.adapters.relay.feed_playlist import Playlists
from controller.streams.feed_watch import AlarmKind, FeedError
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

READY_SAMPLES_MAX: Final = 2 * SAMPLE_RATE_HZ
"""Decoded samples that wait to be taken: 2 s; beyond it the reader waits and TCP holds the station back."""
STOP_S_MAX: Final = 0.5
"""How long `stop` waits for the thread."""
DAMAGED_PACKETS_MAX: Final = 50
"""Packets in a row that do not decode: it is no sound (Icecast begins in the middle of a frame: one or two)."""
_READ_BYTES: Final = 4096
"""Small reads: 96 kbit/s fill it in a third of a second."""
_PROBE_OPTIONS: Final = {
    # ffmpeg would wait for 64 KiB to be sure of MP3, which at 96 kbit/s is five seconds; 16 KiB hold 39 frames.
    "formatprobesize": "16384",
    "probesize": "16384",
    "analyzeduration": "1000000",
    "fflags": "+discardcorrupt",
}
_HLS_OPTIONS: Final = {
    # Every open comes to us, so nothing may be kept open or fetched ahead by ffmpeg itself.
    "http_persistent": "0",
    "http_multiple": "0",
    # Wowza and others name segments as they like.
    "allowed_extensions": "ALL",
    "extension_picky": "0",
}


class FeedReader:
    """Pulls one address until it ends or is stopped."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = headers
        self._canceller = Canceller()
        self._playlists = Playlists(self._open, self._canceller)
        self._changed = threading.Condition()
        self._ready: deque[NDArray[np.int16]] = deque()
        self._ready_samples = 0
        self._failure: FeedError | None = None
        self._noted: FeedError | None = None
        self._thread = threading.Thread(target=self._run, name="feed-reader", daemon=True)
        self.codec = ""
        """What the data turned out to be, as "container/codec"; empty before."""

    @property
    def url(self) -> str:
        """The address that is pulled."""
        return self._url

    @property
    def pieces_s(self) -> float:
        """For how long nothing may come from a station that is well: 0 for a stream, more for HLS."""
        return self._playlists.pieces_s

    @property
    def failure(self) -> FeedError | None:
        """Why the reader has ended by itself; None while it reads, and while blocks are left to be taken."""
        with self._changed:
            return None if self._ready else self._failure

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to pull."""
        av.logging.set_level(av.logging.PANIC)  # ffmpeg's remarks per packet are no events; errors come as exceptions
        self._thread.start()

    def stop(self) -> None:
        """Pull no more; see the module's rules for when the thread is gone."""
        self._canceller.cancel()
        with self._changed:
            self._ready.clear()
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_S_MAX)

    def take(self) -> list[NDArray[np.int16]]:
        """The blocks decoded since the last call, int16[sample] mono 48 kHz."""
        with self._changed:
            blocks = list(self._ready)
            self._ready.clear()
            self._ready_samples = 0
            self._changed.notify_all()
        return blocks

    def _run(self) -> None:
        failure: FeedError | None
        try:
            self._read()
            failure = self._noted or FeedError(AlarmKind.STALLED, f"{self._url} came to its end")
        except FeedError as error:
            failure = error
        except CancelledError:
            failure = None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            failure = self._noted or FeedError(AlarmKind.NOT_AUDIO, f"{self._url} cannot be decoded: {error}")
        except Exception as error:  # noqa: BLE001 - a thread that dies unheard would be silence while all is green
            failure = FeedError(AlarmKind.NOT_AUDIO, f"{self._url} cannot be read: {type(error).__name__}: {error}")
        if not self._canceller.is_cancelled:
            with self._changed:
                self._failure = failure

    def _read(self) -> None:
        body = self._open(self._url)
        try:
            if is_page(body):
                raise FeedError(AlarmKind.NOT_AUDIO, f"{self._url} gives a page ({body.content_type or 'HTML'})")
            beginning = body.sniff().lstrip(b"\xef\xbb\xbf \t\r\n")
            if beginning.startswith(b"#EXTM3U") and b"#EXT-X-" in beginning:
                url = body.url
                body.close()
                container = self._container(url, format="hls", io_open=self._open_part, options=_HLS_OPTIONS)
            elif beginning.startswith((b"#EXTM3U", b"[playlist]")):
                entry = _first_entry(body)
                body.close()
                body = self._open(entry)
                container = self._container(_QuietFile(body, self._note), options=_PROBE_OPTIONS)
            else:
                container = self._container(_QuietFile(body, self._note), options=_PROBE_OPTIONS)
            with container:
                self._decode(container)
        finally:
            body.close()

    def _container(self, file: _QuietFile | str, **options: Any) -> Any:  # noqa: ANN401 - PyAV has its own types
        container = av.open(file, mode="r", buffer_size=_READ_BYTES, **options)
        if not container.streams.audio:
            container.close()
            raise FeedError(AlarmKind.NOT_AUDIO, f"{self._url} holds no audio")
        return container

    def _open(self, url: str) -> Body:
        return open_body(url, self._headers, self._canceller)

    def _open_part(self, url: str, flags: int, options: Mapping[str, str]) -> _QuietFile:  # noqa: ARG002 - PyAV calls
        body = None
        try:
            self._playlists.await_turn(url)
            body = self._open(url)
            text = self._playlists.hold(url, body)
        except (FeedError, CancelledError) as error:
            self._note(error)
            if body is not None:
                body.close()
            return _QuietFile(None, self._note)
        self._noted = None
        if text is None:
            return _QuietFile(body, self._note)
        body.close()
        return _QuietFile(io.BytesIO(text), self._note)

    def _note(self, error: FeedError | CancelledError) -> None:
        if isinstance(error, FeedError):
            self._noted = error

    def _decode(self, container: Any) -> None:  # noqa: ANN401 - as `_container`
        stream = container.streams.audio[0]
        self.codec = f"{container.format.name}/{stream.codec_context.name}"
        resampler = _resampler()
        for frame in self._frames(container, stream):
            try:
                converted = resampler.resample(frame)
            except ValueError:  # the station changed its sampling rate or channels
                resampler = _resampler()
                converted = resampler.resample(frame)
            for block in converted:
                self._offer(block.to_ndarray().reshape(-1))

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:  # noqa: ANN401 - as `_container`
        damaged = 0
        for packet in container.demux(stream):
            self._canceller.check()
            try:
                yield from packet.decode()
            except av.error.FFmpegError as error:  # decoders have codes of their own for damage
                damaged += 1
                if damaged > DAMAGED_PACKETS_MAX:
                    raise FeedError(AlarmKind.NOT_AUDIO, f"{self._url}: {damaged} damaged packets in a row") from error
            else:
                damaged = 0

    def _offer(self, block: NDArray[np.int16]) -> None:
        with self._changed:
            while self._ready_samples >= READY_SAMPLES_MAX and not self._canceller.is_cancelled:
                self._changed.wait()
            self._canceller.check()
            self._ready.append(block)
            self._ready_samples += len(block)


class _QuietFile:
    """A body as PyAV reads it: trouble is noted and looks like the end, for ffmpeg drops or prints exceptions.

    A missing HLS segment is thereby skipped; a missing playlist ends the reading.
    """

    def __init__(self, body: Body | io.BytesIO | None, note: Callable[[FeedError | CancelledError], None]) -> None:
        self._body = body
        self._note = note

    def read(self, size: int) -> bytes:
        """What has come; empty at the end and in trouble."""
        if self._body is None:
            return b""
        try:
            return self._body.read(size)
        except (FeedError, CancelledError) as error:
            self._note(error)
            return b""

    def close(self) -> None:
        """Hang up."""
        if self._body is not None:
            self._body.close()


def _resampler() -> Any:  # noqa: ANN401 - PyAV's type
    return av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ, frame_size=FRAME_SAMPLES)


def _first_entry(body: Body) -> str:
    """The first address of a plain M3U or PLS list, as Icecast and SHOUTcast hand them out."""
    text = body.sniff().decode("utf-8", "replace")
    for line in text.splitlines():
        entry = line.partition("=")[2] if line.lower().startswith("file") else line
        if entry.strip().startswith(("http://", "https://")):
            return entry.strip()
    raise FeedError(AlarmKind.NOT_AUDIO, f"{body.url} is a list without addresses")
