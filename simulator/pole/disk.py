"""A node's SD card: what was written and what is durable are two things, and the power may fail between them.

Files only grow, as a journal and a download do; what replaces one is written beside it and renamed. `sync` makes a
file durable and with it every change of names made so far, as ext4's journal does. On a power cut each unsynced tail
loses some or all of its sectors, or keeps their length without their contents, and of the unsynced changes of names
the first few survive, in order. All of it is drawn from the card's own stream of chance.

A file may be `folded`: one byte stored stands for many, so that media need no room in memory; capacity is counted
unfolded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from simulator.world import World

SECTOR_BYTES: Final = 512
CAPACITY_BYTES: Final = 16 * 1024**3
"""The smallest card that is still sold; a node's image leaves about that much."""


class DiskError(OSError):
    """The card refuses: full, read-only, worn out, gone."""


@dataclass(slots=True)
class _File:
    data: bytearray = field(default_factory=bytearray)
    durable: int = 0
    fold: int = 1
    room: int = 0
    """Bytes that are the file's whether anything stands in them or not."""

    @property
    def takes_bytes(self) -> int:
        """What it takes of the card."""
        return max(len(self.data), self.room) * self.fold


class Disk:
    """One card."""

    def __init__(self, world: World, name: str, *, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.capacity_bytes = capacity_bytes
        self.foreign_bytes = 0
        """What others (logs, the system) take of the room."""
        self.is_read_only = False
        self.delay_ns = 0
        """What a sync takes longer than usual: a card that tidies up inside."""
        self.writes = 0
        self._world = world
        self._name = name
        self._chance = world.chance(f"disk/{name}")
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._renames: list[tuple[str, str | None, _File | None]] = []
        self._used_bytes = 0
        self._writes_left: int | None = None
        self._traps: dict[int, Callable[[], object]] = {}

    @property
    def free_bytes(self) -> int:
        """Room that is left."""
        return max(0, self.capacity_bytes - self.foreign_bytes - self._used_bytes)

    def names(self) -> tuple[str, ...]:
        """Every file, in the order in which they were made."""
        return tuple(self._names)

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return name in self._names

    def read(self, name: str) -> bytes:
        """A file's bytes; empty when there is none."""
        file = self._names.get(name)
        return b"" if file is None else bytes(file.data)

    def size(self, name: str) -> int:
        """How many bytes `read` would give."""
        file = self._names.get(name)
        return 0 if file is None else len(file.data)

    def append(self, name: str, data: bytes, *, fold: int = 1) -> None:
        """Add to a file, which is made if need be; raises DiskError, and then nothing was added."""
        self._require_writable()
        file = self._names.get(name)
        new = _File(fold=fold) if file is None else file
        grows_bytes = max(0, len(new.data) + len(data) - max(len(new.data), new.room)) * new.fold
        if grows_bytes and grows_bytes > self.free_bytes:
            raise DiskError(f"{self._name}: no space left on device")
        if file is None:
            self._change(name, None, new)
        new.data += data
        self._used_bytes += grows_bytes
        self.writes += 1
        trap = self._traps.pop(self.writes, None) if self._traps else None
        if trap is not None:
            self._world.after(0, trap)

    def take_room(self, name: str, room: int) -> None:
        """Let a file have this many bytes of the card, filled or not, as preallocation does; raises DiskError."""
        self._require_writable()
        file = self._names[name]
        more_bytes = (room - max(len(file.data), file.room)) * file.fold
        if more_bytes > self.free_bytes:
            raise DiskError(f"{self._name}: no space left on device")
        if more_bytes > 0:
            file.room = room
            self._used_bytes += more_bytes

    def cut(self, name: str, length: int) -> None:
        """Shorten a file in place, durably; its room stays its own. Raises DiskError."""
        self._require_writable()
        file = self._names[name]
        file.room = max(len(file.data), file.room)
        del file.data[length:]
        file.durable = min(file.durable, length)

    def sync(self, name: str | None = None) -> None:
        """Make a file durable (None: only the names), and every change of names so far."""
        file = None if name is None else self._names.get(name)
        if file is not None:
            file.durable = len(file.data)
        if self._renames:
            self._renames.clear()
            self._durable_names = dict(self._names)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, replacing what had it; raises DiskError."""
        self._require_writable()
        file = self._names[old]
        self._change(new, old, file)

    def remove(self, name: str) -> None:
        """Take a file away; one that is not there is no fault. Raises DiskError."""
        if name in self._names:
            self._require_writable()
            self._change(name, None, None)

    def lose_power(self) -> None:
        """What was not synced is at the mercy of the card's controller."""
        kept = self._chance.within(0, len(self._renames)) if self._renames else 0
        names = dict(self._durable_names)
        for new, old, file in self._renames[:kept]:
            _apply(names, new, old, file)
        self._names = self._durable_names = names
        self._renames = []
        for file in names.values():
            if file.durable < len(file.data):
                self._tear(file)
        self._used_bytes = sum(file.takes_bytes for file in names.values())
        self._traps.clear()

    def call_at_write(self, count: int, action: Callable[[], object]) -> None:
        """Run `action` when the write that is `count` from now (1: the next) is done and not yet synced."""
        self._traps[self.writes + count] = action

    def wear_out_after(self, writes: int) -> None:
        """The card's last spare block: after so many more writes it is read-only for good, as cards do."""
        self._writes_left = writes

    def rot(self, name: str, position: int) -> None:
        """A bit of a durable file flips."""
        file = self._names[name]
        file.data[position % len(file.data)] ^= 0x40
        self._world.record(self._name, "disk_rot", file=name)

    def clone(self, name: str) -> Disk:
        """A card copied while its computer is off: what is durable now."""
        copy = Disk(self._world, name, capacity_bytes=self.capacity_bytes)
        for each, file in self._durable_names.items():
            copy._names[each] = _File(
                data=file.data[: file.durable], durable=file.durable, fold=file.fold, room=file.room
            )
        copy._durable_names = dict(copy._names)
        copy._used_bytes = sum(file.takes_bytes for file in copy._names.values())
        return copy

    def _change(self, new: str, old: str | None, file: _File | None) -> None:
        replaced = self._names.get(new)
        if replaced is not None:
            self._used_bytes -= replaced.takes_bytes
        self._renames.append((new, old, file))
        _apply(self._names, new, old, file)

    def _require_writable(self) -> None:
        if self._writes_left is not None:
            self._writes_left -= 1
            if self._writes_left < 0 and not self.is_read_only:
                self.is_read_only = True
                self._world.record(self._name, "disk_worn_out")
        if self.is_read_only:
            raise DiskError(f"{self._name}: read-only file system")

    def _tear(self, file: _File) -> None:
        """Of what was written and not synced, a part of the sectors is there, or all of them with nothing in some."""
        tail = len(file.data) - file.durable
        sector = max(1, SECTOR_BYTES // file.fold)
        kept = min(tail, self._chance.within(0, -(-tail // sector)) * sector)
        del file.data[file.durable + kept :]
        if kept and self._chance.random() < 1 / 3:
            begin = file.durable + self._chance.within(0, (kept - 1) // sector) * sector
            end = min(begin + sector, len(file.data))
            file.data[begin:end] = bytes(end - begin)
        file.durable = len(file.data)


def _apply(names: dict[str, _File], new: str, old: str | None, file: _File | None) -> None:
    if old is not None:
        names.pop(old, None)
    if file is None:
        names.pop(new, None)
    else:
        names[new] = file
