"""A load run: connect, listen, press, restart the broker; each phase bounded, everything ended afterwards.

It starts what `target.own_target` wrote, or uses what runs; counts are the crowd's (`tally`), CPU is the kernel's
(`usage`). Lateness is told from the packets' own play times, and compared with the fastest message of the run, so it
contains whatever stands between the controller's encoder and a node, the generator included.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.codec import cbor_decode
from protocol.envelope import open_sealed
from protocol.errors import Refusal
from protocol.messages import AnyDocument, Emergency
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS
from simulator.bench_site import BenchSite, start_site
from simulator.demo.console import ConsoleError
from simulator.demo.processes import Children
from simulator.demo.station import Station
from simulator.load.crowd import CrowdSettings
from simulator.load.generator import Generator
from simulator.load.result import LoadResult, OrdersFound, RestartFound, StreamFound, TimeFound
from simulator.load.tally import Order, Tally, late_ms, margins_between
from simulator.load.target import Target, TargetError, allow_descriptors, own_target, running_target, with_clocks
from simulator.load.time_exchange import quantile_ms
from simulator.load.usage import CpuWatch, Usage

NODES_MAX: Final = 12_000
SECONDS_MAX: Final = 120.0
CONNECT_S_SPARE: Final = 60.0
"""Beyond what the pace of connecting takes."""
BACK_S_MAX: Final = 90.0
KNOWN_S_MAX: Final = 60.0
"""A status tells the controller of a node at the latest, and comes each 30 s."""
KNOWN_LOOK_S: Final = 1.0
"""The view of ten thousand nodes costs the controller a part of a second."""
SETTLE_S: Final = 3.0
DRAIN_S: Final = 3.0
"""Longer than the expiry of a message (2 s), and than an answer is on its way."""
ORDER_S_MAX: Final = 8.0
BETWEEN_ORDERS_S: Final = 2.0
_POLL_S: Final = 0.25

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What a run does. `orders` presses, `restart` ends and starts the run's own broker."""

    nodes: int
    seconds: float = 20.0
    has_stream: bool = False
    status_every_s: float | None = None
    time_every_s: float | None = None
    """How often each node asks for the time, in the same phase as the status."""
    orders: int = 0
    has_restart: bool = False
    processes: int | None = None
    connections_per_s: float = 300.0
    herd_window_s: float | None = None
    """Over how long lost connections come back; None is the controller's own rule."""

    @property
    def connections(self) -> int:
        """Of all nodes: those that ask for the time have two each."""
        return self.nodes * (1 if self.time_every_s is None else 2)


def run_own(options: LoadOptions, *, say: Say) -> LoadResult:
    """Start broker, controller and station, and make the load; nothing is left running."""
    allow_descriptors(options.connections)
    with tempfile.TemporaryDirectory(prefix="loaxa-load-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with contextlib.ExitStack() as stack:
            feed_url = None
            if options.has_stream:
                station = stack.enter_context(Station(folder / "station", mounts=("mp3",)))
                feed_url = station.urls["mp3"]
            say(f"certificates for {options.nodes} light nodes")
            own = own_target(folder, count=options.nodes, feed_url=feed_url, status_every_s=options.status_every_s)
            children = Children(folder / "logs")
            stack.callback(children.stop)
            say("broker and controller")
            start_site(own.site, children)
            return _Run(options, own.target, say, children=children, site=own.site).run()


def run_against(options: LoadOptions, configuration: Path, *, say: Say) -> LoadResult:
    """Make the load on the broker and controller that run on this machine with a configuration."""
    allow_descriptors(options.connections)
    if options.has_restart:
        raise TargetError("--restart ends the broker, and is only for one that the run has started itself (--own)")
    with tempfile.TemporaryDirectory(prefix="loaxa-load-") as folder:
        target = running_target(configuration, Path(folder), count=options.nodes, status_every_s=options.status_every_s)
        return _Run(options, target, say, children=None, site=None).run()


class _Run:
    def __init__(
        self, options: LoadOptions, target: Target, say: Say, *, children: Children | None, site: BenchSite | None
    ) -> None:
        self._options = options
        self._target = target
        self._say = say
        self._children = children
        self._site = site
        self._usage: dict[str, dict[str, Usage]] = {}

    def run(self) -> LoadResult:
        target, options = self._target, self._options
        settings = CrowdSettings(
            host=target.broker_host,
            port=target.broker_port,
            time_port=target.time_port,
            ca_path=str(target.ca_path),
            nodes=target.nodes if options.time_every_s is None else with_clocks(target.nodes),
            root_keys_path=str(target.root_keys_path),
            connections_per_s=options.connections_per_s,
            herd_window_s=options.herd_window_s or target.herd_window_s,
        )
        with Generator(settings, processes=options.processes) as crowd:
            connect_s = self._connect(crowd)
            known, known_s = self._await_known()
            is_idle = options.status_every_s is not None or options.time_every_s is not None
            statuses_per_s, exchanged = self._idle(crowd) if is_idle else (None, None)
            relay = self._start_stream(crowd) if options.has_stream else None
            try:
                stream = self._listen(crowd) if relay else None
                orders = self._press(crowd) if options.orders else None
                restart = self._restart(crowd) if options.has_restart else None
            finally:
                if relay:
                    with contextlib.suppress(ConsoleError):
                        target.console.stop_relays()
            at_end = crowd.look()
            return LoadResult(
                nodes=options.nodes,
                processes=len(crowd.pids),
                ready=at_end.ready,
                connect_s=round(connect_s, 1),
                lost=at_end.lost if restart is None else max(0, at_end.lost - options.nodes),
                first_failure=at_end.first_failure,
                statuses_per_s=statuses_per_s,
                known_to_controller=known,
                known_s=known_s,
                time=exchanged,
                stream=stream,
                orders=orders,
                restart=restart,
                usage=self._usage,
            )

    @contextlib.contextmanager
    def _measured(self, phase: str, crowd: Generator) -> Iterator[None]:
        programs: dict[str, list[int]] = {"generator": crowd.pids}
        if self._children is not None:
            for name in ("broker", "controller"):
                pid = self._children[name].pid
                programs[name] = [] if pid is None else [pid]
        watch = CpuWatch(programs)
        yield
        self._usage[phase] = watch.read()

    def _connect(self, crowd: Generator) -> float:
        begin_s = time.monotonic()
        limit_s = self._options.connections / self._options.connections_per_s + CONNECT_S_SPARE
        with self._measured("connecting", crowd):
            ready = self._await_ready(crowd, limit_s)
        if not ready:
            seen = crowd.look()
            raise TargetError(
                f"only {seen.ready} of {seen.nodes} light nodes were taken in within {limit_s:.0f} s "
                f"({seen.failed} failed attempts; the first: {seen.first_failure or 'none'})"
            )
        took_s = time.monotonic() - begin_s
        self._say(f"{self._options.nodes} connected in {took_s:.1f} s")
        return took_s

    def _await_ready(self, crowd: Generator, limit_s: float) -> bool:
        deadline_s = time.monotonic() + limit_s
        while (seen := crowd.look()).ready + seen.clocks < self._options.connections:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_POLL_S)
        return True

    def _await_known(self) -> tuple[int | None, float | None]:
        """How many are ready in the controller's view, and how soon after the last had connected all of them were."""
        names, begin_s = {node.identity.name for node in self._target.nodes}, time.monotonic()
        known: int | None = None
        while time.monotonic() - begin_s < KNOWN_S_MAX:
            with contextlib.suppress(ConsoleError):
                seen = self._target.console.nodes()
                known = sum(node.get("state") == "ready" and node.get("id") in names for node in seen)
            took_s = time.monotonic() - begin_s
            if known == len(names):
                self._say(f"the controller knows of all of them {took_s:.1f} s after the last had connected")
                return known, round(took_s, 1)
            time.sleep(KNOWN_LOOK_S)
        return known, None

    def _idle(self, crowd: Generator) -> tuple[float | None, TimeFound | None]:
        """Connected, with status and the time and nothing else."""
        options = self._options
        if options.time_every_s is not None:
            crowd.ask_time(options.time_every_s)
        before, since_s = crowd.look().statuses, time.monotonic()
        with self._measured("status and time" if options.time_every_s is not None else "status", crowd):
            time.sleep(options.seconds)
            told = crowd.look().statuses - before
        statuses_per_s = round(told / (time.monotonic() - since_s), 1) if options.status_every_s is not None else None
        return statuses_per_s, None if options.time_every_s is None else self._exchanged(crowd, options.time_every_s)

    def _exchanged(self, crowd: Generator, every_s: float) -> TimeFound:
        crowd.ask_time(None)
        time.sleep(DRAIN_S)
        found = crowd.collect().time
        return TimeFound(
            every_s=every_s,
            asked=found.asked,
            answered=found.answered,
            refused=dict(found.refused),
            lost=found.lost + found.under_way,
            beyond_bound=found.beyond_bound,
            error_ms_p50=quantile_ms(found.errors, 0.5),
            error_ms_p99=quantile_ms(found.errors, 0.99),
            error_ms_max=quantile_ms(found.errors, 1.0),
            round_trip_ms_p50=quantile_ms(found.round_trips, 0.5),
            round_trip_ms_p99=quantile_ms(found.round_trips, 0.99),
            round_trip_ms_max=quantile_ms(found.round_trips, 1.0),
        )

    def _start_stream(self, crowd: Generator) -> str:
        target = self._target
        if target.feed is None:
            raise TargetError("the controller's configuration has no feed that could be relayed: leave --stream out")
        minutes = int((SECONDS_MAX + BACK_S_MAX) // 60) + 5
        stream = target.console.start_relay(area=target.area, feed=target.feed, minutes=minutes)
        crowd.listen([topic(TopicName.AUDIO, stream=stream)])
        self._say(f"stream {stream}: subscribed")
        deadline_s = time.monotonic() + ORDER_S_MAX
        while crowd.collect().newest_sequence is None:
            if time.monotonic() > deadline_s:
                raise TargetError(f"no audio of the stream {stream} arrived within {ORDER_S_MAX:.0f} s")
            time.sleep(_POLL_S)
        time.sleep(SETTLE_S)
        return stream

    def _listen(self, crowd: Generator) -> StreamFound:
        crowd.forget_audio()
        time.sleep(SETTLE_S)
        begin_s = time.time()
        first = self._newest(crowd.collect())
        with self._measured("stream", crowd):
            time.sleep(self._options.seconds)
        of, last = self._newest(crowd.collect())
        end_s = time.time()
        time.sleep(DRAIN_S)
        tally = crowd.collect()
        after = first[1] if first[0] == of else -1
        margins = margins_between(tally.margins, begin_s, end_s)
        expected = (last - after) * self._options.nodes
        received = tally.received(of, after, last)
        fastest = max(margins, default=0)
        return StreamFound(
            seconds=round(end_s - begin_s, 1),
            packets=last - after,
            expected=expected,
            received=received,
            received_percent=round(100 * received / max(1, expected), 4),
            gaps=tally.gaps,
            late_ms_p50=late_ms(margins, 0.5, fastest_ms=fastest),
            late_ms_p99=late_ms(margins, 0.99, fastest_ms=fastest),
            late_ms_max=late_ms(margins, 1.0, fastest_ms=fastest),
            spare_ms_min=min(margins, default=None),
        )

    def _newest(self, tally: Tally) -> tuple[bytes, int]:
        newest = tally.newest_sequence
        if newest is None:
            raise TargetError("the stream has stopped: nothing arrives any more")
        return newest

    def _press(self, crowd: Generator) -> OrdersFound:
        target = self._target
        if target.clip is None:
            raise TargetError("the controller's configuration has no real clip for an emergency: leave --orders out")
        answered: list[float] = []
        received: list[float] = []
        crowd.take_orders()
        with self._measured("orders", crowd):
            for _ in range(self._options.orders):
                pressed_ns = time.time_ns()
                emergency = target.console.start_emergency(area=target.area, clip=target.clip, minutes=5)
                answered.append((time.time_ns() - pressed_ns) / NS_PER_MS)
                received += self._received(crowd, emergency, pressed_ns)
                target.console.all_clear(emergency, reason="thử tải")
                time.sleep(BETWEEN_ORDERS_S)
        return OrdersFound(
            presses=self._options.orders,
            expected=self._options.orders * self._options.nodes,
            received=len(received),
            answered_ms_p50=_quantile(answered, 0.5) or 0.0,
            received_ms_p50=_quantile(received, 0.5),
            received_ms_p99=_quantile(received, 0.99),
            received_ms_max=_quantile(received, 1.0),
        )

    def _received(self, crowd: Generator, emergency: str, pressed_ns: int) -> list[float]:
        """When the order of one press reached each node, milliseconds from the press."""
        found: list[float] = []
        deadline_s = time.monotonic() + ORDER_S_MAX
        while len(found) < self._options.nodes and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
            for order in crowd.take_orders():
                if _emergency_of(order) == emergency:
                    found += [(arrived_ns - pressed_ns) / NS_PER_MS for arrived_ns in order.arrivals_ns]
        return found

    def _restart(self, crowd: Generator) -> RestartFound:
        children, site = self._children, self._site
        if children is None or site is None:
            raise TargetError("only the run's own broker is restarted")
        tally = crowd.collect()
        failed_before = tally.failed
        fastest = max(margins_between(tally.margins, 0, time.time()), default=None)
        begin_s = time.time()
        children.stop_one("broker")
        children.start("broker", site.broker.command)
        self._say("broker restarted")
        with self._measured("restart", crowd):
            is_whole = self._await_ready(crowd, BACK_S_MAX)
        tally = crowd.collect()
        back = [at_s - begin_s for at_s in tally.returned_at_s if at_s > begin_s]
        margins = margins_between(tally.margins, begin_s, begin_s + max(back, default=0.0))
        return RestartFound(
            back=tally.ready,
            all_back_s=round(max(back, default=0.0), 1) if is_whole else None,
            failed_attempts=tally.failed - failed_before,
            late_ms_p99=None if fastest is None else late_ms(margins, 0.99, fastest_ms=fastest),
        )


def _emergency_of(order: Order) -> str | None:
    """Which emergency a document raises; nothing here obeys it, so nothing is verified."""
    try:
        document: object = cbor_decode(open_sealed(order.payload, topic=order.topic).payload, AnyDocument)
    except Refusal:
        return None
    return document.emergency if isinstance(document, Emergency) else None


def _quantile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None
