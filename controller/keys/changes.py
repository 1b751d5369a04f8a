"""What a new keyset would change, and what would be wrong with it: shown before anybody signs.

`faults` keep a keyset from being signed; `warnings` are for the signers to weigh; `lines` say every difference to the
keyset in force in words.

Rules kept: a key id names one key for ever, for nodes count by it; a revoked key never comes back; a version rises
by one; nothing that the root holds signs documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from controller.keys.draft import day_text
from protocol.codec import cbor_encode
from protocol.keyring import ANYWHERE, RootKeys
from protocol.messages import DOCUMENT_BYTES_MAX, BroadcastClass, Keyset, OperationalKey, Reality

_DAY_MS: Final = 24 * 3600 * 1000
SIGNATURES_BYTES: Final = 1_400
"""Sixteen signatures and the envelope."""
LONG_MS: Final = 800 * _DAY_MS
"""A key that is good for longer is stolen for longer."""
SOON_MS: Final = 45 * _DAY_MS
"""Time enough to bring the root's holders together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What signers are shown."""

    lines: tuple[str, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def changes_of(new: Keyset, *, in_force: Keyset | None, root: RootKeys, now_ms: int) -> Changes:
    """Compare a keyset with the one in force; None where there is none yet."""
    return Changes(
        lines=tuple(_lines(new, in_force)),
        faults=tuple(_faults(new, in_force, root, now_ms)),
        warnings=tuple(_warnings(new, in_force, now_ms)),
    )


def _lines(new: Keyset, old: Keyset | None) -> Iterator[str]:
    known = {} if old is None else {key.key_id: key for key in old.keys}
    was = "-" if old is None else f"{old.counter} ({day_text(old.expires_at_ms)})"
    yield f"phiên bản / version: {was} -> {new.counter} (đến / until {day_text(new.expires_at_ms)})"
    for key in new.keys:
        before = known.pop(key.key_id, None)
        if before is None:
            yield f"+ {key.key_id}: khoá mới / new key {key.public_key.hex()}"
            yield from (f"+   {line}" for line in _facts(key).values())
        elif before == key:
            yield f"  {key.key_id}: không đổi / unchanged"
        else:
            yield f"~ {key.key_id}: thay đổi / changed"
            was_facts, facts = _facts(before), _facts(key)
            for name, line in facts.items():
                if line != was_facts[name]:
                    yield f"-   {was_facts[name]}"
                    yield f"+   {line}"
    yield from (f"- {key_id}: bị bỏ / removed: nothing that it signed is obeyed any more" for key_id in known)


def _facts(key: OperationalKey) -> dict[str, str]:
    scope = key.scope
    return {
        "key": f"public_key {key.public_key.hex()}",
        "types": f"document_types {', '.join(scope.document_types)}",
        "areas": f"areas {', '.join(scope.areas)}",
        "classes": f"classes {', '.join(scope.classes)}",
        "realities": f"realities {', '.join(scope.realities)}",
        "time": f"valid {day_text(key.not_before_ms)} to {day_text(key.expires_at_ms)}",
        "revoked": f"REVOKED / THU HỒI: {key.revoked_reason}" if key.revoked else "not revoked",
    }


def _faults(new: Keyset, old: Keyset | None, root: RootKeys, now_ms: int) -> Iterator[str]:
    if new.expires_at_ms <= now_ms:
        yield f"the keyset ended on {day_text(new.expires_at_ms)}; no node would take it"
    if not 1 <= new.counter < 2**53:
        yield f"version {new.counter}: begin with 1"
    ids = [key.key_id for key in new.keys]
    public = [key.public_key for key in new.keys]
    for key in new.keys:
        if ids.count(key.key_id) > 1:
            yield f"{key.key_id} stands twice"
        if public.count(key.public_key) > 1:
            yield f"{key.key_id}: its public key has another name too; one key, one name"
        if key.public_key.hex() in root.keys.values() or key.key_id in root.keys:
            yield f"{key.key_id} is a key of the root; the root signs keysets and nothing else"
        if key.expires_at_ms <= key.not_before_ms:
            yield f"{key.key_id} would end before it begins"
    size = len(cbor_encode(new)) + SIGNATURES_BYTES
    if size > DOCUMENT_BYTES_MAX:
        yield f"{size} bytes; a message has at most {DOCUMENT_BYTES_MAX}: leave out keys that have long expired"
    if old is not None:
        yield from _faults_of_succession(new, old)


def _faults_of_succession(new: Keyset, old: Keyset) -> Iterator[str]:
    if new.counter != old.counter + 1:
        yield f"version {new.counter} does not follow {old.counter}: take `version: {old.counter + 1}`"
    known = {key.key_id: key for key in old.keys}
    for key in new.keys:
        before = known.get(key.key_id)
        if before is not None and before.public_key != key.public_key:
            yield f"{key.key_id} would be another key than before; give the new key a new name"
        if before is not None and before.revoked and not key.revoked:
            yield f"{key.key_id} was revoked ({before.revoked_reason}); a revoked key never comes back, make a new one"


def _warnings(new: Keyset, old: Keyset | None, now_ms: int) -> Iterator[str]:
    if old is None:
        yield "no keyset in force was given: this must be the very first one of this root"
    usable = [key for key in new.keys if not key.revoked and key.expires_at_ms > now_ms]
    for key in usable:
        if set(key.scope.realities) == set(Reality):
            yield f"{key.key_id} may sign drills and what is real: whoever drills could mean it"
        if ANYWHERE in key.scope.areas and _may_raise(key):
            yield f"{key.key_id} may raise real emergencies everywhere"
        if key.expires_at_ms - now_ms > LONG_MS:
            yield f"{key.key_id} is good until {day_text(key.expires_at_ms)}: more than two years"
        if key.expires_at_ms > new.expires_at_ms:
            yield f"{key.key_id} is good for longer than the keyset; new nodes take neither after the keyset's end"
    yield from expiring(new, now_ms)
    if not any(_may_raise(key) for key in usable):
        yield "no key of it may sign a real emergency"
    for key in old.keys if old is not None else ():
        after = next((each for each in new.keys if each.key_id == key.key_id), None)
        if not key.revoked and (after is None or after.revoked):
            yield f"what {key.key_id} ordered falls silent at once on every node, also in the middle of a word"


def _may_raise(key: OperationalKey) -> bool:
    scope = key.scope
    return (
        "emergency" in scope.document_types
        and BroadcastClass.EMERGENCY in scope.classes
        and Reality.REAL in scope.realities
    )


def expiring(keyset: Keyset, now_ms: int) -> Iterator[str]:
    """What ends soon, or has ended."""
    if keyset.expires_at_ms <= now_ms:
        yield f"hết hạn / the keyset ended on {day_text(keyset.expires_at_ms)}: issue the next one"
    elif keyset.expires_at_ms - now_ms < SOON_MS:
        yield f"sắp hết hạn / the keyset ends on {day_text(keyset.expires_at_ms)}"
    for key in keyset.keys:
        if not key.revoked and key.expires_at_ms <= now_ms:
            yield f"hết hạn / {key.key_id} ended on {day_text(key.expires_at_ms)}"
        elif not key.revoked and key.expires_at_ms - now_ms < SOON_MS:
            yield f"sắp hết hạn / {key.key_id} ends on {day_text(key.expires_at_ms)}: keys keyset rotate"
