"""Entries change as their table says; what is needed stays; a beginning names only what it can mean."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from controller.errors import RequestCode, RequestError
from controller.media.catalogue import (
    DAY_MS,
    TRANSITIONS,
    EntryState,
    MediaEntry,
    Origin,
    OriginKind,
    changed,
    found_by,
    is_due,
    require_unneeded,
)
from controller.media.intake import TRANSITIONS as STEPS
from controller.media.intake import Intake, IntakeState, is_stale, moved, require_offset
from controller.media.judgement import Loudness, Measured
from protocol.messages import MediaReference

LOUDNESS = Loudness(integrated_lufs=-23.0, range_lu=5.0, true_peak_dbtp=-2.0)
INTAKE = Intake(
    id="0" * 16,
    kind=OriginKind.UPLOAD,
    area="xa",
    title="Bản tin",
    licence="",
    name="a.wav",
    by="lan",
    address="",
    begun_at_ms=0,
    changed_at_ms=0,
    size_bytes=100,
    received_bytes=40,
)


def entry(sha256: str = "ab" * 32, area: str = "xa", state: EntryState = EntryState.KEPT) -> MediaEntry:
    return MediaEntry(
        reference=MediaReference(sha256=sha256, size_bytes=8_000, duration_ms=1_000),
        area=area,
        title="Bản tin",
        licence="",
        origin=Origin(kind=OriginKind.UPLOAD, name="a.wav", sha256="cd" * 32, size_bytes=9),
        found=Measured(duration_ms=1_000, loudness=LOUDNESS, quiet_share=0.1, clipped_share=0.0, cancelled_db=3.0),
        made=LOUDNESS,
        gain_db=3.0,
        added_by="lan",
        added_at_ms=1,
        state=state,
    )


@pytest.mark.parametrize(
    ("state", "verb"), list(itertools.product(EntryState, ("add", "remove", "restore", "purge", "nonsense")))
)
def test_every_other_change_is_refused_with_a_sentence(state: EntryState, verb: str) -> None:
    if (state, verb) in TRANSITIONS:
        after = changed(entry(state=state), verb, by="minh", at_ms=9)
        assert (after.state, after.changed_by, after.changed_at_ms) == (TRANSITIONS[state, verb], "minh", 9)
        return
    with pytest.raises(RequestError) as refused:
        changed(entry(state=state), verb, by="minh", at_ms=9)
    assert refused.value.code is RequestCode.CONFLICT


@pytest.mark.parametrize(
    ("state", "verb"),
    list(itertools.product(IntakeState, ("whole", "begin", "keep", "refuse", "cancel", "interrupt"))),
)
def test_every_other_step_is_refused(state: IntakeState, verb: str) -> None:
    before = msgspec.structs.replace(INTAKE, state=state)
    if (state, verb) in STEPS:
        assert moved(before, verb, at_ms=5).state is STEPS[state, verb]
        return
    with pytest.raises(RequestError, match=state.value):
        moved(before, verb, at_ms=5)


def test_nothing_leaves_a_finished_state() -> None:
    assert all(not msgspec.structs.replace(INTAKE, state=state).is_finished for state, _ in STEPS)


def test_bytes_are_taken_where_both_sides_agree() -> None:
    require_offset(INTAKE, 40)
    for wrong in (0, 39, 41):
        with pytest.raises(RequestError, match="40 byte"):
            require_offset(INTAKE, wrong)
    for more in ({"state": IntakeState.WAITING}, {"kind": OriginKind.PULL}):
        with pytest.raises(RequestError):
            require_offset(msgspec.structs.replace(INTAKE, **more), 40)


def test_what_is_left_is_forgotten_what_waits_is_not() -> None:
    days = 30 * DAY_MS
    assert is_stale(INTAKE, days)
    assert not is_stale(INTAKE, 2 * DAY_MS)
    for state in (IntakeState.WAITING, IntakeState.WORKING):
        assert not is_stale(msgspec.structs.replace(INTAKE, state=state), days), "it is whole: it is judged yet"
    assert not is_stale(msgspec.structs.replace(INTAKE, kind=OriginKind.PULL), days)
    done = msgspec.structs.replace(INTAKE, state=IntakeState.KEPT)
    assert (is_stale(done, DAY_MS), is_stale(done, DAY_MS + 1)) == (False, True)


def test_what_another_entry_keeps_may_go() -> None:
    mine, other = entry(), entry(area="dong")
    uses = ["plan xa", *(f"programme {number}" for number in range(9))]
    with pytest.raises(RequestError, match=r"plan xa; programme 0; .*\+5"):
        require_unneeded(mine, uses, [mine])
    require_unneeded(mine, uses, [mine, other])
    with pytest.raises(RequestError):
        require_unneeded(mine, uses, [mine, entry(area="dong", state=EntryState.REMOVED)])
    require_unneeded(mine, (), [mine])


def test_removed_files_go_after_their_days() -> None:
    removed = changed(entry(), "remove", by="minh", at_ms=1_000)
    assert not is_due(removed, now_ms=1_000 + 30 * DAY_MS - 1, removed_days=30)
    assert is_due(removed, now_ms=1_000 + 30 * DAY_MS, removed_days=30)
    assert is_due(removed, now_ms=1_000, removed_days=0)
    assert not is_due(entry(), now_ms=2**50, removed_days=0)


def test_a_beginning_is_enough_where_it_means_one() -> None:
    one, other = entry("ab" * 32), entry("ac" * 32)
    shelf = {each.id: each for each in (one, other)}
    assert found_by(shelf, one.id) is one
    assert found_by(shelf, "AB") is one
    assert found_by(shelf, "ac" * 32) is other, "its whole hash"
    for text, code in (("a", RequestCode.BAD_REQUEST), ("b", RequestCode.NOT_FOUND), ("", RequestCode.NOT_FOUND)):
        with pytest.raises(RequestError) as refused:
            found_by(shelf, text)
        assert refused.value.code is code
