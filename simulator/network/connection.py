"""One TCP connection with TLS between a machine and a server: in order, never losing, able to hang.

Two pipes carry messages one after the other; a message never overtakes another of its pipe, whatever delays
they draw, but connections overtake each other freely. A path that is cut holds everything until TCP tries
again after it has healed. A connection whose other end has vanished without a word hangs: nobody is told.

What ends notice: `received`, `closed`; and, so that keep-alive costs no event while all is well, `stalled` when
nothing can arrive any more and `resumed` when it can again. An end must use these two only to work out when
its keep-alive would have run out, never to know at once what a real end could not know.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

from simulator.chance import Chance
from simulator.network.delay import (
    SEGMENT_BYTES,
    SEGMENT_OVERHEAD_BYTES,
    AccessSettings,
    DelayModel,
    first_retransmission_after,
)
from simulator.world import Timer, World

NS_PER_S: Final = 1_000_000_000
PING_BYTES: Final = 2 * (2 + SEGMENT_OVERHEAD_BYTES)
"""A PINGREQ and its PINGRESP (MQTT 5, 3.12 and 3.13) on the wire."""


class End(Protocol):
    """What is told to the program at one end of a connection."""

    def received(self, packet: Any) -> None:  # noqa: ANN401 - what the two ends agree on is not the wire's affair
        """A whole message has arrived."""

    def closed(self, reason: str) -> None:
        """The peer or the network has ended the connection; it is over for both."""

    def stalled(self) -> None:
        """From now on nothing arrives; only for working out keep-alive."""

    def resumed(self) -> None:
        """Things arrive again; only for working out keep-alive."""


class ClientHost(Protocol):
    """The machine that opens connections (`network.Host`), as they need it."""

    access: AccessSettings
    chance: Chance
    is_on: bool
    ping_bytes_settled: int

    def send_up(self, wire_bytes: int) -> int:
        """Charge an outgoing message; when its last bit has left (true time, ns)."""

    def send_down(self, wire_bytes: int) -> int:
        """Charge an incoming message; when its last bit has passed the access (true time, ns)."""

    def drop(self, connection: Connection) -> None:
        """A connection is over."""


class Server(Protocol):
    """A program that accepts connections at an address."""

    def handshake_ends_at(self) -> int:
        """When its core will have done one more TLS handshake that has just begun (true time, ns)."""

    def accept(self, connection: Connection) -> End | None:
        """A connection is secured: its end, or None to refuse it."""


class Listener:
    """An address with a program behind it, or none."""

    __slots__ = ("is_on", "server")

    def __init__(self) -> None:
        self.server: Server | None = None
        self.is_on = True


class _Farewell:
    """Travels behind the last message: an orderly close or a reset."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Pipe:
    """One direction of a connection: a queue in order with one event for its head."""

    __slots__ = ("_connection", "_is_up", "_timer", "_world", "is_frozen", "pending_bytes", "queue")

    def __init__(self, connection: Connection, world: World, *, is_up: bool) -> None:
        self._connection = connection
        self._world = world
        self._is_up = is_up
        self._timer: Timer | None = None
        self.is_frozen = False
        self.pending_bytes = 0
        self.queue: deque[tuple[int, int, int, Any]] = deque()

    def send(self, packet: Any, size: int, from_ns: int = 0) -> None:  # noqa: ANN401 - see End
        """Queue a message; it arrives after the link's delay and behind all before it.

        `from_ns` is when the sender's core gets round to it, if that is later than now (true time).
        """
        host = self._connection.host
        now_ns = self._world.now_ns
        segments = 1 + size // SEGMENT_BYTES
        wire_bytes = size + segments * SEGMENT_OVERHEAD_BYTES
        model: DelayModel
        if self._is_up:
            model = host.access.up
            sent_ns = host.send_up(wire_bytes)
        else:
            model = host.access.down
            sent_ns = host.send_down(wire_bytes)
        arrival_ns = max(sent_ns, from_ns) + model.sample_ns(host.chance, segments)
        self.pending_bytes += size
        self.queue.append((arrival_ns, now_ns, size, packet))
        if self._timer is None and not self.is_frozen:
            self._timer = self._world.at(arrival_ns, self._arrive)

    def freeze(self) -> None:
        """Nothing arrives until `thaw`; what is under way is lost on its way and will be sent again."""
        self.is_frozen = True
        self._world.cancel(self._timer)
        self._timer = None

    def thaw(self, cut_at_ns: int) -> None:
        """Go on at TCP's next try after a cut that began at `cut_at_ns`."""
        self.is_frozen = False
        if not self.queue:
            return
        blocked_from_ns = max(cut_at_ns, self.queue[0][1])
        resume_ns = max(first_retransmission_after(blocked_from_ns, self._world.now_ns), self.queue[0][0])
        head = self.queue[0]
        self.queue[0] = (resume_ns, *head[1:])
        self._timer = self._world.at(resume_ns, self._arrive)

    def drop(self) -> None:
        """Forget everything under way."""
        self._world.cancel(self._timer)
        self._timer = None
        self.queue.clear()
        self.pending_bytes = 0

    def _arrive(self) -> None:
        now_ns = self._world.now_ns
        queue = self.queue
        self._timer = None
        while queue and queue[0][0] <= now_ns:
            _, _, size, packet = queue.popleft()
            self.pending_bytes -= size
            self._connection.arrived(packet, is_up=self._is_up)
            if self.is_frozen:
                return
        if queue and self._timer is None:
            self._timer = self._world.at(queue[0][0], self._arrive)


class Connection:
    """Both pipes and both ends; made by `network`."""

    __slots__ = (
        "client",
        "cut_at_ns",
        "down",
        "flowing_from_ns",
        "host",
        "is_accepted",
        "is_cut",
        "is_forgotten",
        "keep_alive_ns",
        "listener",
        "number",
        "server",
        "up",
        "world",
    )

    def __init__(self, world: World, host: ClientHost, client: End, number: int) -> None:
        self.world = world
        self.host = host
        self.number = number
        self.client: End | None = client
        self.server: End | None = None
        self.up = Pipe(self, world, is_up=True)
        self.down = Pipe(self, world, is_up=False)
        self.listener: Listener | None = None
        self.is_accepted = False
        self.is_cut = False
        self.is_forgotten = False
        self.cut_at_ns = 0
        self.keep_alive_ns = 0
        self.flowing_from_ns = world.now_ns

    @property
    def is_flowing(self) -> bool:
        """Whether messages reach the other end."""
        return not self.is_cut

    @property
    def is_whole(self) -> bool:
        """Whether both ends are there and reach each other."""
        return not self.is_cut and self.client is not None and self.server is not None

    def arrived(self, packet: Any, *, is_up: bool) -> None:  # noqa: ANN401 - see End
        """A pipe delivers; an end that is gone without a word has its machine reset the sender, once it runs again."""
        end = self.server if is_up else self.client
        if end is None:
            if not isinstance(packet, _Farewell):
                self._answer_reset(is_up=is_up)
            return
        if isinstance(packet, _Farewell):
            self._discard()
            end.closed(packet.reason)
            return
        end.received(packet)

    def close(self, reason: str, *, by_client: bool) -> None:
        """One end closes: what it has sent still arrives, then the farewell; it is told nothing any more."""
        if by_client:
            mine, other, pipe, reverse = self.client, self.server, self.up, self.down
            self.client = None
        else:
            mine, other, pipe, reverse = self.server, self.client, self.down, self.up
            self.server = None
        if mine is None:
            return
        if other is None or self.is_forgotten or (self.is_cut and not self.is_accepted):
            self._discard()
            return
        reverse.drop()
        pipe.send(_Farewell(reason), 0)

    def vanish(self, *, client: bool) -> None:
        """One end is gone without a word: power cut, machine dead."""
        self._settle_pings()
        if client:
            self.client, other = None, self.server
        else:
            self.server, other = None, self.client
        if other is None:
            self._discard()
        elif not self.is_cut:
            other.stalled()

    def reset(self) -> None:
        """Something on the path has reset the connection: both ends are told, what was under way is lost."""
        ends = (self.client, self.server)
        self._discard()
        for end in ends:
            if end is not None:
                end.closed("reset by the peer")

    def forget(self) -> None:
        """The path forgets this connection for good (a NAT entry is gone): both ends hang."""
        self.is_forgotten = True
        self.freeze()

    def freeze(self) -> None:
        """The path is cut."""
        if self.is_cut:
            return
        self._settle_pings()
        self.is_cut = True
        self.cut_at_ns = self.world.now_ns
        self.up.freeze()
        self.down.freeze()
        for end in (self.client, self.server):
            if end is not None:
                end.stalled()

    def thaw(self) -> None:
        """The path has healed; a forgotten connection stays dead."""
        if not self.is_cut or self.is_forgotten:
            return
        self.is_cut = False
        self.up.thaw(self.cut_at_ns)
        self.down.thaw(self.cut_at_ns)
        self.flowing_from_ns = self.world.now_ns
        if self.client is not None and self.server is not None:
            self.client.resumed()
            self.server.resumed()

    def ping_bytes(self) -> int:
        """What keep-alive has cost since the last settlement: it is counted, not simulated, while all is well."""
        if not self.keep_alive_ns or not self.is_whole:
            return 0
        return (self.world.now_ns - self.flowing_from_ns) // self.keep_alive_ns * PING_BYTES

    def _settle_pings(self) -> None:
        self.host.ping_bytes_settled += self.ping_bytes()
        self.flowing_from_ns = self.world.now_ns

    def _answer_reset(self, *, is_up: bool) -> None:
        sender = self.client if is_up else self.server
        is_running = self.listener is not None and self.listener.is_on if is_up else self.host.is_on
        if sender is None or not is_running:
            return
        pipe = self.down if is_up else self.up
        pipe.send(_Farewell("reset by the peer"), 0)

    def _discard(self) -> None:
        self._settle_pings()
        self.client = self.server = None
        self.up.drop()
        self.down.drop()
        self.host.drop(self)
