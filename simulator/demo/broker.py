"""Mosquitto as the demo and the tests run it: TLS 1.3 with client certificates, rules from the topic table.

The text of its configuration is what a deployment's would be, but for the loopback address and the free port.
"""

from __future__ import annotations

import getpass
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.messages import DOCUMENT_BYTES_MAX
from protocol.topics import access_rules

READY_S_MAX: Final = 10.0
QUEUED_MESSAGES_MAX: Final = 100
"""What a slow client may make the broker hold."""
_POLL_S: Final = 0.05
_PACKET_SPARE_BYTES: Final = 1024
"""Topic and properties beside the payload."""


class BrokerError(Exception):
    """The broker does not answer as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFiles:
    """Where the broker's files are; `pki` is a folder of development keys."""

    folder: Path
    pki: Path
    port: int

    @property
    def configuration(self) -> Path:
        """The file to start it with."""
        return self.folder / "mosquitto.conf"

    @property
    def command(self) -> list[str]:
        """The process to start."""
        return ["mosquitto", "-c", str(self.configuration)]


def write_broker_files(files: BrokerFiles, *, controllers: tuple[str, ...]) -> None:
    """Write the configuration and the access rules."""
    files.folder.mkdir(parents=True, exist_ok=True)
    rules = files.folder / "access.acl"
    rules.write_text(access_rules(controllers=controllers))
    rules.chmod(0o600)
    files.configuration.write_text(configuration_text(files, rules))


def configuration_text(files: BrokerFiles, rules: Path) -> str:
    """Mosquitto's configuration."""
    lines = [
        f"listener {files.port} 127.0.0.1",
        "tls_version tlsv1.3",
        f"cafile {files.pki / 'ca.pem'}",
        f"certfile {files.pki / 'server.pem'}",
        f"keyfile {files.pki / 'server.key'}",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {rules}",
        "set_tcp_nodelay true",
        f"max_queued_messages {QUEUED_MESSAGES_MAX}",
        f"message_size_limit {DOCUMENT_BYTES_MAX + _PACKET_SPARE_BYTES}",
        "persistence false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",
        # Started by root it would change to a user who cannot read the development keys.
        f"user {getpass.getuser()}",
    ]
    return "\n".join(lines) + "\n"


def await_broker(files: BrokerFiles, *, seconds: float = READY_S_MAX) -> None:
    """Return when the broker takes a TLS connection; raises BrokerError with the reason."""
    context = ssl.create_default_context(cafile=str(files.pki / "ca.pem"))
    context.load_cert_chain(files.pki / "controller.pem", files.pki / "controller.key")
    deadline, reason = time.monotonic() + seconds, "no answer"
    while time.monotonic() < deadline:
        try:
            with (
                socket.create_connection(("127.0.0.1", files.port), timeout=1.0) as connection,
                context.wrap_socket(connection, server_hostname="localhost"),
            ):
                return
        except OSError as error:
            reason = str(error)
            time.sleep(_POLL_S)
    message = f"the broker on port {files.port} does not take a TLS connection after {seconds:.0f} s: {reason}"
    raise BrokerError(message)


def free_port(preferred: int = 0) -> int:
    """A loopback port that is free now; the preferred one if it is."""
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    message = "this machine has no free port on its loopback address"
    raise BrokerError(message)
