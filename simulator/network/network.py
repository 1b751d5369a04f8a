"""The network between poles, controller and broker: machines with an access each, servers with an address.

Every machine's delays come from its own stream of chance, so one more pole shifts no other. Cutting a machine's
access partitions it from everybody; powering it off leaves its peers talking to nobody. Opening a connection
costs what TCP and TLS 1.3 cost: two round trips, certificates both ways, and the server's handshake time, which
its one core does one after the other (that is what a storm of reconnects queues for).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from simulator.network.connection import NS_PER_S, Connection, End, Listener, Server
from simulator.network.delay import AccessSettings
from simulator.world import World

HELLO_BYTES: Final = 520
"""ClientHello of TLS 1.3."""
SERVER_FLIGHT_BYTES: Final = 1_900
"""ServerHello to Finished with a P-256 chain of two."""
CLIENT_FLIGHT_BYTES: Final = 1_500
"""The client's certificate, its proof and Finished."""
_BITS: Final = 8


class OpeningEnd(End, Protocol):
    """A client's end, told that its connection is ready for its first message."""

    def opened(self) -> None:
        """TCP and TLS are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes on the air or wire since the beginning, headers and keep-alive included."""

    up_bytes: int
    down_bytes: int
    ping_bytes: int

    @property
    def total_bytes(self) -> int:
        """What a SIM's volume is charged with."""
        return self.up_bytes + self.down_bytes + self.ping_bytes


class Host:
    """One machine's access: whether it is on and reachable, what it has used, its connections."""

    def __init__(self, world: World, name: str, access: AccessSettings) -> None:
        self.name: Final = name
        self.access = access
        self.chance = world.chance(f"network/{name}")
        self.is_on = True
        self.is_cut = False
        self.ping_bytes_settled = 0
        self.connections: dict[int, Connection] = {}
        self._world = world
        self._up_bytes = 0
        self._down_bytes = 0
        self._up_free_ns = 0
        self._down_free_ns = 0
        self._charged_from_bytes = 0
        self.is_over_cap = False

    @property
    def traffic(self) -> Traffic:
        """What it has sent and received."""
        pings = self.ping_bytes_settled + sum(one.ping_bytes() for one in self.connections.values())
        return Traffic(up_bytes=self._up_bytes, down_bytes=self._down_bytes, ping_bytes=pings)

    def send_up(self, wire_bytes: int) -> int:
        """Charge an outgoing message; when its last bit has left (true time, ns)."""
        self._up_bytes += wire_bytes
        now_ns = self._world.now_ns
        bps = self.access.after_cap_bps if self.is_over_cap else self.access.up_bps
        if self.access.data_cap_bytes is not None:
            self._charge()
        if not bps:
            return now_ns
        self._up_free_ns = max(now_ns, self._up_free_ns) + wire_bytes * _BITS * NS_PER_S // bps
        return self._up_free_ns

    def send_down(self, wire_bytes: int) -> int:
        """Charge an incoming message; when its last bit has passed the access (true time, ns)."""
        self._down_bytes += wire_bytes
        now_ns = self._world.now_ns
        bps = self.access.after_cap_bps if self.is_over_cap else self.access.down_bps
        if self.access.data_cap_bytes is not None:
            self._charge()
        if not bps:
            return now_ns
        self._down_free_ns = max(now_ns, self._down_free_ns) + wire_bytes * _BITS * NS_PER_S // bps
        return self._down_free_ns

    def spend_data(self) -> None:
        """The volume is spent at once, whatever was left of it."""
        if not self.is_over_cap:
            self._reach_cap()

    def renew_data(self) -> None:
        """A new month, or a top-up: the volume is whole again."""
        was_cut_off = self.is_over_cap and self.access.after_cap_bps == 0
        self._charged_from_bytes = self.traffic.total_bytes
        self.is_over_cap = False
        self._world.record(self.name, "data_renewed")
        if was_cut_off and self.is_reachable:
            self.thaw()

    def drop(self, connection: Connection) -> None:
        """A connection is over (`connection.ClientHost`)."""
        self.connections.pop(connection.number, None)

    def freeze(self) -> None:
        """Hold every connection."""
        for connection in tuple(self.connections.values()):
            connection.freeze()

    def thaw(self) -> None:
        """Let every connection go on."""
        for connection in tuple(self.connections.values()):
            connection.thaw()

    @property
    def is_reachable(self) -> bool:
        """Whether anything can pass at all."""
        return self.is_on and not self.is_cut and not (self.is_over_cap and self.access.after_cap_bps == 0)

    def _charge(self) -> None:
        cap_bytes = self.access.data_cap_bytes
        if self.is_over_cap or cap_bytes is None:
            return
        if self.traffic.total_bytes - self._charged_from_bytes > cap_bytes:
            self._reach_cap()

    def _reach_cap(self) -> None:
        self.is_over_cap = True
        self._world.record(self.name, "data_cap_reached", total_bytes=self.traffic.total_bytes)
        if self.access.after_cap_bps == 0:
            self._world.after(0, self._freeze_when_spent)

    def _freeze_when_spent(self) -> None:
        if self.is_over_cap:
            self.freeze()


class Network:
    """All machines and addresses."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._listeners: dict[str, Listener] = {}
        self._next_number = 0
        self.hosts: dict[str, Host] = {}

    def add_host(self, name: str, access: AccessSettings) -> Host:
        """A new machine; raises ValueError for a name that is taken."""
        if name in self.hosts:
            message = f"there is a machine {name} in the network already"
            raise ValueError(message)
        host = self.hosts[name] = Host(self._world, name, access)
        return host

    def listen(self, address: str, server: Server) -> None:
        """A program starts to accept at an address; its machine runs."""
        listener = self._listeners.setdefault(address, Listener())
        listener.server = server
        listener.is_on = True

    def stop_listening(self, address: str, *, machine_is_off: bool = False) -> None:
        """The program has ended: the machine refuses connections, or when it is off, says nothing at all."""
        listener = self._listeners[address]
        listener.server = None
        listener.is_on = not machine_is_off

    def connect(self, host: Host, address: str, client: OpeningEnd) -> Connection:
        """Begin to open a connection; `client` hears `opened` or `closed`, or nothing at all while the path is cut."""
        self._next_number += 1
        connection = Connection(self._world, host, client, self._next_number)
        connection.listener = self._listeners.setdefault(address, Listener())
        host.connections[connection.number] = connection
        opening = _Opening(self._world, connection, client)
        connection.client = opening
        connection.server = opening.server_side
        if not host.is_reachable:
            connection.freeze()
        connection.up.send("syn", 0)
        return connection

    def cut(self, name: str) -> None:
        """Partition a machine: nothing passes, nobody is told."""
        host = self.hosts[name]
        if not host.is_cut:
            host.is_cut = True
            host.freeze()
            self._world.record(name, "network_cut")

    def heal(self, name: str) -> None:
        """End a machine's partition."""
        host = self.hosts[name]
        if host.is_cut:
            host.is_cut = False
            self._world.record(name, "network_healed")
            if host.is_reachable:
                host.thaw()

    def break_silently(self, name: str) -> None:
        """The operator's NAT forgets a machine's connections: both ends hang, new connections work."""
        for connection in tuple(self.hosts[name].connections.values()):
            connection.forget()
        self._world.record(name, "network_forgot_connections")

    def reset(self, name: str) -> None:
        """Something on the path resets a machine's connections (a modem that restarts): both ends are told at once."""
        for connection in tuple(self.hosts[name].connections.values()):
            connection.reset()
        self._world.record(name, "network_reset_connections")

    def power_off(self, name: str) -> None:
        """A machine loses power: its connections are gone without a word; its programs must be told elsewhere."""
        host = self.hosts[name]
        host.is_on = False
        for connection in tuple(host.connections.values()):
            if connection.client is not None:
                connection.vanish(client=True)

    def power_on(self, name: str) -> None:
        """A machine has its network back after a boot; what still comes for its old connections is reset."""
        self.hosts[name].is_on = True


class _Opening:
    """Both ends of a connection while TCP and TLS are set up; steps aside when they are."""

    def __init__(self, world: World, connection: Connection, client: OpeningEnd) -> None:
        self._world = world
        self._connection = connection
        self._client = client
        self.server_side = _OpeningServer(world, connection)

    def received(self, packet: Any) -> None:  # noqa: ANN401 - see End
        """The server answers: TCP is there, or TLS is."""
        connection = self._connection
        if packet == "syn_ack":
            connection.up.send("hello", HELLO_BYTES)
        elif packet == "server_flight":
            connection.up.send("client_flight", CLIENT_FLIGHT_BYTES)
            connection.client = self._client
            self._client.opened()

    def closed(self, reason: str) -> None:
        """Refused."""
        self._client.closed(reason)

    def stalled(self) -> None:
        """Opening has no keep-alive: the client's own patience ends it."""

    def resumed(self) -> None:
        """TCP's next try goes through."""


class _OpeningServer:
    """The server's machine and TLS layer until the program accepts."""

    def __init__(self, world: World, connection: Connection) -> None:
        self._world = world
        self._connection = connection

    def received(self, packet: Any) -> None:  # noqa: ANN401 - see End
        """The client asks; a machine that is off says nothing, one without the program refuses."""
        connection = self._connection
        listener = connection.listener
        if listener is None or not listener.is_on:
            return
        server = listener.server
        if server is None:
            connection.close("refused", by_client=False)
        elif packet == "syn":
            connection.down.send("syn_ack", 0)
        elif packet == "hello":
            self._world.at(server.handshake_ends_at(), self._answer)
        elif packet == "client_flight":
            end = server.accept(connection)
            if end is None:
                connection.close("refused", by_client=False)
            else:
                connection.server = end
                connection.is_accepted = True

    def closed(self, reason: str) -> None:
        """The client has given up."""

    def stalled(self) -> None:
        """A half-open handshake is the server's to forget; it costs nothing here."""

    def resumed(self) -> None:
        """Nothing was waited for."""

    def _answer(self) -> None:
        if self._connection.server is self:
            self._connection.down.send("server_flight", SERVER_FLIGHT_BYTES)
