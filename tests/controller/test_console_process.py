"""The real process with its console open to others: TLS, its commands, what is read again, and the signed log."""

from __future__ import annotations

import signal
import sqlite3
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.test_process import Station, until
from tests.support.broker import RealBroker
from tests.support.pki import DevelopmentKeys


@pytest.fixture
def station(tmp_path: Path, pki: DevelopmentKeys, broker: RealBroker) -> Iterator[Station]:
    made = TlsStation(tmp_path, pki, broker.services_port)
    yield made
    made.end(signal.SIGKILL)


class TlsStation(Station):
    """A station whose console is reached by https."""

    def __init__(self, folder: Path, pki: DevelopmentKeys, broker_port: int) -> None:
        super().__init__(folder, pki, broker_port)
        self._ca = pki.folder / "ca.pem"
        plain = self.read()
        plain["http"]["console"] |= {
            "host": "0.0.0.0",  # noqa: S104 - what is tried here
            "origin": f"https://localhost:{self.port}",
            "certificate": f"{pki.folder}/server.pem",
            "private_key": f"{pki.folder}/server.key",
        }
        self.write(plain)

    def page(self) -> str:
        context = ssl.create_default_context(cafile=str(self._ca))
        try:
            with urllib.request.urlopen(f"https://localhost:{self.port}/", timeout=5, context=context) as answer:
                assert answer.headers["Strict-Transport-Security"]
                return str(answer.read().decode())
        except OSError:
            return ""


@pytest.mark.slow
def test_the_console_over_tls_with_its_commands_and_its_log(station: Station) -> None:
    config = str(station.config)
    station.start()
    page = station.page()
    assert "Đăng nhập" in page
    assert "Cụm loa N001" not in page, "nobody looks on from the network"
    assert station.command("show", config, "nodes").returncode == 0
    begun = station.command("emergency", "start", config, "--area", "xa", "--clip", "flood")
    assert begun.returncode == 0, begun.stderr
    plain = station.read()
    station.write({**plain, "areas": []})
    station.send(signal.SIGHUP)
    until(lambda: "was not read again" in station.log, "a wrong configuration is named", station)
    station.write(plain)
    station.send(signal.SIGHUP)
    until(lambda: "configuration_read_again" in station.log, "a right one is read", station)
    until(lambda: "configuration" in station.command("audit", "show", config).stdout, "it is on record", station)
    assert station.end() == 0
    shown = station.command("audit", "show", config).stdout
    assert "service/file" in shown
    assert [line.split()[4:6] for line in shown.splitlines() if " configuration " in line] == [
        ["configuration", "done"],
        ["configuration", "refused"],
    ]
    verified = station.command("audit", "verify", config)
    assert (verified.returncode, "good: 3 entries, 1 of 1 checkpoints met. Key" in verified.stdout) == (0, True)
    database = station.folder / "state" / "c.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM audit WHERE number = 3")
        connection.execute("DELETE FROM audit_checkpoints")
        connection.execute("UPDATE audit_head SET number = 2, sha256 = (SELECT sha256 FROM audit WHERE number = 2)")
    connection.close()
    verified = station.command("audit", "verify", config)
    assert "the log was cut off: it ends with entry 2, and the checkpoint of entry 3 is signed" in verified.stderr
    assert "Traceback" not in station.log


def test_a_console_for_others_without_tls_or_name_is_no_configuration(station: Station) -> None:
    plain = station.read()
    for key in ("certificate", "origin"):
        console = {name: value for name, value in plain["http"]["console"].items() if name != key}
        station.write({**plain, "http": {**plain["http"], "console": console}})
        checked = station.command("check", str(station.config))
        assert (checked.returncode, f"http.console.{key}: needed" in checked.stderr) == (2, True), checked.stderr
