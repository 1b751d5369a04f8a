"""A gain that glides: quiet where it must be quiet, the same samples in whatever pieces, no step that clicks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.player.gain import GLIDE_SAMPLES, Gain

AT = 100_000
END = 130_000


def factors(gain: Gain, first: int, end: int) -> list[float]:
    found = gain.over(first, end)
    return [found] * (end - first) if isinstance(found, float) else [float(each) for each in found]


def test_what_becomes_quieter_is_quiet_at_its_very_sample_and_louder_only_from_it_on() -> None:
    down, up = Gain(0.0), Gain(-6.0)
    down.change(-6.0, AT, position=0)
    up.change(0.0, AT, position=0)
    assert down.at(AT - GLIDE_SAMPLES) == 1.0
    assert abs(down.at(AT) - 10 ** (-6 / 20)) < 1e-6
    assert abs(up.at(AT) - 10 ** (-6 / 20)) < 1e-6
    assert up.at(AT + GLIDE_SAMPLES) == 1.0
    assert isinstance(down.over(AT + GLIDE_SAMPLES, END), float), "behind the glide it costs nothing"


def test_what_comes_too_late_glides_from_where_it_is() -> None:
    gain = Gain(0.0)
    gain.change(-20.0, AT, position=AT + 500)
    heard = factors(gain, AT + 500, AT + 500 + 2 * GLIDE_SAMPLES)
    assert heard[0] == 1.0
    assert abs(heard[-1] - 0.1) < 1e-6
    assert max(abs(np.diff(heard))) < 1e-3


def test_a_second_change_goes_on_from_the_first() -> None:
    gain = Gain(0.0)
    gain.change(-20.0, AT, position=0)
    middle = AT - GLIDE_SAMPLES // 2
    before = gain.at(middle)
    gain.change(0.0, middle, position=middle)
    assert 0.5 < before < 0.6
    assert abs(gain.at(middle) - before) < 1e-6
    assert gain.at(middle + GLIDE_SAMPLES) == 1.0


@given(cuts=st.lists(st.integers(AT - 20_000, END - 1), max_size=6), gain_db=st.sampled_from([-30.0, -6.0, 6.0]))
def test_the_pieces_change_nothing(cuts: list[int], gain_db: float) -> None:
    whole, pieces = Gain(0.0), Gain(0.0)
    for each in (whole, pieces):
        each.change(gain_db, AT, position=0)
    edges = [AT - 20_000, *sorted(set(cuts) - {AT - 20_000}), END]
    heard = [value for first, end in pairwise(edges) for value in factors(pieces, first, end)]
    assert np.allclose(heard, factors(whole, AT - 20_000, END), atol=1e-6)
