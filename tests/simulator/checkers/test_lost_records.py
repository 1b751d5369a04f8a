"""What a card did not keep: when `proof` bears that a record is missing, and when not."""

from __future__ import annotations

import pytest

from protocol.messages import (
    LOOSE_FROM,
    AiringRecord,
    AiringState,
    BroadcastClass,
    Reality,
    SourceKind,
)
from simulator.checkers.evidence import Evidence, Heard, Permit, PoleFacts, Stored, Trouble
from simulator.checkers.proof import PROOF

S = 1_000_000_000
T0 = 1_800_000_000 * S
NODE = "N0001"


def evidence(*records: tuple[int, AiringState, str], troubles: tuple[str, ...] = (), cut_off: bool = False) -> Evidence:
    """One minute of news on one pole; records are number, state, reason."""
    heard = Heard(pole=NODE, source="media:news", begins_ns=T0, ends_ns=T0 + 60 * S, is_powered=True)
    facts = PoleFacts(name=NODE, node=NODE, edge_ns=0, warm_up_ns=0, hold_ns=0, looked_ns=T0 + 900 * S, heard=[heard])
    permit = Permit(
        source="media:news",
        id="news",
        key="plan:a:news",
        kind=SourceKind.MEDIA,
        area="a",
        broadcast_class=BroadcastClass.ROUTINE,
        begins_ns=T0,
        ends_ns=T0 + 60 * S,
        issued_ns=T0 - S,
    )
    stored = [
        Stored(node=NODE, report_key="k", number=number, received_ns=T0, record=record(state, reason))
        for number, state, reason in records
    ]
    return Evidence(
        begins_ns=T0 - S,
        ends_ns=T0 + 900 * S,
        poles={NODE: facts},
        permits=[permit],
        records=stored,
        troubles=[Trouble(pole=NODE, begins_ns=T0 - S, ends_ns=T0 + 300 * S, what=what) for what in troubles],
        cut_offs=[(NODE, T0 + 100 * S)] if cut_off else [],
    )


def record(state: AiringState, reason: str) -> AiringRecord:
    at_ns = T0 if state is AiringState.STARTED else T0 + 60 * S
    return AiringRecord(
        airing="news:1",
        source=SourceKind.MEDIA,
        source_id="news",
        title="News",
        broadcast_class=BroadcastClass.ROUTINE,
        reality=Reality.REAL,
        state=state,
        at_ms=at_ns // 1_000_000,
        reason=reason,
    )


def says(found: Evidence) -> list[str]:
    return [violation.evidence for violation in PROOF.judge(found)]


STARTED, FINISHED = AiringState.STARTED, AiringState.FINISHED


def test_one_begin_and_one_end_are_right() -> None:
    assert says(evidence((1, STARTED, "on time"), (2, FINISHED, "finished"))) == []


def test_a_name_that_begins_twice_is_wrong_whatever_the_clock_did() -> None:
    found = evidence((1, STARTED, "on time"), (2, FINISHED, "finished"), (3, STARTED, "on time"))
    found.poles[NODE].clock_errors = [(T0, 3_600 * S)]
    assert ["2 started" in line for line in says(found)] == [True]


@pytest.mark.parametrize(
    ("troubles", "cut_off", "is_borne"),
    [
        (("storage_read_only", "network_cut"), True, True),
        (("storage_read_only", "network_cut"), False, False),
        (("storage_read_only",), True, False),
        (("storage_full", "network_cut"), True, False),
        (("storage_slow",), True, True),
        ((), True, False),
    ],
)
def test_a_missing_record_is_borne_only_where_nothing_could_keep_or_carry_it_and_the_node_says_so(
    troubles: tuple[str, ...], *, cut_off: bool, is_borne: bool
) -> None:
    found = says(evidence(troubles=troubles, cut_off=cut_off))
    assert bool(found) is not is_borne


def test_an_end_by_power_cut_beside_a_real_one_is_borne_only_if_the_card_had_refused_the_real_one() -> None:
    assert (
        says(evidence((1, STARTED, "on time"), (2, FINISHED, "power_cut"), (LOOSE_FROM + 1, FINISHED, "finished")))
        == []
    )
    assert says(evidence((1, STARTED, "on time"), (2, FINISHED, "power_cut"), (3, FINISHED, "finished")))


def test_an_airing_without_an_end_is_borne_only_if_the_card_had_refused_its_begin_and_the_node_was_cut_off() -> None:
    assert says(evidence((LOOSE_FROM + 1, STARTED, "on time"), cut_off=True)) == []
    assert says(evidence((LOOSE_FROM + 1, STARTED, "on time")))
    assert says(evidence((1, STARTED, "on time"), cut_off=True))
