"""Who may decide on what, and which version may sound: against a telling of the story in other words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import RequestCode, RequestError
from controller.people.audit import Actor
from controller.programmes.bulletin import (
    Bulletin,
    Decision,
    Draft,
    Verdict,
    airing_number,
    authors_of,
    decided,
)

PEOPLE = ("an", "binh/t1", "chi")


def decide(drafts: list[Draft], decisions: list[Decision], by: str, *, yes: bool, reason: str = "vì sao") -> Decision:
    read = drafts[-1].number
    return decided(drafts, decisions, read=read, is_approved=yes, reason=reason, by=Actor(who=by), at_ms=1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "withdraw", "yes", "no"]), st.sampled_from(PEOPLE)), min_size=1, max_size=14
    )
)
def test_nothing_sounds_that_another_person_has_not_approved(story: list[tuple[str, str]]) -> None:
    drafts = [Draft(number=1, who="an")]
    decisions: list[Decision] = []
    on_air: int | None = None
    for step, who in story:
        head = drafts[-1]
        if step == "write":
            drafts.append(Draft(number=head.number + 1, who=who))
        elif step == "withdraw" and not head.is_archived:
            drafts.append(Draft(number=head.number + 1, who=who, is_archived=True))
            on_air = None
        elif step in {"yes", "no"}:
            try:
                made = decide(drafts, decisions, who, yes=step == "yes")
            except RequestError:
                continue
            assert not head.is_archived
            decisions = [each for each in decisions if each.number != made.number] + [made]
            if made.verdict is Verdict.APPROVED:
                assert who.partition("/")[0] != head.who.partition("/")[0]
                on_air = made.number
            elif made.verdict is Verdict.TAKEN_BACK:
                on_air = None
        assert airing_number(drafts, decisions) == on_air


def test_authors_are_all_who_wrote_since_somebody_last_approved() -> None:
    drafts = [Draft(number=1, who="an"), Draft(number=2, who="binh/t1")]
    assert authors_of(drafts, []) == {"an", "binh"}
    approved = Decision(number=2, who="chi", at_ms=1, verdict=Verdict.APPROVED)
    later = [*drafts, Draft(number=3, who="chi")]
    assert authors_of(later, [approved]) == {"chi"}
    again = [*later, Draft(number=4, who="dung", restores=1)]
    assert authors_of(again, [approved]) == {"an", "chi", "dung"}
    refused = Decision(number=2, who="chi", at_ms=1, verdict=Verdict.REFUSED)
    assert authors_of(later, [refused]) == {"an", "binh", "chi"}


@pytest.mark.parametrize(
    ("by", "yes", "reason", "code"),
    [
        ("an", True, "", RequestCode.FORBIDDEN),
        ("an/t7", False, "x", RequestCode.FORBIDDEN),
        ("service/file", True, "", RequestCode.FORBIDDEN),
        ("", True, "", RequestCode.FORBIDDEN),
        ("binh", False, "  ", RequestCode.BAD_REQUEST),
    ],
)
def test_who_may_not_decide_is_told(by: str, yes: bool, reason: str, code: RequestCode) -> None:
    with pytest.raises(RequestError) as refused:
        decide([Draft(number=1, who="an")], [], by, yes=yes, reason=reason)
    assert refused.value.code is code


def test_a_decision_is_about_what_was_read_and_changes_something() -> None:
    drafts = [Draft(number=1, who="an"), Draft(number=2, who="an")]
    with pytest.raises(RequestError, match="read version 2"):
        decided(drafts, [], read=1, is_approved=True, reason="", by=Actor(who="binh"), at_ms=1)
    approved = decide(drafts, [], "binh", yes=True)
    with pytest.raises(RequestError, match="is approved: this changes nothing"):
        decide(drafts, [approved], "chi", yes=True)
    gone = [*drafts, Draft(number=3, who="an", is_archived=True)]
    with pytest.raises(RequestError, match="is withdrawn"):
        decide(gone, [approved], "chi", yes=True)


def test_a_bulletin_says_something_until_a_day_that_exists() -> None:
    with pytest.raises(ValueError, match="a text, a recording"):
        Bulletin(id="x", title="x", area="xa", valid_until="2030-01-01")
    with pytest.raises(ValueError, match="no such day"):
        Bulletin(id="x", title="x", area="xa", text="x", valid_until="2030-02-30")
