"""The simulated broker where the contract suite cannot look: times, silence, storms, disks, and sameness."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from protocol.topics import access_rules
from simulator.broker.access import AccessRules, AccessRulesError
from simulator.broker.broker import BrokerSettings
from simulator.broker.topics import FilterError, SubscriptionTable
from tests.support.simulated_province import CONTROLLER, PLAN, S_NS, Province, state_of

N001_STATE = state_of("N001")
ROOT = Path(__file__).resolve().parents[3]


def _states(province: Province) -> list[tuple[float, bytes]]:
    return [(at / S_NS, payload) for at, topic, payload in province.controller.messages if topic == N001_STATE]


def test_a_silent_pole_is_lost_after_its_keep_alive_and_will_delay() -> None:
    province = Province()
    province.run(100)
    province.network.power_off("N001")
    province.nodes[0].link.lose_power()
    province.run(200)
    (_, born), (lost_s, lost) = _states(province)
    assert (born, lost) == (b"ready", b"lost")
    assert 110 + 15 + 15 <= lost_s <= 110 + 45 + 15 + 1
    assert province.broker.retained(N001_STATE) == b"lost"


def test_both_ends_notice_a_cut_by_keep_alive_and_the_link_comes_back() -> None:
    province = Province()
    province.network.cut("N001")
    province.run(120)
    assert "no answer to keep-alive" in province.nodes[0].events
    assert "N001" not in province.broker.connected
    province.network.heal("N001")
    province.run(90)
    assert "N001" in province.broker.connected
    assert [payload for _, payload in _states(province)] == [b"ready", b"lost", b"ready"]


@pytest.mark.parametrize("cut_s", [1, 5, 10])
def test_a_short_cut_is_only_a_delay(cut_s: int) -> None:
    province = Province()
    province.network.cut("N001")
    province.controller.link.publish(PLAN, b"plan", 1)
    province.run(cut_s)
    assert province.nodes[0].payloads == []
    province.network.heal("N001")
    province.run(2 * cut_s + 1)
    assert province.nodes[0].payloads == [b"plan"]
    province.run(120)
    assert province.nodes[0].events == ["connected 1"]


def test_a_hanging_connection_is_noticed_by_both_and_costs_no_message() -> None:
    province = Province()
    province.network.break_silently("N001")
    province.controller.link.publish(PLAN, b"plan", 1)
    province.run(100)
    assert province.nodes[0].events[-1] == "connected 2"
    assert province.nodes[0].payloads == [b"plan"]


def test_a_client_that_leaves_its_broker_without_power_comes_back_when_it_is_there() -> None:
    province = Province()
    province.broker.lose_power()
    province.run(30)
    assert not any("keep-alive" in event for event in province.nodes[0].events)
    province.run(300)
    assert all("no answer to keep-alive" in node.events for node in province.nodes)
    assert any("does not answer" in event for event in province.nodes[0].events)
    province.broker.start()
    province.run(90)
    assert len(province.broker.connected) == 4


def test_silence_costs_no_events() -> None:
    province = Province(nodes=50)
    before = province.world.events_run
    province.run(86_400)
    assert province.world.events_run - before <= 48
    pings = province.nodes[0].host.traffic.ping_bytes
    assert pings == 2_880 * 232 or abs(pings - 2_880 * 232) <= 232


def test_autosave_is_what_a_killed_broker_remembers() -> None:
    province = Province()
    province.controller.link.publish(PLAN, b"saved", 1, True)
    province.run(1_900)
    province.controller.link.publish(PLAN, b"not saved", 1, True)
    province.run(10)
    assert province.broker.retained(PLAN) == b"not saved"
    province.broker.kill()
    province.run(1)
    province.broker.start()
    assert province.broker.retained(PLAN) == b"saved"
    province.broker.kill()
    province.broker.forget_saved()
    province.broker.start()
    assert province.broker.retained(PLAN) is None
    assert province.broker.sessions == 0


def test_unacknowledged_messages_come_again_after_a_reconnect() -> None:
    province = Province()
    node = province.nodes[0]
    for number in range(30):
        province.controller.link.publish(PLAN, b"%d" % number, 1)
    province.run(0.02)
    province.network.reset("N001")
    province.run(60)
    seen = [int(payload) for payload in node.payloads]
    assert set(seen) == set(range(30))
    assert list(dict.fromkeys(seen)) == list(range(30))


def test_sessions_expire_and_are_forgotten_with_their_subscriptions() -> None:
    province = Province()
    province.network.cut("N001")
    province.run(45 + 301)
    assert province.broker.sessions == 3
    province.controller.link.publish(PLAN, b"missed", 1)
    province.run(10)
    province.network.heal("N001")
    province.run(120)
    assert province.nodes[0].payloads == []


def test_a_message_too_large_for_the_broker_reaches_nobody() -> None:
    rules = access_rules(controllers=(CONTROLLER,))
    province = Province(broker=BrokerSettings(access_rules=rules, message_bytes_max=1_000))
    province.controller.link.publish(PLAN, bytes(1_001), 1, True)
    province.controller.link.publish(PLAN, bytes(1_000), 1, True)
    province.run(10)
    assert [len(payload) for payload in province.nodes[0].payloads] == [1_000]
    assert province.broker.denied == 1
    assert province.controller.link.refused == 1


def test_a_storm_of_handshakes_delays_what_the_broker_carries() -> None:
    province = Province(nodes=300)
    for node in province.nodes[1:]:
        node.link.set_herd_window_s(0.0)
    for node in province.nodes[1:]:
        province.network.reset(node.name)
    province.run(0.1)
    sent_s = (province.world.now_ns - province.world.start_ns) / S_NS
    province.controller.link.publish(PLAN, b"in the storm", 1)
    province.run(60)
    arrived_s = province.nodes[0].messages[-1][0] / S_NS
    assert 0.25 < arrived_s - sent_s < 1.5
    assert len(province.broker.connected) == 301


def test_access_rules_are_read_as_mosquitto_reads_them() -> None:
    rules = AccessRules(
        "# remark\ntopic read lost\npattern write n/%u/s\nuser boss\ntopic all/#\ntopic deny all/secret\n"
    )
    assert rules.may_write("N1", "n/N1/s")
    assert not rules.may_write("N1", "n/N2/s")
    assert not rules.may_read("N1", "n/N1/s")
    assert not rules.may_read("N1", "lost")
    assert rules.may_read("boss", "all/of/it")
    assert rules.may_write("boss", "all")
    assert not rules.may_read("boss", "all/secret")
    assert not rules.may_read("N1", "all/of/it")


@pytest.mark.parametrize("line", ["topic", "users x", "pattern ", "user"])
def test_access_rules_that_are_not_understood_name_their_line(line: str) -> None:
    with pytest.raises(AccessRulesError, match="line 2"):
        AccessRules(f"# first\n{line}\n")


def test_filters_match_by_level_and_forget_when_unsubscribed() -> None:
    table: SubscriptionTable[str] = SubscriptionTable()
    for name, topic_filter in (("exact", "a/b"), ("plus", "a/+"), ("hash", "a/#"), ("all", "#"), ("deep", "a/+/c")):
        table.add(topic_filter, name, 1)

    def who(topic: str) -> set[str]:
        return {name for subscribers in table.matching(topic) for name in subscribers}

    assert who("a/b") == {"exact", "plus", "hash", "all"}
    assert who("a") == {"hash", "all"}
    assert who("a/x/c") == {"hash", "all", "deep"}
    assert who("$SYS/x") == set()
    table.remove("#", "all")
    table.remove("a/b", "exact")
    table.remove("a/b", "nobody")
    assert who("a/b") == {"plus", "hash"}


@pytest.mark.parametrize("wrong", ["", "a/b+", "a/#/b", "#a", "a\0"])
def test_filters_that_mqtt_does_not_know_are_refused(wrong: str) -> None:
    table: SubscriptionTable[str] = SubscriptionTable()
    with pytest.raises(FilterError):
        table.add(wrong, "x", 0)


@pytest.mark.parametrize("seed", range(12))
def test_after_any_faults_everybody_is_back_with_the_newest_plan(seed: int) -> None:
    province = Province(seed=seed, nodes=4)
    province.suffer(hours=24, count=30)
    province.run(1_200)
    province.controller.link.publish(PLAN, b"the last", 1, True)
    province.run(120)
    assert set(province.broker.connected) == {CONTROLLER, "N001", "N002", "N003", "N004"}
    assert all(node.payloads[-1] == b"the last" for node in province.nodes)
    assert all(province.broker.retained(state_of(node.name)) == b"ready" for node in province.nodes)
    assert all(len(node.host.connections) == 1 for node in province.nodes)


def test_a_province_writes_the_same_log_under_every_hash_seed() -> None:
    program = "from tests.support.simulated_province import run_province; print(*run_province(7), *run_province(8))"
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        ).stdout.split()
        for hash_seed in ("0", "4711")
    ]
    assert outputs[0] == outputs[1]
    assert int(outputs[0][0]) > 1_000
    assert outputs[0][1] != outputs[0][3]
