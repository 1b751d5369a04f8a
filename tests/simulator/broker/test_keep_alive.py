"""Keep-alive that is worked out must end exactly where a simulated one would."""

from __future__ import annotations

import pytest

from simulator.broker.keep_alive import KeepAlive

_S = 1_000_000_000
_CASES = [
    # stalled at, gives up at (client: two keep-alives after the last answered ping)
    (0, 60),
    (29, 60),
    (30, 90),
    (75, 120),
]


@pytest.mark.parametrize(("stalled_s", "gives_up_s"), _CASES)
def test_an_end_gives_up_after_the_last_ping_that_passed(stalled_s: int, gives_up_s: int) -> None:
    keep_alive = KeepAlive(every_ns=30 * _S, patience_ns=60 * _S, now_ns=0)
    assert keep_alive.gives_up_at(stalled_s * _S) == gives_up_s * _S


@pytest.mark.parametrize(
    ("healed_s", "is_saved"),
    [
        (20, True),  # no ping was due yet
        (31, True),  # due at 30, tried again at 31.4
        (36, True),  # tried again at 36.2
        (44, False),  # tried again at 55.4, given up at 45
    ],
)
def test_a_healed_path_saves_the_connection_only_if_the_ping_passes_in_time(healed_s: int, is_saved: bool) -> None:
    keep_alive = KeepAlive(every_ns=30 * _S, patience_ns=45 * _S, now_ns=0)
    assert keep_alive.gives_up_at(10 * _S) == 45 * _S
    assert keep_alive.is_saved(healed_s * _S) is is_saved
