"""A node's clock over a real broker and the product's time service: told, held over, refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from edge.adapters.clock_file import ClockFile, read_record
from edge.adapters.node_clock import HOLDOVER_S, node_clock
from edge.adapters.trusted_clock import TrustedClock
from edge.clock.record import clock_lines
from edge.clock.shared_clock import SourceChoice
from edge.clock.time_exchange import ExchangeSettings
from edge.config import ClockConfig
from edge.errors import ConfigurationError
from protocol.adapters.mqtt_link import MqttLink
from protocol.adapters.system_clock import read_now
from protocol.keyring import Keyring
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, TimeSource
from tests.support.broker import RealBroker
from tests.support.clock_bench import ERROR_NS_MAX, NODE, QUICK, ahead_ns, clock_of, config_of, going
from tests.support.pki import CONTROLLER, DevelopmentKeys
from tests.support.timekeeper import HOUR_NS, telling_time
from tests.support.waiting import until


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "edge.time"):
        yield caplog


async def test_a_node_without_time_learns_it_and_is_woken(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    clock = clock_of(config_of(pki, broker.time_port))
    assert clock().source is TimeSource.UNKNOWN
    with telling_time(pki, broker.services_port, shift_ns=3 * HOUR_NS), logged(caplog):
        async with going(clock, pki.keyring) as node:
            await until(lambda: clock().is_time_known, seconds=10, what="the time is known")
            assert abs(ahead_ns(clock) - 3 * HOUR_NS) < clock().error_ns < ERROR_NS_MAX
            assert node.woken == 1
            record = node.records[-1]
    assert (record.source, record.is_connected, record.refused) == ("exchange", True, {})
    assert record.asked == QUICK.burst_samples
    assert record.answered >= QUICK.burst_samples - 1, "a busy machine may bring one answer too late to count"
    assert record.system_is_behind_ms == pytest.approx(3 * HOUR_NS / NS_PER_MS, abs=1_000)
    assert "the time comes from: the controller" in caplog.text
    ClockFile(str(tmp_path)).write(record)
    text = "\n".join(clock_lines(*read_record(NODE, str(tmp_path))[:1], age_s=2.0))
    assert "the controller, wrong by" in text
    assert f"{record.answered} of {record.asked} answered" in text
    assert read_record("N002", str(tmp_path)) == (None, None)


async def test_nobody_is_asked_before_there_is_a_key_to_judge_by(broker: RealBroker, pki: DevelopmentKeys) -> None:
    clock = clock_of(config_of(pki, broker.time_port))
    with telling_time(pki, broker.services_port) as keeper:
        async with going(clock, Keyring.empty()) as node:
            await until(lambda: clock.record.is_connected, what="the node is let in")
            assert clock.record.asked == 0
            node.keyring = pki.keyring
            await until(lambda: clock().is_time_known, seconds=15, what="the time is known")
        assert keeper.service.answered >= 1


async def test_without_answers_the_last_estimate_goes_on_and_says_how_wrong_it_may_be(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    hours_ns = [0]

    def trusted() -> Now:
        now = read_now()
        return msgspec.structs.replace(now, monotonic_ns=MonotonicNs(now.monotonic_ns + hours_ns[0]))

    clock = clock_of(config_of(pki, broker.time_port), trusted=trusted)
    with logged(caplog):
        async with going(clock, pki.keyring):
            with telling_time(pki, broker.services_port):
                await until(lambda: clock().is_time_known, seconds=10, what="the time is known")
            error_ns = clock().error_ns
            hours_ns[0] = 6 * HOUR_NS
            later = clock()
            assert later.source is TimeSource.EXCHANGE
            assert later.error_ns > 2 * error_ns
            assert abs(ahead_ns(clock) - 6 * HOUR_NS) < later.error_ns
            await until(lambda: "the last one goes on" in caplog.text, what="it is logged")
            hours_ns[0] = 0
            with telling_time(pki, broker.services_port):
                await until(lambda: "tells the time again" in caplog.text, seconds=20, what="that it ended is logged")
    assert HOLDOVER_S < 6 * 3_600


async def test_with_a_revoked_key_the_time_goes_on_and_the_refusals_are_counted(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    revoked = Keyring(
        version=pki.keyring.version + 1,
        keys={key.key_id: msgspec.structs.replace(key, revoked=True) for key in pki.keyset.keys},
    )
    clock = clock_of(config_of(pki, broker.time_port))
    with telling_time(pki, broker.services_port), logged(caplog):
        async with going(clock, pki.keyring) as node:
            await until(lambda: clock().is_time_known, seconds=10, what="the time is known")
            node.keyring = revoked
            await until(lambda: clock.refused.get("revoked_key", 0) > 0, seconds=15, what="it is refused")
            assert clock().source is TimeSource.EXCHANGE
            assert abs(ahead_ns(clock)) < clock().error_ns
    assert "refused (revoked_key), the first of its kind" in caplog.text


async def test_a_controller_that_is_hours_away_from_a_clock_that_is_kept_is_not_believed(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    clock = clock_of(config_of(pki, broker.time_port), choice=SourceChoice.AUTO)
    with telling_time(pki, broker.services_port, shift_ns=2 * HOUR_NS), logged(caplog):
        async with going(clock, pki.keyring) as node:
            await until(lambda: clock.record.is_refused, seconds=10, what="the controller's time is refused")
            assert clock().source is TimeSource.SYSTEM
            assert abs(ahead_ns(clock)) < NS_PER_S
            assert "REFUSED" in "\n".join(clock_lines(node.records[-1], age_s=0.0))
    assert "it is not believed" in caplog.text


async def test_a_renewed_certificate_is_shown_at_once_and_what_was_known_stays(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    config = config_of(pki, broker.time_port)
    clock = clock_of(config)
    with telling_time(pki, broker.services_port):
        async with going(clock, pki.keyring):
            await until(lambda: clock().is_time_known, seconds=10, what="the time is known")
            before = broker.log.count("as CN=N001")
            clock.use_certificate(config.trust.certificate, config.trust.private_key)
            await until(lambda: broker.log.count("as CN=N001") > before, what="it comes in anew")
            assert clock().source is TimeSource.EXCHANGE
            asked = clock.record.answered
            await until(lambda: clock.record.answered > asked, seconds=10, what="it asks again")


async def test_what_nobody_asked_for_is_counted_and_changes_nothing(broker: RealBroker, pki: DevelopmentKeys) -> None:
    clock = clock_of(config_of(pki, broker.time_port), settings=ExchangeSettings(burst_samples=1))
    connections: list[bool] = []
    link = MqttLink(
        pki.mqtt_settings(CONTROLLER, broker.services_port),
        on_connected=lambda present, _: connections.append(present),
        on_disconnected=lambda _: None,
        on_message=lambda *_: None,
    )
    link.start()
    with telling_time(pki, broker.services_port):
        async with going(clock, pki.keyring):
            await until(lambda: clock().is_time_known and connections, seconds=10, what="the time is known")
            offset_ns = ahead_ns(clock)
            for payload in (b"", b"noon", b"\xff" * 600):
                link.publish(topic(TopicName.TIME_REPLY, node=NODE), payload, 0)
            await until(lambda: clock.refused.get("unasked", 0) == 3, what="each is counted")
            assert abs(ahead_ns(clock) - offset_ns) < 5 * NS_PER_MS
    await asyncio.to_thread(link.stop)


async def test_a_node_that_is_to_ask_nobody_has_no_second_connection(pki: DevelopmentKeys) -> None:
    config = msgspec.structs.replace(config_of(pki, 1), clock=ClockConfig(source="system", believes="any"))
    clock = node_clock(config)
    async with going(clock, pki.keyring) as node:
        assert clock().source is TimeSource.SYSTEM
        assert not clock.record.is_asked
        assert node.woken == 0


def test_a_certificate_that_is_none_is_named(pki: DevelopmentKeys, tmp_path: Path) -> None:
    config = config_of(pki, 1)
    trust = msgspec.structs.replace(config.trust, certificate=str(tmp_path / "absent.pem"))
    with pytest.raises(ConfigurationError, match=r"absent\.pem"):
        node_clock(msgspec.structs.replace(config, trust=trust))


def test_a_record_that_is_nonsense_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text('{"node": 7}')
    assert read_record(NODE, str(tmp_path)) == (None, None)
    assert "no running node" in clock_lines(None, age_s=None)[0]


def test_reading_the_clock_takes_no_time(pki: DevelopmentKeys) -> None:
    """The sound card asks fifty times a second."""
    clock = clock_of(config_of(pki, 1), trusted=TrustedClock(believes_any=True), choice=SourceChoice.AUTO)
    before_ns = read_now().monotonic_ns
    for _ in range(1_000):
        clock()
    assert read_now().monotonic_ns - before_ns < NS_PER_S
