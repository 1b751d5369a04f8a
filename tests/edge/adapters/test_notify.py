"""sd_notify: what systemd is told, and how often."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from edge.adapters.notify import SystemdNotifier, watchdog_interval_s


def test_says_ready_alive_and_stopping_to_the_socket(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(2)
        notifier = SystemdNotifier(address)
        notifier.ready()
        notifier.alive()
        notifier.stopping()
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_says_nothing_without_a_socket_and_survives_one_that_is_gone(tmp_path: Path) -> None:
    SystemdNotifier("").ready()
    SystemdNotifier(str(tmp_path / "gone")).ready()


def test_an_abstract_socket_is_understood() -> None:
    name = f"loaxa-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name)
        systemd.settimeout(2)
        SystemdNotifier("@" + name).alive()
        assert systemd.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "15000000"}, 5.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_three_signs_of_life_in_a_watchdog_time(environment: dict[str, str], expected: float | None) -> None:
    assert watchdog_interval_s(environment, pid=7) == expected
    if expected is not None:
        assert watchdog_interval_s({**environment, "WATCHDOG_PID": "7"}, pid=7) == expected
