"""What happened, line by line: canonical bytes that are equal wherever the same seed is run.

A line is `[true_ns,"subject","kind",{facts}]` in JSON with sorted keys. Facts are integers, strings, booleans,
None, and lists or dictionaries of these; floating point numbers are refused, since two machines may differ in
their last digit. The digest covers every line ever written; only the newest are kept in memory, all go to the
sink if there is one. Who writes a line says why it matters; nothing writes one per audio packet.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Final, TypeAlias

import msgspec

LINES_KEPT: Final = 20_000
"""Newest lines kept for the report of a failure: about 2 MB."""
_PENDING_LINES_MAX: Final = 512
"""Lines gathered before they are hashed and written together: one call costs as much as forty lines."""

Fact: TypeAlias = "int | str | bool | list[Fact] | tuple[Fact, ...] | dict[str, Fact] | None"

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class EventLog:
    """An append-only log with a running SHA-256."""

    def __init__(self, *, sink: BinaryIO | None = None, lines_kept: int = LINES_KEPT) -> None:
        self.count = 0
        self._sink = sink
        self._kept: deque[bytes] = deque(maxlen=lines_kept)
        self._pending: list[bytes] = []
        self._hash = hashlib.sha256()

    def write(self, true_ns: int, subject: str, kind: str, /, **facts: Fact) -> None:
        """Append one line; raises TypeError for a floating point fact, at any depth."""
        for name, fact in facts.items():
            if fact.__class__ not in _PLAIN:
                _refuse_floats(name, fact)
        line = _ENCODER.encode((true_ns, subject, kind, facts))
        self.count += 1
        self._kept.append(line)
        self._pending.append(line)
        if len(self._pending) >= _PENDING_LINES_MAX:
            self.flush()

    def flush(self) -> None:
        """Hash what is pending and hand it to the sink."""
        if not self._pending:
            return
        block = b"\n".join(self._pending) + b"\n"
        self._pending.clear()
        self._hash.update(block)
        if self._sink is not None:
            self._sink.write(block)

    @property
    def digest(self) -> str:
        """SHA-256 over every line so far, each with its newline, in hexadecimal."""
        self.flush()
        return self._hash.hexdigest()

    def newest(self, count: int = LINES_KEPT) -> Iterator[bytes]:
        """The newest lines that are still kept, oldest first, without their newline."""
        skipped = max(0, len(self._kept) - count)
        for index, line in enumerate(self._kept):
            if index >= skipped:
                yield line


_PLAIN: Final = frozenset({int, str, bool, type(None)})


def _refuse_floats(name: str, fact: object) -> None:
    if isinstance(fact, float):
        message = f"the fact {name}={fact!r} is a floating point number: log a whole number of a smaller unit"
        raise TypeError(message)
    if isinstance(fact, dict):
        for key, value in fact.items():
            _refuse_floats(f"{name}.{key}", value)
    elif isinstance(fact, list | tuple):
        for index, value in enumerate(fact):
            _refuse_floats(f"{name}[{index}]", value)
