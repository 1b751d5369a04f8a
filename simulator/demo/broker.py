"""Mosquitto as the demo and the tests run it: TLS 1.3 with client certificates, rules from the topic table.

Its configuration is what a deployment's would be, but for the loopback address and the free ports.
"""

from __future__ import annotations

import getpass
import secrets
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.broker.rules import BrokerFacts, BrokerServerConfig, DoorConfig, broker_configuration
from protocol.topics import node_rules, service_rules, time_rules

CONNECTIONS_MAX: Final = 20_000
"""Beyond a deployment's usual bound: load runs bring ten thousand nodes, and some of them twice for a moment."""
READY_S_MAX: Final = 30.0
PORT_MIN: Final = 10_000
PORT_END: Final = 32_768
"""Linux gives outgoing connections ports from here on (net.ipv4.ip_local_port_range)."""
PORT_TRIES: Final = 32
_POLL_S: Final = 0.05


class BrokerError(Exception):
    """The broker does not answer as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFiles:
    """Where the broker's files are; `pki` is a folder of development keys.

    `port` is the nodes' door, where a certificate's name is the client id; `time_port` that of their connections for
    the time; `services_port` that of controllers.
    """

    folder: Path
    pki: Path
    port: int
    time_port: int
    services_port: int

    @property
    def pid_file(self) -> Path:
        """Where it writes its process id."""
        return self.folder / "mosquitto.pid"

    @property
    def revoked(self) -> Path:
        """The list of revoked certificates; nodes are held to it if it is there when the files are written."""
        return self.folder / "revoked.pem"

    @property
    def configuration(self) -> Path:
        """The file to start it with."""
        return self.folder / "mosquitto.conf"

    @property
    def command(self) -> list[str]:
        """The process to start."""
        return ["mosquitto", "-c", str(self.configuration)]


def write_broker_files(files: BrokerFiles, *, controllers: tuple[str, ...], listen: str = "127.0.0.1") -> None:
    """Write the configuration and the access rules, as `loaxa-controller broker write` would."""
    files.folder.mkdir(parents=True, exist_ok=True)
    texts = {"nodes": node_rules(), "time": time_rules(), "services": service_rules(controllers=controllers)}
    rules = {door: files.folder / f"{door}.acl" for door in texts}
    for door, path in rules.items():
        path.write_text(texts[door])
        path.chmod(0o600)
    facts = BrokerFacts(
        server=BrokerServerConfig(
            folder=str(files.folder),
            certificate=str(files.pki / "server.pem"),
            private_key=str(files.pki / "server.key"),
            revoked=str(files.revoked) if files.revoked.exists() else "",
            nodes=DoorConfig(address=listen, port=files.port),
            time=DoorConfig(address=listen, port=files.time_port),
            services=DoorConfig(address=listen, port=files.services_port),
            pid_file=str(files.pid_file),
            connections_max=CONNECTIONS_MAX,
        ),
        ca=str(files.pki / "ca.pem"),
        node_rules=str(rules["nodes"]),
        time_rules=str(rules["time"]),
        service_rules=str(rules["services"]),
        # Started by root it would change to a user who cannot read the development keys.
        user=getpass.getuser(),
        log_to="stderr",
    )
    files.configuration.write_text(broker_configuration(facts))


def await_broker(files: BrokerFiles, *, seconds: float = READY_S_MAX) -> None:
    """Return when the broker takes a TLS connection; raises BrokerError with the reason."""
    context = ssl.create_default_context(cafile=str(files.pki / "ca.pem"))
    context.load_cert_chain(files.pki / "controller.pem", files.pki / "controller.key")
    deadline, reason = time.monotonic() + seconds, "no answer"
    while time.monotonic() < deadline:
        try:
            with (
                socket.create_connection(("127.0.0.1", files.services_port), timeout=1.0) as connection,
                context.wrap_socket(connection, server_hostname="localhost"),
            ):
                return
        except OSError as error:
            reason = str(error)
            time.sleep(_POLL_S)
    message = f"the broker on port {files.services_port} does not take a TLS connection after {seconds:.0f} s: {reason}"
    raise BrokerError(message)


def free_port(preferred: int = 0) -> int:
    """A loopback port that is free now; the preferred one if it is.

    Else one below those that the system gives to outgoing connections, which could take it while a server restarts.
    """
    drawn = (PORT_MIN + secrets.randbelow(PORT_END - PORT_MIN) for _ in range(PORT_TRIES))
    for candidate in (*((preferred,) if preferred else ()), *drawn, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    message = "this machine has no free port on its loopback address"
    raise BrokerError(message)
