"""The signer's service: its own user, no network, a socket that the controller alone reaches."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.controller.test_service import SYSTEMD, values

UNIT = SYSTEMD / "loaxa-signer.service"


def test_it_comes_back_always_and_is_nobody_else() -> None:
    assert values(UNIT, "Restart") == ["always"]
    assert values(UNIT, "User") == ["loaxa-signer"]
    assert values(UNIT, "NoNewPrivileges") == ["yes"]
    assert values(UNIT, "LimitCORE") == ["0"]


def test_it_has_no_network_and_its_socket_is_the_controllers() -> None:
    assert values(UNIT, "PrivateNetwork") == ["yes"]
    assert values(UNIT, "RestrictAddressFamilies") == ["AF_UNIX"]
    assert values(UNIT, "Group") == values(SYSTEMD / "loaxa-controller.service", "Group")
    assert values(UNIT, "RuntimeDirectoryMode") == ["0750"]
    assert values(UNIT, "StateDirectoryMode") == ["0700"]


def test_its_user_is_made() -> None:
    command = ["systemd-sysusers", "--dry-run", str(SYSTEMD / "loaxa-signer.sysusers")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, "loaxa-signer" in told.stdout + told.stderr) == (0, True)


def test_systemd_understands_it() -> None:
    told = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False)
    complaints = [line for line in told.stderr.splitlines() if UNIT.name in line and "not executable" not in line]
    assert complaints == []
    assert Path(UNIT).exists()
