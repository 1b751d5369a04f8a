"""The card's table of states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.player.card_states import RETRY_MS_FIRST, RETRY_MS_MAX, CardAction, CardInput, CardLife, CardState


def _after(*inputs: CardInput) -> tuple[CardLife, list[CardAction]]:
    life = CardLife()
    actions: list[CardAction] = []
    for happened in inputs:
        actions += life.take(happened)
    return life, actions


def test_a_card_that_is_wanted_is_opened_and_reported() -> None:
    life, actions = _after(CardInput.START, CardInput.OPENED)
    assert life.state is CardState.RUNNING
    assert actions == [CardAction.OPEN, CardAction.REPORT_STARTED]


def test_a_break_is_reported_once_however_often_it_is_tried_in_vain() -> None:
    vain = (CardInput.RETRY, CardInput.FAILED)
    life, actions = _after(CardInput.START, CardInput.OPENED, CardInput.FAILED, *vain, *vain, *vain)
    assert actions.count(CardAction.REPORT_FAILED) == 1
    assert life.failures == 4
    life.take(CardInput.RETRY)
    life.take(CardInput.OPENED)
    assert life.take(CardInput.PULLED) == (CardAction.REPORT_STARTED,)
    assert CardAction.REPORT_FAILED in life.take(CardInput.FAILED)


def test_the_pause_doubles_up_to_its_bound_and_is_short_again_after_success() -> None:
    life, _ = _after(CardInput.START, CardInput.FAILED)
    pauses = [life.retry_ms]
    for _ in range(8):
        life.take(CardInput.RETRY)
        life.take(CardInput.FAILED)
        pauses.append(life.retry_ms)
    assert pauses[:3] == [RETRY_MS_FIRST, 2 * RETRY_MS_FIRST, 4 * RETRY_MS_FIRST]
    assert pauses[-1] == RETRY_MS_MAX
    life.take(CardInput.RETRY)
    life.take(CardInput.OPENED)
    life.take(CardInput.PULLED)
    life.take(CardInput.FAILED)
    assert life.retry_ms == RETRY_MS_FIRST


def test_a_card_that_opens_again_and_takes_nothing_is_neither_reported_nor_tried_in_haste() -> None:
    life, actions = _after(CardInput.START, CardInput.OPENED, CardInput.FAILED)
    for _ in range(4):
        actions += [*life.take(CardInput.RETRY), *life.take(CardInput.OPENED), *life.take(CardInput.FAILED)]
    assert actions.count(CardAction.REPORT_STARTED) == 1
    assert actions.count(CardAction.REPORT_FAILED) == 1
    assert life.retry_ms == 16 * RETRY_MS_FIRST


@given(st.lists(st.sampled_from(list(CardInput)), max_size=60))
def test_it_is_never_opened_twice_without_a_close_and_never_runs_unwanted(inputs: list[CardInput]) -> None:
    life, is_open, is_wanted = CardLife(), False, False
    for happened in inputs:
        is_wanted = {CardInput.START: True, CardInput.STOP: False}.get(happened, is_wanted)
        for action in life.take(happened):
            if action is CardAction.OPEN:
                assert not is_open
                assert is_wanted
                is_open = True
            elif action is CardAction.CLOSE:
                is_open = False
        assert is_wanted == (life.state is not CardState.CLOSED)
        assert is_open == (life.is_opening or life.is_open)
