"""The broker's files in their folder, and how a running broker is told of them.

`write_broker_files` makes what `controller.broker.rules` says; a second run that changes nothing says so. Certificates
and key are copied there, for Mosquitto drops root's rights before it reads them, and reads them again with each list
of those revoked: as a user who cannot look into the controller's folder. `BrokerKeeper` keeps revoked nodes out: it
puts the list of revoked certificates in place, has the broker read it (SIGHUP to the process that the pid file names;
without one a systemd path unit watches the list), and ends the sessions that were open, for the broker checks a
certificate only when a client comes in.

Rules kept: a file appears whole or not at all; access rules and key are readable by the broker's group and nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from controller.broker.rules import BrokerFacts, broker_configuration, connection_limit
from controller.configuration.config import Config
from controller.errors import ConfigError
from protocol.adapters.durable_file import write_durably
from protocol.adapters.mqtt_link import MqttLink, MqttSettings
from protocol.topics import SUBJECT, node_rules, service_rules, time_rules

log = logging.getLogger("controller.broker")

CONFIGURATION: Final = "mosquitto.conf"
NODE_RULES: Final = "nodes.acl"
TIME_RULES: Final = "time.acl"
SERVICE_RULES: Final = "services.acl"
CONNECTION_LIMIT: Final = "connection-limit.nft"
AUTHORITY: Final = "ca.pem"
CERTIFICATE: Final = "server.pem"
PRIVATE_KEY: Final = "server.key"
_MODES: Final = {
    CONFIGURATION: 0o644,
    NODE_RULES: 0o640,
    TIME_RULES: 0o640,
    SERVICE_RULES: 0o640,
    CONNECTION_LIMIT: 0o644,
    AUTHORITY: 0o644,
    CERTIFICATE: 0o644,
    PRIVATE_KEY: 0o640,
}
"""The broker's group reads its rules and its key; nobody else does."""
CERTIFICATE_BYTES_MAX: Final = 256 * 1024
"""A bundle of authorities; a larger file is another file."""
TAKEOVER_S_MAX: Final = 5.0
"""How long ending one session may take."""
RELOAD_S: Final = 1.0
"""Mosquitto acts on SIGHUP within its loop; sessions are ended after it has read the list, or they would come back."""


def broker_files(config: Config, *, user: str | None = None, log_to: str = "syslog") -> dict[Path, bytes]:
    """Every file and what belongs in it; raises ConfigError when the configuration names no broker of its own."""
    server = config.broker.server
    if server is None:
        raise ConfigError("broker.server: the configuration has no such section; it says where the files belong")
    folder = Path(server.folder)
    copies = {
        folder / AUTHORITY: Path(server.ca or config.trust.ca),
        folder / CERTIFICATE: Path(server.certificate),
        folder / PRIVATE_KEY: Path(server.private_key),
    }
    facts = BrokerFacts(
        server=msgspec.structs.replace(
            server, certificate=str(folder / CERTIFICATE), private_key=str(folder / PRIVATE_KEY)
        ),
        ca=str(folder / AUTHORITY),
        node_rules=str(folder / NODE_RULES),
        time_rules=str(folder / TIME_RULES),
        service_rules=str(folder / SERVICE_RULES),
        user=user,
        log_to=log_to,
    )
    return {
        folder / CONFIGURATION: broker_configuration(facts).encode(),
        folder / NODE_RULES: node_rules().encode(),
        folder / TIME_RULES: time_rules().encode(),
        folder / SERVICE_RULES: service_rules(controllers=(config.controller,)).encode(),
        folder / CONNECTION_LIMIT: connection_limit(server).encode(),
        **{path: _read(source) for path, source in copies.items()},
    }


def _read(path: Path) -> bytes:
    """A certificate or key that the broker gets a copy of: it runs as a user who cannot read the controller's."""
    try:
        with path.open("rb") as file:
            data = file.read(CERTIFICATE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"broker.server: {path} cannot be read: {error.strerror or error}") from error
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise ConfigError(f"broker.server: {path} is larger than {CERTIFICATE_BYTES_MAX} bytes; is it the right file?")
    return data


def stale_files(files: dict[Path, bytes]) -> list[Path]:
    """Those that are not there, or differ from what belongs there; raises ConfigError for one that cannot be read.

    Mode and group belong to it: the folder may have been given to the broker's group after the files were made.
    """
    stale = []
    for path, data in files.items():
        try:
            status = path.stat()
            is_shared = status.st_gid == path.parent.stat().st_gid
            if path.read_bytes() != data or stat.S_IMODE(status.st_mode) != _MODES[path.name] or not is_shared:
                stale.append(path)
        except FileNotFoundError:
            stale.append(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    return stale


def write_broker_files(files: dict[Path, bytes]) -> list[Path]:
    """Put every file in its place; gives those that changed. Raises ConfigError."""
    changed = stale_files(files)
    for path in changed:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, files[path], mode=_MODES[path.name])
            _share_with_group_of(path.parent, path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
    return changed


def _share_with_group_of(folder: Path, path: Path) -> None:
    """The folder's group is the broker's, where an administrator has made it so."""
    group = folder.stat().st_gid
    if path.stat().st_gid != group:
        os.chown(path, -1, group)


class BrokerKeeper:
    """Keeps revoked nodes out of the broker that runs with our files."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def revoke(self, revoked: bytes, nodes: Sequence[str]) -> None:
        """Put the list in place and end the sessions of these nodes.

        Raises ConfigError when the list cannot be written; a broker that does not answer is logged, for it reads
        the list when it starts.
        """
        server = self._config.broker.server
        if server is None or not server.revoked:
            log.warning("revoked certificates stay with the broker: broker.server.revoked names no file for them")
            return
        path = Path(server.revoked)
        try:
            await asyncio.to_thread(write_durably, path, revoked, mode=0o644)
        except OSError as error:
            raise ConfigError(f"broker.server.revoked: {path} cannot be written: {error.strerror or error}") from error
        if server.pid_file:
            await asyncio.to_thread(tell_broker, Path(server.pid_file))
        if nodes:
            await asyncio.sleep(RELOAD_S)
            await asyncio.gather(*(self.end_sessions(node) for node in nodes))

    async def end_sessions(self, node: str) -> bool:
        """Take over both client ids of a node at the services' door and leave at once; whether that was done."""
        done = await asyncio.gather(self._end_session(node), self._end_session(SUBJECT + node))
        return all(done)

    async def _end_session(self, client_id: str) -> bool:
        server = self._config.broker.server
        if server is None:
            return False
        trust = self._config.trust
        done = asyncio.Event()
        link = MqttLink(
            MqttSettings(
                host=self._config.broker.host,
                port=server.services.port,
                client_id=client_id,
                ca_path=trust.ca,
                certificate_path=trust.certificate,
                private_key_path=trust.private_key,
                herd_window_s=0,
                session_expiry_s=0,
            ),
            on_connected=lambda *_: done.set(),
            on_disconnected=lambda reason: log.info("the session of %s is not ended yet: %s", client_id, reason),
            on_message=lambda *_: None,
        )
        link.start()
        try:
            await asyncio.wait_for(done.wait(), TAKEOVER_S_MAX)
        except TimeoutError:
            log.warning(
                "the session of %s was not ended: no answer from the broker in %.0f s", client_id, TAKEOVER_S_MAX
            )
            return False
        finally:
            await asyncio.to_thread(link.stop)
        log.info("the session of %s is ended", client_id)
        return True


def tell_broker(pid_file: Path) -> bool:
    """SIGHUP to the broker; whether there was one to tell."""
    try:
        number = int(pid_file.read_text().strip())
        name = Path(f"/proc/{number}/comm").read_text().strip()
        if name != "mosquitto":
            log.warning("%s names the process %d, which is %s and no broker", pid_file, number, name)
            return False
        os.kill(number, signal.SIGHUP)
    except (OSError, ValueError) as error:
        log.warning("the broker was not told of the revoked certificates (%s: %s)", pid_file, error)
        return False
    return True
