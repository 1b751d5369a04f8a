"""The network: order kept, loss as waiting, partitions, hanging connections, bandwidth, volume."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.network.connection import PING_BYTES, Connection
from simulator.network.delay import MOBILE, WIRED, AccessSettings, DelayModel, first_retransmission_after
from simulator.network.network import Host, Network
from simulator.world import World

_MS = 1_000_000
_S = 1_000_000_000


class _End:
    """Either end, writing down what it is told and when."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard: list[Any] = []
        self.arrivals: list[int] = []

    def received(self, packet: object) -> None:
        self.heard.append(packet)
        self.arrivals.append(self.world.now_ns - self.world.start_ns)

    def closed(self, reason: str) -> None:
        self.received(("closed", reason))

    def opened(self) -> None:
        self.received("opened")

    def stalled(self) -> None:
        self.received("stalled")

    def resumed(self) -> None:
        self.received("resumed")


class _Server:
    """Accepts everything; one handshake takes as long as told."""

    def __init__(self, world: World, handshake_ns: int = 0) -> None:
        self.world = world
        self.handshake_ns = handshake_ns
        self.busy_until_ns = 0
        self.ends: list[_End] = []
        self.connections: list[Connection] = []

    def handshake_ends_at(self) -> int:
        self.busy_until_ns = max(self.busy_until_ns, self.world.now_ns) + self.handshake_ns
        return self.busy_until_ns

    def accept(self, connection: Connection) -> _End:
        self.connections.append(connection)
        self.ends.append(_End(self.world))
        return self.ends[-1]


class _Line:
    """One machine connected to one server."""

    def __init__(self, access: AccessSettings, *, seed: int = 1) -> None:
        self.world = World(seed=seed)
        self.network = Network(self.world)
        self.server_program = _Server(self.world)
        self.network.listen("broker", self.server_program)
        self.host: Host = self.network.add_host("N001", access)
        self.client = _End(self.world)
        self.connection = self.network.connect(self.host, "broker", self.client)
        self.world.run_for(20 * _S)
        assert self.client.heard == ["opened"]
        self.client.heard.clear()
        self.client.arrivals.clear()

    @property
    def server(self) -> _End:
        return self.server_program.ends[0]


_PLAIN = AccessSettings(up=DelayModel(fixed_ns=20 * _MS), down=DelayModel(fixed_ns=10 * _MS))


def test_opening_takes_two_round_trips_and_the_servers_handshake() -> None:
    world = World(seed=1)
    network = Network(world)
    network.listen("broker", _Server(world, handshake_ns=2 * _MS))
    clients = [_End(world) for _ in range(3)]
    for index, client in enumerate(clients):
        network.connect(network.add_host(f"N{index}", _PLAIN), "broker", client)
    world.run_for(_S)
    assert [client.arrivals for client in clients] == [[62 * _MS], [64 * _MS], [66 * _MS]]


def test_nobody_listening_refuses_and_a_dead_machine_says_nothing() -> None:
    world = World(seed=1)
    network = Network(world)
    server = _Server(world)
    network.listen("broker", server)
    host = network.add_host("N001", _PLAIN)
    network.stop_listening("broker")
    refused, ignored = _End(world), _End(world)
    network.connect(host, "broker", refused)
    world.run_for(_S)
    assert refused.heard == [("closed", "refused")]
    assert refused.arrivals == [30 * _MS]
    network.stop_listening("broker", machine_is_off=True)
    connection = network.connect(host, "broker", ignored)
    world.run_for(60 * _S)
    assert ignored.heard == []
    connection.close("no answer", by_client=True)
    world.run_for(_S)
    assert ignored.heard == []


@given(st.integers(0, 2**32), st.sampled_from([MOBILE, WIRED]), st.lists(st.integers(0, 5_000), max_size=60))
def test_nothing_is_lost_or_overtaken_on_one_connection(seed: int, access: AccessSettings, sizes: list[int]) -> None:
    line = _Line(access, seed=seed)
    chance = line.world.chance("test")
    for index, size in enumerate(sizes):
        line.connection.up.send(index, size)
        line.connection.down.send(index, size)
        line.world.run_for(chance.within(0, 30 * _MS))
    line.world.run_for(600 * _S)
    assert line.server.heard == line.client.heard == list(range(len(sizes)))


@given(st.integers(0, 2**32), st.lists(st.tuples(st.sampled_from("sch"), st.integers(0, 3_000)), max_size=40))
def test_cuts_delay_but_never_lose_while_both_ends_wait(seed: int, story: list[tuple[str, int]]) -> None:
    line = _Line(MOBILE, seed=seed)
    sent = 0
    for what, wait_ms in story:
        if what == "s":
            line.connection.up.send(sent, 100)
            sent += 1
        else:
            (line.network.cut if what == "c" else line.network.heal)("N001")
        line.world.run_for(wait_ms * _MS)
    line.network.heal("N001")
    line.world.run_for(600 * _S)
    assert [packet for packet in line.server.heard if isinstance(packet, int)] == list(range(sent))


def test_connections_overtake_each_other() -> None:
    line = _Line(MOBILE)
    other = line.network.connect(line.host, "broker", _End(line.world))
    line.world.run_for(5 * _S)
    overtaken = 0
    for _ in range(200):
        line.connection.up.send("first", 50)
        other.up.send("second", 50)
        line.world.run_for(5 * _S)
        overtaken += line.server_program.ends[1].arrivals[-1] < line.server.arrivals[-1]
    assert 50 < overtaken < 150


def test_the_mobile_link_has_the_delays_that_the_player_is_measured_with() -> None:
    line = _Line(MOBILE)
    delays = []
    for _ in range(4_000):
        sent = line.world.now_ns - line.world.start_ns
        line.connection.up.send("x", 50)
        line.world.run_for(3 * _S)
        delays.append((line.server.arrivals[-1] - sent) / _MS)
    delays.sort()
    assert delays[0] >= 18
    assert statistics.median(delays) == pytest.approx(28.2, abs=1.0)
    assert sum(delay > 150 for delay in delays) / len(delays) == pytest.approx(0.02 * 0.37, abs=0.006)


def test_a_lost_segment_waits_for_its_retransmission_and_holds_what_follows() -> None:
    line = _Line(_PLAIN)
    line.host.access = AccessSettings(up=DelayModel(fixed_ns=20 * _MS, loss_ppm=1_000_000))
    line.connection.up.send("lost nine times", 50)
    line.host.access = _PLAIN
    line.connection.up.send("behind it", 50)
    begun = line.world.now_ns - line.world.start_ns
    line.world.run_for(200 * _S)
    assert line.server.heard == ["lost nine times", "behind it"]
    assert line.server.arrivals == [begun + 20 * _MS + 200 * _MS * 511] * 2


def test_a_cut_holds_both_directions_until_tcp_tries_again() -> None:
    line = _Line(_PLAIN)
    line.network.cut("N001")
    line.network.cut("N001")
    cut_ns = line.world.now_ns - line.world.start_ns
    line.connection.up.send("up", 10)
    line.connection.down.send("down", 10)
    line.world.run_for(1_500 * _MS)
    assert line.server.heard == line.client.heard == ["stalled"]
    line.network.heal("N001")
    line.world.run_for(10 * _S)
    assert line.server.heard == ["stalled", "resumed", "up"]
    assert line.client.heard == ["stalled", "resumed", "down"]
    assert line.server.arrivals[-1] == cut_ns + (200 + 400 + 800 + 1_600) * _MS


def test_messages_under_way_when_the_path_is_cut_are_sent_again() -> None:
    line = _Line(_PLAIN)
    line.connection.up.send("half way", 10)
    line.world.run_for(5 * _MS)
    line.network.cut("N001")
    line.world.run_for(60 * _S)
    assert line.server.heard == ["stalled"]
    line.network.heal("N001")
    line.world.run_for(120 * _S)
    assert line.server.heard[-1] == "half way"


@pytest.mark.parametrize(("blocked", "now", "expected"), [(0, 0, 200), (0, 199, 200), (0, 200, 600), (0, 5_000, 6_200)])
def test_retransmissions_double(blocked: int, now: int, expected: int) -> None:
    assert first_retransmission_after(blocked * _MS, now * _MS) == expected * _MS


def test_retransmissions_are_never_further_apart_than_two_minutes() -> None:
    assert first_retransmission_after(0, 3_600 * _S) <= 3_720 * _S


def test_a_close_arrives_behind_what_was_sent_and_ends_both() -> None:
    line = _Line(_PLAIN)
    line.connection.up.send("last words", 10)
    line.connection.close("goodbye", by_client=True)
    line.connection.down.send("too late", 10)
    line.world.run_for(_S)
    assert line.server.heard == ["last words", ("closed", "goodbye")]
    assert line.client.heard == []
    assert line.host.connections == {}


def test_power_off_leaves_the_server_in_the_dark_until_it_speaks_to_the_rebooted_machine() -> None:
    line = _Line(_PLAIN)
    line.network.power_off("N001")
    line.connection.down.send("anybody there?", 10)
    line.world.run_for(10 * _S)
    assert line.server.heard == ["stalled"]
    line.network.power_on("N001")
    line.connection.down.send("hello?", 10)
    line.world.run_for(_S)
    assert line.server.heard == ["stalled", ("closed", "reset by the peer")]
    assert line.client.heard == []


def test_a_dead_server_machine_resets_old_connections_once_it_is_back() -> None:
    line = _Line(_PLAIN)
    line.network.stop_listening("broker", machine_is_off=True)
    line.connection.vanish(client=False)
    line.connection.up.send("into the void", 10)
    line.world.run_for(10 * _S)
    assert line.client.heard == ["stalled"]
    line.network.listen("broker", line.server_program)
    line.connection.up.send("again", 10)
    line.world.run_for(_S)
    assert line.client.heard[-1] == ("closed", "reset by the peer")


def test_a_forgotten_connection_hangs_while_a_new_one_works() -> None:
    line = _Line(_PLAIN)
    line.network.break_silently("N001")
    line.connection.up.send("lost for ever", 10)
    line.network.cut("N001")
    line.network.heal("N001")
    fresh = _End(line.world)
    line.network.connect(line.host, "broker", fresh)
    line.world.run_for(300 * _S)
    assert line.server.heard == line.client.heard == ["stalled"]
    assert fresh.heard == ["opened"]
    line.connection.close("keep-alive", by_client=True)
    assert len(line.host.connections) == 1


def test_attempts_during_a_long_cut_leave_nothing_behind() -> None:
    line = _Line(_PLAIN)
    line.network.cut("N001")
    for _ in range(50):
        attempt = line.network.connect(line.host, "broker", _End(line.world))
        line.world.run_for(5 * _S)
        attempt.close("no answer", by_client=True)
    assert len(line.host.connections) == 1


def test_bandwidth_makes_messages_queue_over_all_connections_of_a_machine() -> None:
    access = AccessSettings(up=DelayModel(), down=DelayModel(), up_bps=8_000_000)
    line = _Line(access)
    begun = line.world.now_ns - line.world.start_ns
    for _ in range(3):
        line.connection.up.send("x", 1_000 - 114)
    line.world.run_for(_S)
    assert [arrival - begun for arrival in line.server.arrivals] == [_MS, 2 * _MS, 3 * _MS]


def test_bytes_are_counted_with_headers_and_keep_alive() -> None:
    line = _Line(_PLAIN)
    line.connection.keep_alive_ns = 30 * _S
    line.connection.flowing_from_ns = line.world.now_ns
    before = line.host.traffic
    line.connection.up.send("x", 2_000)
    line.connection.down.send("x", 100)
    line.world.run_for(3_600 * _S)
    after = line.host.traffic
    assert after.up_bytes - before.up_bytes == 2_000 + 2 * 114
    assert after.down_bytes - before.down_bytes == 100 + 114
    assert after.ping_bytes - before.ping_bytes == 120 * PING_BYTES
    line.network.cut("N001")
    line.world.run_for(3_600 * _S)
    assert line.host.traffic == after


def test_a_spent_volume_throttles() -> None:
    line = _Line(AccessSettings(data_cap_bytes=20_000, after_cap_bps=64_000))
    line.connection.down.send("big", 30_000)
    line.world.run_for(_S)
    sent = line.world.now_ns - line.world.start_ns
    line.connection.down.send("x", 8_000 - 6 * 114)
    line.world.run_for(10 * _S)
    assert line.host.is_over_cap
    assert line.client.arrivals[-1] - sent == _S


def test_a_spent_volume_cuts_until_it_is_renewed() -> None:
    line = _Line(AccessSettings(data_cap_bytes=20_000))
    line.connection.up.send("big", 30_000)
    line.world.run_for(_S)
    line.connection.up.send("waits", 10)
    line.network.cut("N001")
    line.network.heal("N001")
    line.world.run_for(3 * _S)
    assert "waits" not in line.server.heard
    line.host.renew_data()
    line.world.run_for(30 * _S)
    assert line.server.heard[-1] == "waits"


def test_a_name_is_given_once() -> None:
    line = _Line(_PLAIN)
    with pytest.raises(ValueError, match="N001"):
        line.network.add_host("N001", _PLAIN)
