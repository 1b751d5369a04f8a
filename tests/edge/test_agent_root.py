"""A pole whose root is changed, and whose keys are revoked while they sound."""

from __future__ import annotations

import pytest

from protocol.messages import Reality
from protocol.root_chain import seal_chain
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, media, occurrence
from tests.support.pole import T0_MS, Pole

ROOT = topic(TopicName.ROOT)
KEYSET = topic(TopicName.KEYSET)
STREAM = "0123456789abcdef"
CLIP = media("siren", seconds=4)
NEWS = media("news", seconds=30)
BEGIN_MS = T0_MS + 10_000
OLD = ("root-1", "root-2", "root-3")
NEW = ("n-1", "n-2", "n-3")
LATER = ("m-1", "m-2", "m-3")
BOTH = ("root-1", "root-2", "n-1", "n-2")


def ready_pole() -> Pole:
    pole = Pole()
    pole.provide(CLIP, NEWS)
    pole.introduce()
    return pole


def link_to_new(pole: Pole) -> bytes:
    return pole.issuer.link(2, *NEW, signers=BOTH)


def link_to_later(pole: Pole) -> bytes:
    return pole.issuer.link(3, *LATER, signers=("n-2", "n-3", "m-1", "m-3"))


def refused(pole: Pole) -> dict[str, int]:
    """The counters, from a status that is newer than what just happened."""
    pole.run_for(31_000)
    found: dict[str, int] = pole.telemetry()["refused"]
    return found


def keys_of(pole: Pole, *, revoked: bool = True) -> tuple:  # type: ignore[type-arg] # the issuer's own
    issuer = pole.issuer
    return (
        issuer.operational("operations-1", revoked=revoked),
        issuer.operational("operations-2"),
        issuer.operational("drill-1", reality=Reality.DRILL),
    )


def obeys(pole: Pole, key: str = "operations-1") -> bool:
    """Whether a plan that this key signs is played."""
    count = len(pole.airings())
    start_ms = pole.now_ms + 5_000
    pole.send(pole.issuer.plan(occurrence(f"item-{start_ms}", start_ms, NEWS)), key=key)
    pole.run_until(start_ms + 1_000)
    return len(pole.airings()) > count


def test_a_new_root_is_followed_kept_over_a_power_cut_and_the_old_one_signs_no_more() -> None:
    pole = ready_pole()
    pole.deliver(ROOT, seal_chain([link_to_new(pole)]))
    pole.run_for(1_000)
    assert ROOT in pole.sd_card.documents
    assert obeys(pole), "the old root's keyset stands until the next"
    pole.cut_power()
    pole.retained.clear()
    pole.boot()
    pole.connect()
    pole.run_for(500)
    assert obeys(pole), "also after a power cut between the new root and its first keyset"
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole)))
    assert refused(pole) == {"bad_signature": 1}
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole), signers=("n-1", "n-3")))
    pole.run_for(500)
    assert obeys(pole, "operations-2")
    assert not obeys(pole, "operations-1")


def test_a_pole_that_was_off_during_several_changes_follows_them_all() -> None:
    pole = ready_pole()
    pole.disconnect()
    pole.retained[ROOT] = seal_chain([link_to_new(pole), link_to_later(pole)])
    pole.retained[KEYSET] = pole.issuer.keyset(*keys_of(pole), signers=("m-1", "m-2"))
    pole.connect()
    pole.run_for(2_000)
    assert obeys(pole, "operations-2"), "the keyset that came too early is asked for again"
    again = seal_chain([link_to_new(pole), link_to_later(pole)])
    before = refused(pole)
    pole.deliver(ROOT, again)
    pole.deliver(ROOT, pole.retained[ROOT])
    assert refused(pole) == before


def test_an_older_chain_one_of_the_old_roots_alone_and_a_branch_change_nothing() -> None:
    pole = ready_pole()
    pole.deliver(ROOT, seal_chain([pole.issuer.link(2, *NEW, signers=("root-1", "root-2", "n-1"))]))
    pole.deliver(ROOT, seal_chain([pole.issuer.link(2, *NEW, signers=("root-1", "n-1", "n-2"))]))
    assert refused(pole) == {"bad_signature": 2}
    good = seal_chain([link_to_new(pole), link_to_later(pole)])
    pole.deliver(ROOT, good)
    pole.run_for(1_000)
    pole.deliver(ROOT, seal_chain([link_to_new(pole)]))
    thieves = ("t-1", "t-2", "t-3")
    links = [pole.issuer.link(2, *thieves, signers=("root-1", "root-2", "t-1", "t-2"))]
    links += [pole.issuer.link(version, *thieves, signers=("t-1", "t-2")) for version in (3, 4, 5)]
    pole.deliver(ROOT, seal_chain(links))
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole), signers=("t-1", "t-2")))
    assert refused(pole) == {"bad_signature": 5, "replayed": 1}, "the old root's retained keyset is one of them"
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole), signers=("m-1", "m-2")))
    pole.run_for(500)
    assert obeys(pole, "operations-2")


@pytest.mark.parametrize("write_ms", [1, 4, 7, 9, 12])
def test_power_cut_at_any_moment_leaves_the_old_root_or_the_new(write_ms: int) -> None:
    pole = ready_pole()
    pole.deliver(ROOT, seal_chain([link_to_new(pole)]))
    pole.run_for(write_ms)
    pole.cut_power()
    is_new = ROOT in pole.sd_card.documents
    pole.boot()
    pole.retained.pop(ROOT)
    pole.connect()
    pole.run_for(500)
    assert obeys(pole)
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole), signers=NEW[:2] if is_new else OLD[:2]))
    pole.run_for(500)
    assert obeys(pole, "operations-2")


def test_a_stolen_root_cannot_have_used_up_the_numbers_of_keysets() -> None:
    pole = ready_pole()
    pole.issuer._counter = 2**62
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole, revoked=False)))
    pole.run_for(500)
    pole.issuer._counter = T0_MS + 1_000
    pole.deliver(ROOT, seal_chain([link_to_new(pole)]))
    pole.run_for(500)
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole), signers=("n-1", "n-2")))
    pole.run_for(500)
    assert not obeys(pole, "operations-1")


def test_an_emergency_whose_key_is_revoked_while_it_sounds_is_silent_at_once() -> None:
    pole = ready_pole()
    pole.send(pole.issuer.emergency(CLIP, play_at_ms=BEGIN_MS))
    pole.run_until(BEGIN_MS + 6_000)
    assert pole.heard(BEGIN_MS + 5_500, BEGIN_MS + 5_900).any()
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole)))
    pole.run_for(3_000)
    assert pole.airings()[-1][1:] == ("finished", "revoked")
    assert not pole.heard(BEGIN_MS + 6_250, pole.now_ms).any()
    assert topic(TopicName.EMERGENCY, area=COMMUNE) not in pole.sd_card.documents
    pole.send(pole.issuer.emergency(CLIP, play_at_ms=BEGIN_MS), key="operations-2")
    pole.run_for(1_000)
    assert pole.airings()[-1][1] == "started", "what another key says is heard"


def test_a_stream_whose_key_is_revoked_while_it_sounds_is_silent_at_once() -> None:
    pole = ready_pole()
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=BEGIN_MS))
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(120))
    pole.run_until(BEGIN_MS + 4_000)
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole)))
    pole.run_until(BEGIN_MS + 9_000)
    assert pole.airings()[-1] == (STREAM, "finished", "revoked")
    assert pole.heard(BEGIN_MS + 3_000, BEGIN_MS + 3_900).any()
    assert not pole.heard(BEGIN_MS + 4_250, BEGIN_MS + 9_000).any()
    assert topic(TopicName.AUDIO, stream=STREAM) not in pole.subscribed
    assert not pole.pin.commanded.latest


def test_a_revoked_keys_document_is_refused_and_counted() -> None:
    pole = ready_pole()
    pole.deliver(KEYSET, pole.issuer.keyset(*keys_of(pole)))
    pole.run_for(500)
    assert not obeys(pole, "operations-1")
    assert refused(pole) == {"revoked_key": 2}, "the assignment comes once more, too"


@pytest.mark.parametrize("lower", [0, 1])
def test_a_keyset_that_is_older_or_as_old_changes_nothing(lower: int) -> None:
    pole = ready_pole()
    issuer = pole.issuer
    revoking = issuer.keyset(*keys_of(pole))
    issuer._counter -= 1 + lower
    older = issuer.keyset(*keys_of(pole, revoked=False))
    issuer._counter += 10
    pole.deliver(KEYSET, revoking)
    pole.run_for(500)
    pole.deliver(KEYSET, older)
    pole.run_for(500)
    assert not obeys(pole, "operations-1")
    assert refused(pole) == {"replayed": 1, "revoked_key": 2}
