"""Attacks on a real node, a real broker and a real controller by whoever holds the broker or a key.

One commune for all. What is measured is what came out of the nodes' sound paths, sample by sample, and what their
amplifiers' pins did; what is counted is read from the node's telemetry over MQTT.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.enrolment.lifecycle import Happening
from protocol.topics import TopicName, topic
from protocol.units import SharedNs
from simulator.demo.disturbance import heard_at
from simulator.demo.evidence import gaps_undisturbed
from tests.support import attacks_in_silence
from tests.support import forgery as forged
from tests.support.attacks import OTHERS, Attack, AttackTable, Row
from tests.support.attacks_in_silence import IN_SILENCE
from tests.support.attacks_on_air import ON_AIR, stream_of
from tests.support.besieged import NEIGHBOUR, NODE, OTHER, OTHER_VILLAGE, RUNNING, VILLAGE, Besieged
from tests.support.enrolment_bench import make_unit
from tests.support.flood import garbage, memory_kib, of_a_node, pour
from tests.support.hostile_broker import HostileBroker
from tests.support.pki import make_pki

pytestmark = [pytest.mark.slow, pytest.mark.alone]

COMMUNE = "xa-binh-minh"
AFTERMATH_S = 2.5
"""An order that was obeyed late would sound by then."""
FLOOD_S = 3.0
GROWTH_KIB_MAX = 48 * 1024
"""Beyond what a process held at most before; a flood that was kept would be 6 MiB and its objects 100."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    made = Besieged(tmp_path_factory.mktemp("besieged"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def silence() -> dict[str, Any]:
    """When the silent part began, and the table's rows with the instants at which their attacks did."""
    return {"since_ns": 0, "rows": [], "order": b""}


def test_what_is_genuine_sounds_or_the_rest_would_show_nothing(ground: Besieged, silence: dict[str, Any]) -> None:
    """The controller's own emergency, and one like the forged ones but signed by a good key: both are heard."""
    began_ns = time.time_ns()
    raised = ground.console.start_emergency(area=VILLAGE, clip="flood", minutes=5)
    ground.until(lambda: ground.sounds(NODE), what="the controller's emergency sounds")
    ground.console.all_clear(raised, reason="xong")
    ground.until_silent()
    again_ns = time.time_ns()
    silence["order"] = forged.order(ground)
    ground.intruder.say(forged.emergency_topic(), silence["order"])
    ground.until(lambda: ground.sounds(NODE), what="an order by a good key sounds")
    ground.intruder.say(forged.emergency_topic(), forged.all_clear(ground), retain=True)
    ground.until_silent()
    for since_ns, until_ns in ((began_ns, again_ns), (again_ns, None)):
        assert ground.foreign_samples(since_ns, until_ns) > 4_800
        assert ground.sounding_samples(since_ns, until_ns) > 4_800
    assert ground.pin_changes(began_ns) == 4
    assert not ground.refused()


@pytest.mark.parametrize("attack", IN_SILENCE, ids=lambda attack: attack.name)
def test_in_silence(ground: Besieged, table: AttackTable, silence: dict[str, Any], attack: Attack) -> None:
    began_ns, before = time.time_ns(), ground.refused()
    silence["since_ns"] = silence["since_ns"] or began_ns
    attack.does(ground)
    ground.until_counted(before, dict(attack.counted))
    row = table.add(attack.name, attack.counted, ground.sounding_samples(began_ns))
    silence["rows"].append((began_ns, row))
    assert row.samples == 0


def test_after_a_power_cut_what_was_heard_before_is_a_replay(
    ground: Besieged, table: AttackTable, silence: dict[str, Any]
) -> None:
    began_ns = time.time_ns()
    ground.cut_power(NODE)
    before = ground.refused()
    ground.intruder.say(forged.emergency_topic(), silence["order"])
    attacks_in_silence.replayed(ground)
    ground.until_counted(before, {"replayed": 2})
    row = table.add("replayed after a power cut", {"replayed": 2}, ground.sounding_samples(began_ns))
    silence["rows"].append((began_ns, row))
    assert row.samples == 0


def test_nothing_was_heard_in_all_the_silence(ground: Besieged, silence: dict[str, Any]) -> None:
    ground.during(AFTERMATH_S)
    began_ns: int = silence["since_ns"]
    rows: list[tuple[int, Row]] = silence["rows"]
    ends = [begin for begin, _ in rows[1:]] + [None]
    for (begin, row), end in zip(rows, ends, strict=True):
        row.samples = ground.sounding_samples(begin, end)
    assert not [row for _, row in rows if row.samples]
    assert ground.sounding_samples(began_ns) == 0
    assert ground.pin_changes(began_ns) <= 1, "the process that begins writes its level, off"
    assert not any(ground.is_powered(name) for name in RUNNING)


def stopped(table: AttackTable, name: str, samples: int) -> Row:
    """Put an attack that is more than one act on record."""
    return table.add(name, OTHERS[name], samples)


def gaps_of_our_own(ground: Besieged, since_ns: int) -> list[Any]:
    """Where a node fell silent and the machine was not the cause."""
    ground.during(0.4)
    begin_ns, end_ns = SharedNs(since_ns), SharedNs(time.time_ns() - 300_000_000)
    disturbances = ground.machine.between(begin_ns, end_ns)
    return [
        gap
        for name in RUNNING
        for gap in gaps_undisturbed(
            ground.listener.capture(name),
            begin_ns=begin_ns,
            end_ns=end_ns,
            disturbances=heard_at(name, disturbances),
        )
    ]


@pytest.fixture(scope="class")
def stream(ground: Besieged) -> Iterator[str]:
    """A relay of the controller is on air on both nodes."""
    stream = ground.console.start_relay(area=COMMUNE, feed="tone", minutes=10)
    ground.until(lambda: all(ground.sounds(name) for name in RUNNING), what="the relay sounds", seconds=20)
    yield stream
    ground.console.stop_relays()
    ground.until_silent()


class TestOnAir:
    """While a relay of the controller sounds on both nodes."""

    @pytest.mark.parametrize("attack", ON_AIR, ids=lambda attack: attack.name)
    def test_it_goes_on(self, ground: Besieged, table: AttackTable, stream: str, attack: Attack) -> None:
        began_ns, before = time.time_ns(), ground.refused()
        assert stream_of(ground) == stream
        attack.does(ground)
        ground.until_counted(before, dict(attack.counted))
        gaps = gaps_of_our_own(ground, began_ns)
        row = table.add(attack.name, attack.counted, ground.foreign_samples(began_ns))
        assert row.samples == 0
        assert gaps == []
        assert ground.intruder.telemetry[NODE]["sounding"]["source_id"] == stream
        assert ground.pin_changes(began_ns) == 0

    @pytest.mark.parametrize("by", ["the broker", "a node"])
    def test_a_flood(self, ground: Besieged, table: AttackTable, stream: str, by: str) -> None:
        name = f"10,000 messages of garbage a second, by {by}"
        ground.until_counters_rest()
        began_ns, before = time.time_ns(), ground.refused()
        held_kib = {name: memory_kib(ground.children[name].pid) for name in (NODE, "controller")}
        packets = garbage(ground) if by == "the broker" else of_a_node(NEIGHBOUR)
        flood = ground.new_intruder(name="flood") if by == "the broker" else ground.neighbour()
        flood.start(topics=())
        try:
            sent = pour(ground, flood, packets, seconds=FLOOD_S)
            ground.during(2)
        finally:
            flood.stop()
        gaps, counted = gaps_of_our_own(ground, began_ns), ground.refused() - before
        wanted = OTHERS[name]
        row = stopped(table, name, ground.foreign_samples(began_ns))
        assert sent > FLOOD_S * 10_000 * 0.8, "the attacker was too slow"
        assert row.samples == 0
        assert gaps == []
        assert ground.intruder.telemetry[NODE]["sounding"]["source_id"] == stream
        assert sorted(counted) == (sorted(wanted.split(", ")) if by == "the broker" else [])
        assert counted.total() <= sent
        grown_kib = {name: memory_kib(ground.children[name].pid) - held_kib[name] for name in held_kib}
        assert max(grown_kib.values()) < GROWTH_KIB_MAX, grown_kib


class TestOtherIdentities:
    """Who holds another certificate than the one that a topic asks for."""

    def test_a_node_in_anothers_name_and_on_an_areas_topic(self, ground: Besieged, table: AttackTable) -> None:
        """Even with a key that is good: what a node may not write does not leave the broker."""
        began_ns, before = time.time_ns(), ground.refused()
        good, heard = forged.order(ground), ground.intruder.documents
        foreign = [
            (topic(TopicName.NODE_STATE, node=NODE), b'{"node":"N001","state":"lost","session_epoch":1}'),
            (topic(TopicName.TELEMETRY, node=NODE), b'{"node":"N001","at_ms":1}'),
            (topic(TopicName.REPORT, node=NODE), b"a report"),
        ]
        places = [(forged.emergency_topic(), good), (topic(TopicName.KEYSET), b"a keyset")]
        neighbour = ground.neighbour()
        neighbour.start(topics=())
        last = topic(TopicName.NODE_STATE, node=NEIGHBOUR)
        try:
            neighbour.say_at_once([*foreign, *places, (last, b"last")])
            ground.until(lambda: b"last" in heard[last], what="the neighbour speaks in its own name")
        finally:
            neighbour.stop()
        ground.until_counted(before, {})
        for name, attempts in (("a node in another node's name", foreign), ("a node on an area's topic", places)):
            row = stopped(table, name, ground.sounding_samples(began_ns))
            assert row.samples == 0
            assert not [at for at, payload in attempts if payload in heard[at]]
        assert ground.console.nodes()[0]["state"] == "ready"

    def test_a_certificate_of_another_authority(self, ground: Besieged, table: AttackTable, tmp_path: Path) -> None:
        began_ns, foreign = time.time_ns(), make_pki(tmp_path / "foreign").folder
        for stem in (foreign / "controller.pem", foreign / "nodes" / NODE / "node.pem"):
            for port in (ground.site.ports.broker, ground.site.ports.time, ground.site.ports.services):
                stranger = ground.new_intruder(stem, port=port)
                with pytest.raises(OSError, match=r"not let|alert|closed|reset|EOF"):
                    stranger.start(topics=())
                stranger.stop()
                assert not stranger.is_connected
        row = stopped(table, "a certificate of another authority", ground.sounding_samples(began_ns))
        assert row.samples == 0

    async def test_claims_and_cards(self, ground: Besieged, table: AttackTable, tmp_path: Path) -> None:
        """A code that was used, codes that are guessed, and a card that was put into another box."""
        used = make_unit(tmp_path / "used", "another box")
        used.put(ground.claim_file)
        assert await used.enrol() is Happening.DENIED
        assert used.enrolment is not None
        assert "used by another unit" in used.enrolment.last_words
        stopped(table, "a claim code used again", 0)
        code = ground.claim_file.split("claim: ")[1].split()[0]
        guesser = make_unit(tmp_path / "guesser", "a third box")
        for number in range(11):
            guesser.put(ground.claim_file.replace(code, f"0000-0000-0000-{number:04d}"))
            assert await guesser.enrol() is Happening.DENIED
        assert guesser.enrolment is not None
        assert "too many wrong codes" in guesser.enrolment.last_words
        stopped(table, "claim codes guessed", 0)
        copied = make_unit(tmp_path / "copied", "a fourth box")
        shutil.copytree(
            ground.site.node_folder(NODE) / "state" / "identity", tmp_path / "copied" / "state" / "identity"
        )
        copied.put(ground.claim_file.replace(code, "0000-0000-0000-0000"))
        enrolment = copied.start()
        assert enrolment.is_foreign
        assert not enrolment.is_enrolled
        stopped(table, "an SD card in another box", 0)


class TestBrokersOfTheEnemy:
    """Somebody stands where the broker stood; these come last, for the real one is gone."""

    def test_of_another_authority(self, ground: Besieged, table: AttackTable, tmp_path: Path) -> None:
        began_ns, foreign = time.time_ns(), make_pki(tmp_path / "foreign").folder
        ground.children.stop_one("broker")
        with HostileBroker(
            ground.site.ports.broker, certificate=foreign / "server.pem", ca=foreign / "ca.pem"
        ) as rogue:
            ground.until(lambda: rogue.handshakes_refused >= 2, what="the nodes hang up", seconds=20)
            assert rogue.connections == 0
        row = stopped(table, "a rogue broker with a valid name", ground.sounding_samples(began_ns))
        assert row.samples == 0

    def test_of_our_own_authority(self, ground: Besieged, table: AttackTable) -> None:
        """The broker itself is the enemy: what nobody subscribed to, old words, and packets that are none."""
        began_ns, authority = time.time_ns(), ground.site.authority
        messages = unasked(ground)
        wanted = Counter(reason for reason, _, _ in messages)
        with HostileBroker(
            ground.site.ports.broker, certificate=authority / "server.pem", ca=authority / "ca.pem"
        ) as hostile:
            ground.until(lambda: NODE in hostile.telemetry, what="the node connects", seconds=60)
            before = Counter(hostile.telemetry[NODE].get("refused", {}))
            hostile.say(NODE, [(at, payload) for _, at, payload in messages])

            def counted() -> Counter[str]:
                return Counter(hostile.telemetry[NODE].get("refused", {})) - before

            ground.until(lambda: counted().total() >= wanted.total(), what=f"it counts {wanted}")
            assert counted() == wanted
            connections = hostile.connections
            hostile.pour(NODE, b"\x30\xff\xff\xff\x7f" + bytes(65_536))
            ground.until(lambda: hostile.connections > connections, what="the node comes back", seconds=20)
        ground.during(AFTERMATH_S)
        row = table.add("a broker that is an enemy", wanted, ground.sounding_samples(began_ns))
        assert row.samples == 0
        assert ground.pin_changes(began_ns) == 0


def unasked(ground: Besieged) -> list[tuple[str, str, bytes]]:
    """Reason, topic and bytes of what a broker may hand out though nobody asked for it."""
    elsewhere, heard = forged.emergency_topic(OTHER_VILLAGE), ground.intruder
    others = topic(TopicName.ASSIGNMENT, node=OTHER)
    stream, name = forged.packets(forged.STREAM, key=forged.STREAM, count=1)[0], topic(TopicName.KEYSET)
    return [
        ("wrong_audience", elsewhere, forged.order(ground, area=OTHER_VILLAGE, on=elsewhere)),
        ("wrong_audience", others, heard.newest(others)),
        ("unknown_stream", *stream),
        ("unknown_topic", topic(TopicName.TIME_REPLY, node=NODE), b"noon"),
        ("unknown_topic", topic(TopicName.TELEMETRY, node=OTHER), b"{}"),
        ("unknown_topic", "loaxa/1/anything", forged.order(ground)),
        ("unknown_topic", "loaxa/2/area/thon-dong/emergency", forged.order(ground)),
        ("replayed", forged.emergency_topic(), heard.documents[forged.emergency_topic()][0]),
        ("replayed", name, forged.keyset(ground, signers=("root-1", "root-2"), counter=1)),
        ("too_large", forged.emergency_topic(), bytes(16 * 1024 + 1)),
    ]
