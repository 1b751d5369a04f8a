"""What makes sound on a simulated node: cheap decoders and readers whose samples say what they are (`pattern`).

A synthetic Opus frame holds the tag and the sample index that it decodes to, in as many bytes as a real frame of
64 kbit/s; the real libopus is an option where decoding itself is the subject. A clip is read from the node's own card,
so a damaged file is found where the real reader would find it: when it is opened, or played.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from edge.adapters.decoder import LibopusDecoder
from edge.errors import ClipError, DecoderError
from edge.player.ports import ClipReader, OpusDecoder, Samples
from protocol.units import FRAME_SAMPLES, SAMPLES_PER_MS
from simulator.evidence import pattern
from simulator.services.media_server import FOLD_BYTES, Recording, folded

_FRAME: Final = struct.Struct("!2sHQ")
_MAGIC: Final = b"SF"
FRAME_BYTES: Final = 160
"""20 ms at 64 kbit/s."""
CONCEALED: Final = 0.5
"""What is guessed sounds half as loud, so that it can be told from what was sent."""


def synthetic_frame(tag: int, first: int) -> bytes:
    """A frame that decodes to the 960 samples of a source from its sample `first` on."""
    return _FRAME.pack(_MAGIC, tag, first).ljust(FRAME_BYTES, b"\0")


class SyntheticDecoder:
    """The port `OpusDecoder` for synthetic frames."""

    def __init__(self) -> None:
        self._tag = 0
        self._next = 0

    def decode(self, frame: bytes, into: Samples) -> None:
        """See `OpusDecoder.decode`."""
        if len(frame) < _FRAME.size or frame[:2] != _MAGIC:
            raise DecoderError(f"a frame of {len(frame)} bytes that is no synthetic one")
        _, self._tag, first = _FRAME.unpack_from(frame)
        self._next = first + FRAME_SAMPLES
        pattern.fill(self._tag, first, into)

    def conceal(self, into: Samples) -> None:
        """See `OpusDecoder.conceal`: the source goes on, half as loud."""
        if not self._tag:
            into.fill(0.0)
            return
        pattern.fill(self._tag, self._next, into)
        into *= CONCEALED
        self._next += FRAME_SAMPLES

    def reset(self) -> None:
        """See `OpusDecoder.reset`."""
        self._tag = 0


class SyntheticClip:
    """The port `ClipReader` for a recording on a node's card."""

    def __init__(self, recording: Recording, content: bytes) -> None:
        self._recording = recording
        self._content = content
        self._whole = folded(recording.sha256, recording.size_bytes)
        self._is_damaged = content != self._whole
        self._is_open = True
        self._samples: Final = recording.duration_ms * SAMPLES_PER_MS
        if content[:1] != self._whole[:1]:
            raise ClipError(f"media/{recording.sha256} is no sound file that libsndfile knows")

    @property
    def samples(self) -> int:
        """See `ClipReader.samples`."""
        return self._samples

    def read(self, first: int, into: Samples) -> None:
        """See `ClipReader.read`."""
        if not self._is_open:
            raise ClipError(f"media/{self._recording.sha256} is closed")
        if self._is_damaged:
            self._require_sound(first, len(into))
        pattern.fill(self._recording.tag, first, into)

    def close(self) -> None:
        """See `ClipReader.close`."""
        self._is_open = False

    def _require_sound(self, first: int, count: int) -> None:
        """A damaged place in the file is noise that the codec refuses."""
        bytes_per_sample = self._recording.size_bytes / self._samples
        begin = int(first * bytes_per_sample) // FOLD_BYTES
        end = int((first + count) * bytes_per_sample) // FOLD_BYTES + 1
        if self._content[begin:end] != self._whole[begin:end]:
            raise ClipError(f"media/{self._recording.sha256} cannot be read at sample {first}: bad data")


class SimulatedWorkshop:
    """The port `Workshop`; `content_of` gives what the card holds of a file, `recordings` what each file is."""

    def __init__(
        self,
        *,
        content_of: Callable[[str], bytes],
        recordings: Mapping[str, Recording],
        new_decoder: Callable[[], OpusDecoder] = SyntheticDecoder,
    ) -> None:
        self._content_of = content_of
        self._recordings = recordings
        self._new_decoder = new_decoder

    def new_decoder(self) -> OpusDecoder:
        """See `Workshop.new_decoder`."""
        return self._new_decoder()

    def open_clip(self, sha256: str) -> ClipReader:
        """See `Workshop.open_clip`."""
        content = self._content_of(sha256)
        known = self._recordings.get(sha256)
        if not content or known is None:
            raise ClipError(f"media/{sha256} cannot be opened: No such file or directory")
        return SyntheticClip(known, content)


def real_decoder() -> OpusDecoder:
    """Libopus itself, for frames that a real encoder made."""
    return LibopusDecoder()
