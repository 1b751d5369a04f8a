"""The node's configuration: typos are named with their path, paths are made absolute, defaults are sensible."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import EdgeConfig, parse_config
from edge.errors import ConfigurationError

FOLDER = Path("/etc/loaxa")


def parse(text: str) -> EdgeConfig:
    return parse_config(text, name="edge.yaml", folder=FOLDER)


def problem_of(text: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        parse(text)
    return str(refused.value)


def test_only_the_node_must_be_named() -> None:
    config = parse("node: N001")
    assert config.amplifier.warm_up_ms == 300
    assert config.state_dir == "/var/lib/loaxa"
    assert config.trust.ca == "/etc/loaxa/ca.pem"


def test_relative_paths_start_from_the_file_and_absolute_ones_stay() -> None:
    config = parse("node: N1\nstate_dir: state\ntrust: {ca: /pki/ca.pem}\namplifier: {trace: pins.jsonl}")
    assert config.state_dir == "/etc/loaxa/state"
    assert config.trust.ca == "/pki/ca.pem"
    assert config.amplifier.trace == "/etc/loaxa/pins.jsonl"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nod: N1", ["nod", "did you mean node", "amplifier", "telemetry"]),
        ("node: N1\namplifier: {warmup_ms: 3}", ["amplifier.warmup_ms", "did you mean warm_up_ms", "hold_ms"]),
        ("node: N1\nbroker: {port: eighty}", ["broker.port"]),
        ("node: N1\nbroker: {port: 70000}", ["broker.port", "65535"]),
        ("node: N1\nbroker: {port: 8885}", ["broker.time_port", "8885 is broker.port"]),
        ("node: N1\nclock: {source: gps}", ["clock.source", "gps"]),
        ("node: N-1", ["node"]),
        ("node: N1\namplifier: {relay_pin: 28}", ["amplifier.relay_pin", "27"]),
        ("node: N1\namplifier: {pin_factory: pigpio}", ["amplifier.pin_factory", "pigpio"]),
        ("node: N1\nnode: N2", ["node", "twice"]),
        ("node: [", ["not YAML"]),
        ("- a", ["mapping"]),
        ("node: N1\nmedia: {url: http://x}", ["media.url", "https://HOST:PORT"]),
        ("node: N1\nmedia: {url: 'https://x:99999'}", ["media.url"]),
        ("node: N1\nmedia: {url: 'https://user@x'}", ["media.url"]),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, words: list[str]) -> None:
    told = problem_of(text)
    assert "edge.yaml" in told
    for word in words:
        assert word in told, told
