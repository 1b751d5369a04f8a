"""A small file is written whole or not at all, and nobody who has prepared the folder reads a private one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from protocol.adapters.durable_file import write_durably


def prepared(folder: Path, name: str) -> Path:
    """What is there under the name of the temporary file before it is made."""
    return folder / f".{name}.{os.getpid()}"


def test_replaces_a_file_and_gives_it_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_durably(path, b"new", mode=0o600)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_file_that_somebody_holds_open_already_is_not_written_to(tmp_path: Path) -> None:
    trap = prepared(tmp_path, "root.key")
    trap.write_bytes(b"")
    with trap.open("rb") as listening:
        write_durably(tmp_path / "root.key", b"secret", mode=0o600)
        assert listening.read() == b""
    assert (tmp_path / "root.key").read_bytes() == b"secret"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    prepared(tmp_path, "root.key").symlink_to(victim)
    write_durably(tmp_path / "root.key", b"secret", mode=0o600)
    assert victim.read_bytes() == b"kept"
    assert not (tmp_path / "root.key").is_symlink()


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.mkdir()
    with pytest.raises(OSError, match="key"):
        write_durably(path, b"new", mode=0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
