"""Makes what sounds: libopus decoders and readers of the media that are on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.adapters.clip_reader import SoundFileReader
from edge.adapters.decoder import LibopusDecoder
from edge.adapters.media_files import mark_used
from edge.player.ports import ClipReader, OpusDecoder


class LibraryWorkshop:
    """The codecs behind the port `Workshop`; `path_of` says where a media file stands."""

    def __init__(self, path_of: Callable[[str], Path]) -> None:
        self._path_of = path_of

    def new_decoder(self) -> OpusDecoder:
        """See `Workshop.new_decoder`."""
        return LibopusDecoder()

    def open_clip(self, sha256: str) -> ClipReader:
        """See `Workshop.open_clip`."""
        path = self._path_of(sha256)
        mark_used(path)
        return SoundFileReader(path)
