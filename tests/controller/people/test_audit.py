"""The audit log's chain: whatever is done to a stored log is found and named."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from controller.people.audit import (
    START,
    Act,
    Actor,
    ChainCheck,
    Checkpoint,
    Deed,
    Entry,
    Outcome,
    Stored,
    act_of,
    parse_line,
    sign,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WORDS = ("who", "what", "place", "address", "detail")


def log_of(count: int, *, since: Entry | None = None) -> list[Stored]:
    log: list[Stored] = []
    previous, number = (since.sha256, since.number) if since else (START, 0)
    for at in range(number + 1, number + count + 1):
        act = act_of(Deed.LOGIN, by=Actor(who=f"p{at % 3}", address="192.0.2.1"), at_ms=at, detail=f"lần {at}")
        entry = Entry(number=at, previous_sha256=previous, act=act)
        previous = entry.sha256
        log.append(Stored(entry=entry, sha256=previous))
    return log


def checkpoint(stored: Stored) -> Checkpoint:
    return sign(Checkpoint(number=stored.entry.number, sha256=stored.sha256, at_ms=9), KEY)


def faults(log: list[Stored], checkpoints: list[Checkpoint], *, head: Stored | None = None) -> list[str]:
    check = ChainCheck(checkpoints, KEY.public_key())
    for stored in log:
        check.take(stored)
    at = head or (log[-1] if log else None)
    return check.end(at.entry.number if at else 0, at.sha256 if at else START)


def rewritten(log: list[Stored], at: int, act: Act) -> list[Stored]:
    """The entry exchanged and everything after it hashed anew, as one would who has the database and not the key."""
    made = log[:at]
    previous = log[at - 1].sha256 if at else START
    for index in range(at, len(log)):
        entry = replace(log[index].entry, previous_sha256=previous, act=act if index == at else log[index].entry.act)
        previous = entry.sha256
        made.append(Stored(entry=entry, sha256=previous))
    return made


def test_a_good_log_is_good_and_says_what_is_not_signed_yet() -> None:
    log = log_of(10)
    assert faults(log, [checkpoint(log[3]), checkpoint(log[7])]) == []
    check = ChainCheck([checkpoint(log[7])], KEY.public_key())
    for stored in log:
        check.take(stored)
    assert (check.unsigned, check.checkpoints_met, check.seen) == (2, 1, 10)
    assert faults([], []) == []


@given(at=st.integers(0, 9), word=st.sampled_from(WORDS), said=st.text(max_size=20))
def test_an_altered_word_is_named(at: int, word: str, said: str) -> None:
    log = log_of(10)
    act = replace(log[at].entry.act, **{word: said})  # type: ignore[arg-type] # any of the texts
    if act == log[at].entry.act:
        return
    altered = [*log[:at], replace(log[at], entry=replace(log[at].entry, act=act)), *log[at + 1 :]]
    assert any(f"entry {at + 1} was altered" in fault for fault in faults(altered, []))


@pytest.mark.parametrize("change", [{"at_ms": 7}, {"outcome": Outcome.REFUSED}])
def test_an_altered_time_or_outcome_is_named(change: dict[str, object]) -> None:
    log = log_of(5)
    log[2] = replace(log[2], entry=replace(log[2].entry, act=replace(log[2].entry.act, **change)))  # type: ignore[arg-type] # either field
    assert faults(log, []) == ["entry 3 was altered: its words do not give its hash"]


def test_an_altered_entry_with_its_own_hash_made_anew_breaks_the_next_link() -> None:
    log = log_of(5)
    entry = replace(log[2].entry, act=replace(log[2].entry.act, who="nobody"))
    log[2] = Stored(entry=entry, sha256=entry.sha256)
    assert faults(log, []) == ["entry 4 does not follow entry 3: one of them was exchanged or moved"]


def test_a_log_written_anew_from_an_entry_on_meets_its_checkpoint() -> None:
    log = log_of(10)
    signed = [checkpoint(log[2]), checkpoint(log[8])]
    forged = rewritten(log, 5, replace(log[5].entry.act, who="somebody else"))
    found = faults(forged, signed)
    assert len(found) == 1
    assert "entry 9 is not the one that its checkpoint signed" in found[0]


@given(gone=st.sets(st.integers(1, 9), min_size=1, max_size=8))
def test_removed_entries_are_named(gone: set[int]) -> None:
    log = log_of(10)
    found = faults([each for each in log if each.entry.number not in gone], [])
    assert found
    for number in gone:
        assert any(str(number) in fault or " to " in fault for fault in found)


def test_a_reordered_pair_is_named() -> None:
    log = log_of(6)
    swapped = [*log[:2], log[3], log[2], *log[4:]]
    found = faults(swapped, [])
    assert "entry 3 is missing" in found
    assert "entry 3 stands after entry 4: the order was changed" in found
    renumbered = list(log)
    for at, other in ((2, 3), (3, 2)):
        entry = replace(log[other].entry, number=at + 1)
        renumbered[at] = Stored(entry=entry, sha256=log[other].sha256)
    assert any("entry 3 was altered" in fault for fault in faults(renumbered, []))


def test_a_log_that_was_cut_off_behind_its_checkpoint_is_named() -> None:
    log = log_of(10)
    assert any("the log was cut off: it ends with entry 6" in each for each in faults(log[:6], [checkpoint(log[7])]))
    assert faults(log[:6], [], head=log[9]) == ["entries 7 to 10 were removed from the end"]
    assert faults([], [checkpoint(log[7])])


def test_a_forged_or_altered_checkpoint_is_named() -> None:
    log = log_of(5)
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = sign(Checkpoint(number=3, sha256=log[2].sha256, at_ms=1), other)
    assert "is not signed by this key" in faults(log, [forged])[0]
    moved = replace(checkpoint(log[2]), number=4)
    assert "is not signed by this key" in faults(log, [moved])[0]


def test_an_exported_line_is_what_the_hash_covers() -> None:
    log = log_of(3)
    lines = [stored.entry.canonical for stored in log]
    assert [parse_line(line) for line in lines] == [stored.entry for stored in log]
    assert hashlib.sha256(lines[0]).hexdigest().encode() in lines[1]
    for bad in (b"", b"[]", b"{", lines[0].replace(b"[1,", b"[2,", 1), b'[1,1,"zz",1,"","","","","done",""]'):
        with pytest.raises(ValueError, match=r"."):
            parse_line(bad)


def test_words_from_outside_are_bounded_and_on_one_line() -> None:
    act = act_of("x" * 500, by=Actor(who="a\nb\x1b[31m", address="z" * 500), at_ms=1, detail="d\r\n" * 500)
    assert (act.who, len(act.what), len(act.address), len(act.detail)) == ("a b [31m", 64, 64, 300)
    assert act.detail.isprintable()
