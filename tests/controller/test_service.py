"""The controller's service: its user, its state, and that it may share a machine with a node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "loaxa-controller.service"


def values(unit: Path, key: str) -> list[str]:
    pairs = (line.partition("=") for line in unit.read_text().splitlines() if not line.startswith("#"))
    return [value for name, separator, value in pairs if separator and name == key]


def test_it_comes_back_always_and_is_not_root() -> None:
    assert values(UNIT, "Restart") == ["always"]
    assert values(UNIT, "StartLimitIntervalSec") == ["0"]
    assert values(UNIT, "User") == ["loaxa-controller"]
    assert values(UNIT, "NoNewPrivileges") == ["yes"]


@pytest.mark.parametrize("key", ["User", "StateDirectory"])
def test_nothing_of_it_is_a_nodes_on_the_same_machine(key: str) -> None:
    assert not set(values(UNIT, key)) & set(values(SYSTEMD / "loaxa-edge.service", key))


def test_it_may_write_the_list_of_revoked_certificates_where_the_broker_reads_it() -> None:
    """Without the first line the list is signed and stays with the controller; without the second nobody reads it."""
    (writable,) = values(UNIT, "ReadWritePaths")
    folder = writable.removeprefix("-")
    rows = [line.split() for line in (SYSTEMD / "loaxa-broker.tmpfiles").read_text().splitlines()]
    assert ["d", folder, "2750", "loaxa-controller", "mosquitto", "-"] in rows
    assert values(SYSTEMD / "loaxa-broker-revoked.path", "PathChanged") == [f"{folder}/revoked.pem"]


def test_its_user_is_made() -> None:
    told = subprocess.run(
        ["systemd-sysusers", "--dry-run", str(SYSTEMD / "loaxa-controller.sysusers")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0
    assert "loaxa-controller" in told.stdout + told.stderr


@pytest.mark.parametrize("name", ["loaxa-controller.service", "loaxa-broker-revoked.path"])
def test_systemd_understands_it(name: str) -> None:
    told = subprocess.run(
        ["systemd-analyze", "verify", str(SYSTEMD / name)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in told.stderr.splitlines() if "loaxa-" in line and "not executable" not in line]
    assert complaints == []


def test_the_broker_reads_the_list_that_the_operations_manual_names() -> None:
    assert values(SYSTEMD / "loaxa-broker-revoked.path", "Unit") == ["loaxa-broker-revoked.service"]
    assert values(SYSTEMD / "mosquitto-loaxa.conf", "LimitNOFILE") == ["65536"]
