"""The broker's configuration as text: what must stand in it, and what may never get into it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from controller.broker.rules import BrokerFacts, BrokerServerConfig, DoorConfig, broker_configuration, connection_limit
from controller.errors import ConfigError

RULES = {"node_rules": "/b/nodes.acl", "time_rules": "/b/time.acl", "service_rules": "/b/services.acl"}


def facts(**changes: object) -> BrokerFacts:
    plain = {"folder": "/b", "certificate": "/b/server.pem", "private_key": "/b/server.key", **changes}
    server = BrokerServerConfig(**plain)  # type: ignore[arg-type] # a test's own choice of fields
    return BrokerFacts(server=server, ca="/b/ca.pem", **RULES)


def doors(text: str) -> dict[int, str]:
    """The options of each listener by its port."""
    parts = re.split(r"^listener (\d+) .*\n", text, flags=re.MULTILINE)[1:]
    return {int(port): options for port, options in zip(parts[::2], parts[1::2], strict=True)}


def test_each_door_asks_for_a_certificate_over_tls_1_3_and_only_nodes_are_bound_to_its_name() -> None:
    found = doors(broker_configuration(facts(revoked="/b/revoked.pem")))
    assert set(found) == {8883, 8884, 8885}
    for options in found.values():
        assert "tls_version tlsv1.3" in options
        assert "require_certificate true" in options
        assert "allow_anonymous false" in options
    for port in (8883, 8885):
        assert "use_username_as_clientid true" in found[port]
        assert "crlfile /b/revoked.pem" in found[port]
        assert "max_connections 6000" in found[port]
    assert "use_username_as_clientid" not in found[8884]
    assert "crlfile" not in found[8884], "an authority without a list of its own would let nobody in"


def test_a_name_is_one_thing_at_the_nodes_door_and_another_at_that_of_the_time() -> None:
    found = doors(broker_configuration(facts()))
    named = {port: re.findall(r"^(use_\w+_as_username) true$", text, re.MULTILINE) for port, text in found.items()}
    assert named == {
        8883: ["use_identity_as_username"],
        8884: ["use_identity_as_username"],
        8885: ["use_subject_as_username"],
    }
    rules = {port: re.findall(r"^acl_file (.*)$", text, re.MULTILINE) for port, text in found.items()}
    assert rules == {8883: ["/b/nodes.acl"], 8884: ["/b/services.acl"], 8885: ["/b/time.acl"]}


def test_nobody_comes_in_without_a_name_or_with_a_password() -> None:
    text = broker_configuration(facts())
    assert text.count("allow_anonymous false") == text.count("\nlistener ") == 3
    assert "per_listener_settings true" in text, "or the doors would share one list of rules"
    assert "password_file" not in text
    assert "max_packet_size 17408" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": "/b/x\nallow_anonymous true"},
        {"private_key": "/b/x\r"},
        {"revoked": " /b/x"},
        {"nodes": DoorConfig(address="0.0.0.0\nallow_anonymous true", port=1)},
        {"time": DoorConfig(address="0.0.0.0\rlistener 1", port=1)},
        {"services": DoorConfig(address="broker.example", port=1)},
    ],
)
def test_nothing_in_the_configuration_adds_a_line_of_its_own(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"broker\.server"):
        broker_configuration(facts(**changes))


def test_the_connection_limit_is_one_that_the_kernel_takes(tmp_path: Path) -> None:
    text = connection_limit(facts(connections_per_s=70).server)
    for port in (8883, 8885):
        assert f"tcp dport {port} ct state new limit rate over 70/second burst 70 packets drop" in text
    assert text.count("tcp dport 8885 update @askers_") == 2, "what one connection may say, by IPv4 and by IPv6"
    assert "8883 update" not in text, "reports after an outage come all at once"
    path = tmp_path / "limit.nft"
    path.write_text(text)
    twice = ["unshare", "-rn", "sh", "-c", f"nft -f '{path}' && nft -f '{path}' && nft list ruleset"]
    done = subprocess.run(twice, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("limit rate over 70/second") == 2
