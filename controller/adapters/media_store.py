"""Media by content: `<state_dir>/media/sha256/<hash>`, written once, never changed.

Writing is the import's work (temporary file, fsync, rename); this side finds files and says where they belong.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from protocol.identity import SHA256_PATTERN

_HASH: Final = re.compile(SHA256_PATTERN)


class MediaStore:
    """The folder of one controller."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "media" / "sha256"

    @property
    def folder(self) -> Path:
        """Where files lie under their hash."""
        return self._folder

    def path_of(self, sha256: str) -> Path | None:
        """The file of a hash, or None where it is not there or the text is no hash."""
        if not _HASH.match(sha256):
            return None
        path = self._folder / sha256
        return path if path.is_file() and not path.is_symlink() else None
