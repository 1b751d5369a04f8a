"""The audit log: who did what, where, from which address, and what came of it, as a chain of hashes.

An entry's hash covers its number, the hash before it, and every word of it; a checkpoint is a signature over the
latest number and hash. So an altered, removed, reordered or inserted entry shows, and so does a log that is shorter
than its last checkpoint. What came after the last checkpoint can be cut off unseen: checkpoints are short apart, and
copies of them leave the machine (docs/security.md). Storing, signing keys and files are adapters' work.

The canonical bytes of an entry are one JSON array, compact, UTF-8, fields in the order of `Entry.canonical`; the
export is these bytes, a line each, so that the chain can be checked by any program that knows SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT: Final = 1
START: Final = bytes(32)
"""What the first entry names as its predecessor."""
FAULTS_MAX: Final = 20
"""Faults that are told; more say no more."""
_CHECKPOINT_PURPOSE: Final = "loaxa audit checkpoint"
_WHO_MAX, _PLACE_MAX, _ADDRESS_MAX, _DETAIL_MAX = 64, 40, 64, 300


class Deed(StrEnum):
    """What is put on record; other rooms may use words of their own."""

    LOGIN = "login"
    LOGOUT = "logout"
    SECOND_FACTOR = "second_factor"
    STEP_UP = "step_up"
    REFUSED = "refused"
    EMERGENCY = "emergency"
    DRILL = "drill"
    ALL_CLEAR = "all_clear"
    CORRECTION = "correction"
    RELAY_START = "relay_start"
    RELAY_STOP = "relay_stop"
    VOICE = "voice"
    VOICE_END = "voice_end"
    SILENCE = "silence"
    SILENCE_RELEASE = "silence_release"
    CLONE = "clone"
    ACCOUNT = "account"
    PEOPLE = "people"
    TOKEN = "token"  # noqa: S105 - a word for the log, no secret
    CONFIGURATION = "configuration"
    KEYS = "keys"
    MEDIA = "media"


class Outcome(StrEnum):
    """What came of it."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whose hand it was, and from where."""

    who: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that was done or refused; made by `act_of`, which bounds its words."""

    at_ms: int
    who: str
    what: str
    place: str
    address: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An act in its place in the chain."""

    number: int
    previous_sha256: bytes
    act: Act

    @property
    def canonical(self) -> bytes:
        """The bytes that the hash covers."""
        act = self.act
        return msgspec.json.encode(
            [
                FORMAT,
                self.number,
                self.previous_sha256.hex(),
                act.at_ms,
                act.who,
                act.what,
                act.place,
                act.address,
                act.outcome.value,
                act.detail,
            ]
        )

    @property
    def sha256(self) -> bytes:
        """What the next entry names."""
        return hashlib.sha256(self.canonical).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry as it was found, with the hash that was stored beside it."""

    entry: Entry
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signature over how far the log went."""

    number: int
    sha256: bytes
    at_ms: int
    signature: bytes = b""

    @property
    def canonical(self) -> bytes:
        """The bytes that are signed."""
        return msgspec.json.encode([_CHECKPOINT_PURPOSE, FORMAT, self.number, self.sha256.hex(), self.at_ms])


def act_of(
    deed: str, *, by: Actor, at_ms: int, place: str = "", outcome: Outcome = Outcome.DONE, detail: str = ""
) -> Act:
    """An act with bounded words and no control characters, for they come from outside."""
    return Act(
        at_ms=at_ms,
        who=_clean(by.who, _WHO_MAX),
        what=_clean(deed, _WHO_MAX),
        place=_clean(place, _PLACE_MAX),
        address=_clean(by.address, _ADDRESS_MAX),
        outcome=outcome,
        detail=_clean(detail, _DETAIL_MAX),
    )


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> Checkpoint:
    """The checkpoint with its signature."""
    return replace(checkpoint, signature=key.sign(checkpoint.canonical))


def is_signed(checkpoint: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether the key signed it."""
    try:
        key.verify(checkpoint.signature, checkpoint.canonical)
    except InvalidSignature:
        return False
    return True


class ChainCheck:
    """Looks at a log from its first entry on, page by page, and names what is wrong."""

    def __init__(self, checkpoints: Sequence[Checkpoint], key: Ed25519PublicKey) -> None:
        self.faults: list[str] = []
        self.seen = 0
        """Entries looked at."""
        self.number = 0
        """The number of the last one."""
        self.checkpoints_met = 0
        self._hash = START
        self._is_linked = True
        good = []
        for checkpoint in checkpoints:
            if is_signed(checkpoint, key):
                good.append(checkpoint)
            else:
                self._blame(f"the checkpoint at entry {checkpoint.number} is not signed by this key: altered or forged")
        self._checkpoints: dict[int, list[Checkpoint]] = {}
        for checkpoint in good:
            self._checkpoints.setdefault(checkpoint.number, []).append(checkpoint)
        self._last = max(good, key=lambda each: each.number, default=None)

    @property
    def unsigned(self) -> int:
        """Entries after the last checkpoint: not yet protected against being cut off."""
        return max(0, self.number - (self._last.number if self._last else 0))

    def take(self, stored: Stored) -> None:
        """Look at the next entry in the order of numbers."""
        entry = stored.entry
        self.seen += 1
        if entry.number != self.number + 1:
            self._misplaced(entry.number)
        elif self._is_linked and entry.previous_sha256 != self._hash:
            self._blame(f"entry {entry.number} does not follow entry {self.number}: one of them was exchanged or moved")
        if entry.sha256 != stored.sha256:
            self._blame(f"entry {entry.number} was altered: its words do not give its hash")
        self.number, self._hash, self._is_linked = entry.number, stored.sha256, True
        for checkpoint in self._checkpoints.get(entry.number, ()):
            self.checkpoints_met += 1
            if checkpoint.sha256 != stored.sha256:
                self._blame(
                    f"entry {entry.number} is not the one that its checkpoint signed: "
                    "it, or entries before it, were written anew"
                )

    def end(self, head_number: int, head_sha256: bytes) -> list[str]:
        """All faults, once the last entry was taken; the head is what the log says of its own end."""
        if self._last is not None and self._last.number > self.number:
            self._blame(
                f"the log was cut off: it ends with entry {self.number}, and the checkpoint of entry "
                f"{self._last.number} is signed"
            )
        if head_number > self.number:
            self._blame(f"entries {self.number + 1} to {head_number} were removed from the end")
        elif (head_number, head_sha256) != (self.number, self._hash):
            self._blame(
                f"the log's own note of its end (entry {head_number}) does not fit its last entry {self.number}"
            )
        return self.faults

    def _misplaced(self, number: int) -> None:
        expected = self.number + 1
        if number > expected:
            what = f"entry {expected} is" if number == expected + 1 else f"entries {expected} to {number - 1} are"
            self._blame(f"{what} missing")
            self._is_linked = False
        else:
            self._blame(f"entry {number} stands after entry {self.number}: the order was changed")

    def _blame(self, fault: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(fault)


def parse_line(line: bytes) -> Entry:
    """An entry from its canonical bytes, as the export has them; raises ValueError."""
    try:
        kind = tuple[int, int, str, int, str, str, str, str, Outcome, str]
        number_of_format, number, previous, at_ms, who, what, place, address, outcome, detail = msgspec.json.decode(
            line, type=kind
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"this is no entry: {error}") from error
    if number_of_format != FORMAT:
        raise ValueError(f"format {number_of_format} is not known")
    act = Act(at_ms=at_ms, who=who, what=what, place=place, address=address, outcome=outcome, detail=detail)
    return Entry(number=number, previous_sha256=bytes.fromhex(previous), act=act)


def _clean(text: str, length_max: int) -> str:
    return "".join(each if each.isprintable() else " " for each in text)[:length_max]
