"""Versions only grow, nothing is overwritten, and every step can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import RequestCode, RequestError
from controller.people.audit import Actor
from controller.programmes.programme import Item, Programme, weekly
from controller.programmes.versions import Change, Version, added, edited, removed, restored

AN, BINH = Actor(who="an"), Actor(who="binh")
NOON = Programme(id="noon", title="0", area="xa", items=(Item(text="x"),), recurrence=weekly("11:30"))


def titled(title: str) -> Programme:
    return msgspec.structs.replace(NOON, title=title)


def grown(steps: list[tuple[str, int]]) -> list[Version[Programme]]:
    """The versions after some steps, those that were refused left out."""
    versions = [added(None, NOON, by=AN, at_ms=0)]
    for at_ms, (step, number) in enumerate(steps, 1):
        head = versions[-1]
        made: Version[Programme] | None = None
        try:
            if step == "edit":
                made = edited(head, titled(str(number)), read=head.number, by=BINH, at_ms=at_ms)
            elif step == "remove":
                made = removed(head, "noon", read=head.number, by=BINH, at_ms=at_ms)
            else:
                to = None if step == "undo" else number
                made = restored(versions, "noon", to=to, by=BINH, at_ms=at_ms)
        except RequestError:
            continue
        versions += [made] if made is not None else []
    return versions


STEPS = st.lists(st.tuples(st.sampled_from(["edit", "remove", "undo", "restore"]), st.integers(0, 4)), max_size=12)


@given(STEPS)
def test_versions_are_numbered_in_one_row_and_say_what_they_restore(steps: list[tuple[str, int]]) -> None:
    versions = grown(steps)
    assert [each.number for each in versions] == list(range(1, len(versions) + 1))
    for before, after in pairwise(versions):
        if after.change is Change.RESTORED:
            old = versions[after.restores - 1]
            assert (after.paper, after.is_archived) == (old.paper, old.is_archived)
        else:
            assert not before.is_archived, "what is archived is changed by restoring it only"
            assert (after.paper, after.is_archived) != (before.paper, before.is_archived)


@given(STEPS)
def test_undoing_twice_is_as_if_nothing_was_undone(steps: list[tuple[str, int]]) -> None:
    versions = grown(steps)
    if len(versions) > 1:
        twice = grown([*steps, ("undo", 0), ("undo", 0)])
        assert (twice[-1].paper, twice[-1].is_archived) == (versions[-1].paper, versions[-1].is_archived)


def test_what_cannot_be_is_told() -> None:
    [first, second] = grown([("edit", 1)])
    gone = removed(second, "noon", read=2, by=AN, at_ms=3)
    cases: tuple[tuple[RequestCode, str, Callable[[], object]], ...] = (
        (RequestCode.CONFLICT, "exists", lambda: added(first, NOON, by=AN, at_ms=1)),
        (RequestCode.CONFLICT, "undo its removal", lambda: added(gone, NOON, by=AN, at_ms=1)),
        (RequestCode.CONFLICT, "changed by binh", lambda: edited(second, NOON, read=1, by=AN, at_ms=1)),
        (RequestCode.CONFLICT, "archived", lambda: edited(gone, NOON, read=3, by=AN, at_ms=1)),
        (RequestCode.NOT_FOUND, "not known", lambda: edited(None, NOON, read=1, by=AN, at_ms=1)),
        (RequestCode.CONFLICT, "one version", lambda: restored([first], "noon", to=None, by=AN, at_ms=1)),
        (RequestCode.NOT_FOUND, "earlier ones: 1 - 1", lambda: restored([first, second], "noon", to=2, by=AN, at_ms=1)),
        (RequestCode.NOT_FOUND, "not known", lambda: restored([], "noon", to=None, by=AN, at_ms=1)),
    )
    for code, said, change in cases:
        with pytest.raises(RequestError) as refused:
            change()
        assert (refused.value.code, said in refused.value.message) == (code, True), refused.value.message
