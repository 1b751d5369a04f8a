"""What the broker is told: Mosquitto's configuration, its access rules and the limit of new connections, as text.

All of it follows from the one topic table and from `broker.server` of the controller's configuration; nobody edits
it. Three doors, each with access rules of its own. Nodes come in by one where the name in their certificate *is* their
client id, so that none can push another out. A node's second connection, for the time, comes in by another, where the
certificate's whole subject is user and client id ("CN=N001"): it can push out neither this node's first connection nor
anything of another node, and what does not belong to the time is not there. Controllers and their services come in by
the third, on an address that nodes do not reach, where one identity may hold several connections and may end a revoked
node's sessions by taking its client ids over.

Kept elsewhere: writing the files and telling the broker of them (`adapters.broker_files`), who may read and write
which topic (`protocol.topics`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta, Struct

from controller.errors import ConfigError
from protocol.enrolment import TIME_PORT
from protocol.messages import DOCUMENT_BYTES_MAX

PACKET_SPARE_BYTES: Final = 1024
"""Topic and properties beside the payload."""
QUEUED_MESSAGES_MAX: Final = 100
"""What a slow client may make the broker hold."""
IN_FLIGHT_MAX: Final = 10
"""Unacknowledged messages to one client."""
KEEP_ALIVE_S_MAX: Final = 120
"""A client that asks for more could be dead for long before anybody notices; nodes ask for 30."""
SESSION_EXPIRY: Final = "1h"
"""Sessions of clients that never said when theirs ends (MQTT 3.1.1) end too; nodes say 300 s."""
ASKED_KBYTES_PER_S: Final = 16
"""What one connection may say at the door of the time: a hundred questions a second. A node asks two a second at most,
and each takes 150 bytes."""
ASKED_BURST_KBYTES: Final = 32
"""A handshake with its certificate takes 3."""
MADE_BY: Final = "# Made by `loaxa-controller broker write`; do not edit: the next run writes it again."

Port = Annotated[int, Meta(ge=1, le=65_535)]


class DoorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address and a port on which the broker listens."""

    address: Annotated[str, Meta(min_length=1, max_length=45)]
    port: Port


class BrokerServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker that this controller's machine runs; without it another machine's is used as it is."""

    folder: str
    certificate: str
    private_key: str
    ca: str = ""
    revoked: str = ""
    nodes: DoorConfig = DoorConfig(address="0.0.0.0", port=8883)  # noqa: S104 - the nodes come from everywhere
    time: DoorConfig = DoorConfig(address="0.0.0.0", port=TIME_PORT)  # noqa: S104 - for the nodes too
    services: DoorConfig = DoorConfig(address="127.0.0.1", port=8884)
    connections_max: Annotated[int, Meta(ge=1, le=60_000)] = 6_000
    connections_per_s: Annotated[int, Meta(ge=1, le=10_000)] = 100
    pid_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """All that the files are made from; every path is absolute."""

    server: BrokerServerConfig
    ca: str
    node_rules: str
    time_rules: str
    service_rules: str
    user: str | None = None
    log_to: str = "syslog"


def broker_configuration(facts: BrokerFacts) -> str:
    """Mosquitto's configuration file; raises ConfigError for a path or address that would add a line to it."""
    server = facts.server
    lines = [
        MADE_BY,
        "# Each door has its own access rules; without them nobody may do anything there.",
        "per_listener_settings true",
        "",
        "# What one client may make the broker hold.",
        f"max_packet_size {DOCUMENT_BYTES_MAX + PACKET_SPARE_BYTES}",
        f"max_inflight_messages {IN_FLIGHT_MAX}",
        f"max_queued_messages {QUEUED_MESSAGES_MAX}",
        f"max_keepalive {KEEP_ALIVE_S_MAX}",
        f"persistent_client_expiration {SESSION_EXPIRY}",
        "",
        "# Retained messages are a cache, which the controller fills again.",
        "persistence false",
        "set_tcp_nodelay true",
        "",
        f"log_dest {facts.log_to}",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",
    ]
    if facts.user is not None:
        lines.append(f"user {_word(facts.user)}")
    if server.pid_file:
        lines.append(f"pid_file {_path(server.pid_file)}")
    lines += ["", "# Nodes: the certificate's name is the user and the client id."]
    lines += [*_door(server.nodes, facts, facts.node_rules), "use_identity_as_username true", *_for_nodes(server)]
    lines += ["", "# The nodes' connections for the time: the certificate's subject is the user and the client id."]
    lines += [*_door(server.time, facts, facts.time_rules), "use_subject_as_username true", *_for_nodes(server)]
    lines += ["", "# Controllers and their services; nodes do not reach this address."]
    lines += [*_door(server.services, facts, facts.service_rules), "use_identity_as_username true"]
    return "\n".join(lines) + "\n"


def connection_limit(server: BrokerServerConfig) -> str:
    """An nftables table that bounds new connections on the nodes' doors, and what one may say at that of the time.

    Mosquitto has no such limits. A dropped SYN comes again after a second, so a node waits and is not refused; what is
    beyond the rate cannot hold up a live stream by its handshakes. Each door has the whole rate: nobody who wants to
    hear an emergency waits behind those who ask for the time. A connection for the time may say ASKED_KBYTES_PER_S, a
    hundred times what a node does, or one unit in a thief's hand could keep the answers from all.
    """
    new = (
        f"ct state new limit rate over {server.connections_per_s}/second burst {server.connections_per_s} packets drop"
    )
    askers = {"four": ("ipv4_addr", "ip"), "six": ("ipv6_addr", "ip6")}
    said = f"limit rate over {ASKED_KBYTES_PER_S} kbytes/second burst {ASKED_BURST_KBYTES} kbytes"
    return "\n".join(
        [
            MADE_BY,
            "table inet loaxa_broker",
            "delete table inet loaxa_broker",
            "table inet loaxa_broker {",
            *(
                f"  set askers_{name} {{ type {kind} . inet_service; size 65535; flags dynamic; timeout 1m; }}"
                for name, (kind, _) in askers.items()
            ),
            "  chain input {",
            "    type filter hook input priority filter; policy accept;",
            *(f"    tcp dport {door.port} {new}" for door in (server.nodes, server.time)),
            *(
                f"    tcp dport {server.time.port} update @askers_{name} {{ {family} saddr . tcp sport {said} }} drop"
                for name, (_, family) in askers.items()
            ),
            "  }",
            "}",
            "",
        ]
    )


def _door(door: DoorConfig, facts: BrokerFacts, rules: str) -> list[str]:
    return [
        f"listener {door.port} {_address(door.address)}",
        "allow_anonymous false",
        f"acl_file {_path(rules)}",
        "tls_version tlsv1.3",
        f"cafile {_path(facts.ca)}",
        f"certfile {_path(facts.server.certificate)}",
        f"keyfile {_path(facts.server.private_key)}",
        "require_certificate true",
    ]


def _for_nodes(server: BrokerServerConfig) -> list[str]:
    lines = ["use_username_as_clientid true", f"max_connections {server.connections_max}"]
    return [*lines, f"crlfile {_path(server.revoked)}"] if server.revoked else lines


def _address(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise ConfigError(f"broker.server: {address!r} is no IP address to listen on") from error


def _path(path: str) -> str:
    if not path.isprintable() or path != path.strip():
        raise ConfigError(f"broker.server: the path {path!r} cannot stand in the broker's configuration")
    return path


def _word(word: str) -> str:
    if not word.isprintable() or not word or " " in word:
        raise ConfigError(f"broker.server: {word!r} is no name of a user")
    return word
