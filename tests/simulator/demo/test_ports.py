"""Two demos never choose the same port, even before either listens."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from simulator.demo.broker import BrokerError, free_port
from simulator.demo.ports import PortClaims
from simulator.demo.site import free_ports

CLAIM = """
import sys
from simulator.demo.ports import PortClaims
claims = PortClaims()
print(claims.claim(int(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def claims() -> Iterator[PortClaims]:
    made = PortClaims()
    yield made
    made.release()


def test_the_preferred_port_goes_to_the_first_and_back_when_its_process_is_killed(claims: PortClaims) -> None:
    wanted = free_port()
    command = [sys.executable, "-c", CLAIM, str(wanted)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == wanted
        assert claims.claim(wanted) != wanted, "nobody listens there yet, and still it is taken"
        other.kill()
    assert claims.claim(wanted) == wanted


def test_a_port_on_which_somebody_listens_is_not_claimed(claims: PortClaims) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert claims.claim(port) != port


def test_what_is_released_can_be_claimed_again(claims: PortClaims) -> None:
    port = claims.claim()
    other = PortClaims()
    assert other.claim(port) != port
    claims.release()
    assert other.claim(port) == port
    other.release()


def test_ports_that_nodes_remember_are_taken_again_or_named(claims: PortClaims, tmp_path: Path) -> None:
    chosen = free_ports(choose=claims.claim)
    assert len(set(asdict(chosen).values())) == len(asdict(chosen))
    kept = tmp_path / "ports.json"
    kept.write_text(json.dumps(asdict(chosen)))
    claims.release()
    assert free_ports(kept=kept, choose=claims.claim) == chosen
    other = PortClaims()
    with pytest.raises(BrokerError, match=f"port {chosen.broker}"):
        free_ports(kept=kept, choose=other.claim)
    other.release()
