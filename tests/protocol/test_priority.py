"""The collision rule, as a total order that every pole computes alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.messages import BroadcastClass, Reality
from protocol.priority import Rank, rank
from tests.support.messages import classes, names, realities

ranks = st.builds(
    rank, classes, st.integers(0, 7), st.integers(0, 10), names, reality=realities, before_upper=st.booleans()
)

IN_ORDER = [
    rank(BroadcastClass.EMERGENCY, 2, 9, "z"),
    rank(BroadcastClass.EMERGENCY, 0, 0, "a", reality=Reality.DRILL),
    rank(BroadcastClass.PRIORITY, 3, 5, "a", before_upper=True),
    rank(BroadcastClass.PRIORITY, 2, 5, "a", before_upper=True),
    rank(BroadcastClass.PRIORITY, 0, 5, "z"),
    rank(BroadcastClass.PRIORITY, 1, 4, "z"),
    rank(BroadcastClass.ROUTINE, 0, 3, "b"),
    rank(BroadcastClass.ROUTINE, 1, 1, "b"),
    rank(BroadcastClass.ROUTINE, 1, 2, "a"),
    rank(BroadcastClass.ROUTINE, 1, 2, "b"),
]


def test_class_then_reality_then_area_as_the_lower_one_ordered_then_start_then_name() -> None:
    backwards = IN_ORDER[::-1]
    assert sorted(backwards) == IN_ORDER


@given(depth=st.integers(1, 7), above=st.integers(0, 6), later=st.integers(0, 10))
def test_priority_against_priority_the_commune_orders(depth: int, above: int, later: int) -> None:
    upper = rank(BroadcastClass.PRIORITY, min(above, depth - 1), 0, "upper")
    assert upper < rank(BroadcastClass.PRIORITY, depth, later, "own")
    assert rank(BroadcastClass.PRIORITY, depth, later, "own", before_upper=True) < upper
    for other in (BroadcastClass.ROUTINE, BroadcastClass.EMERGENCY):
        assert rank(other, depth, later, "own", before_upper=True) == rank(other, depth, later, "own")


@given(ranks, ranks, ranks)
def test_it_is_a_total_order(one: Rank, two: Rank, three: Rank) -> None:
    assert (one < two) + (two < one) + (one == two) == 1
    assert not (one <= two <= three) or one <= three


@given(st.lists(ranks, min_size=1), st.randoms())
def test_the_winner_does_not_depend_on_who_was_heard_of_first(items: list[Rank], random: st.random.Random) -> None:  # type: ignore[name-defined] # hypothesis names it so
    shuffled = list(items)
    random.shuffle(shuffled)
    assert min(shuffled) == min(items)
