"""A real Mosquitto for tests: TLS 1.3, client certificates, access rules from the topic table, a port of its own.

`stop` and `start` keep the port, so that a test can take the broker away and give it back.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from controller.broker.rules import QUEUED_MESSAGES_MAX
from simulator.demo.broker import BrokerFiles, await_broker, free_port, write_broker_files

STOP_S_MAX = 5.0


class RealBroker:
    """One Mosquitto process over a folder of keys (see `tests.support.pki`)."""

    def __init__(
        self, folder: Path, pki_folder: Path, *, controllers: tuple[str, ...], is_persistent: bool = False
    ) -> None:
        self._is_persistent = is_persistent
        self.port, self.time_port, self.services_port = free_port(), free_port(), free_port()
        self.log_path = folder / "broker.log"
        self._folder, self._controllers = folder, controllers
        self._process: subprocess.Popen[bytes] | None = None
        self._files = BrokerFiles(
            folder=folder, pki=pki_folder, port=self.port, time_port=self.time_port, services_port=self.services_port
        )

    @property
    def log(self) -> str:
        """What the broker has said so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, *, server_pki: Path | None = None, await_ready: bool = True, queued_max: int | None = None) -> None:
        """Start it on its port; `server_pki` gives it another authority and certificate than the clients expect.

        `queued_max` is how many messages it keeps for one client beyond those on their way; None is the product's.
        """
        files = replace(self._files, pki=server_pki or self._files.pki)
        write_broker_files(files, controllers=self._controllers)
        if self._is_persistent:
            text = files.configuration.read_text()
            persistence = f"persistence true\npersistence_location {self._folder}/"
            files.configuration.write_text(text.replace("persistence false", persistence))
        if queued_max is not None:
            text = files.configuration.read_text()
            said = f"max_queued_messages {QUEUED_MESSAGES_MAX}"
            files.configuration.write_text(text.replace(said, f"max_queued_messages {queued_max}"))
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(files.command, stdout=log, stderr=log)
        if await_ready:
            await_broker(files)

    def stop(self) -> None:
        """End it as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S_MAX)
        self._process = None


@contextmanager
def real_broker(
    folder: Path, pki_folder: Path, *, controllers: tuple[str, ...], is_persistent: bool = False
) -> Iterator[RealBroker]:
    """A broker that is running; it is gone when the block ends, whatever happened."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = RealBroker(folder, pki_folder, controllers=controllers, is_persistent=is_persistent)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
