"""The node's clock at the rim: reads all clocks of the machine together, has the shared one compared and shown.

`NodeClock()` is `read_now` for agent, loop and sound card, from any thread. What it says is decided in
`edge.clock.shared_clock`, from the answers of the controller (`edge.adapters.time_link`) and from this machine's own
clock (`edge.adapters.trusted_clock`); here the sources are compared after each burst of answers and each few seconds,
on the loop's thread, what changed is logged, and the node is woken when its time was set or has become known.

Rules kept: offline, or with a key that is no longer good, the last estimate goes on and states its growing error; that
is logged when it begins, each time the error has doubled, and when it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.adapters.time_link import TimeLink, time_settings
from edge.adapters.trusted_clock import TrustedClock
from edge.clock.record import ClockRecord
from edge.clock.shared_clock import Change, ClockReading, ClockStatus, SharedClock, SourceChoice
from edge.clock.time_exchange import IDLE_EVERY_S, Learned
from edge.config import EdgeConfig
from protocol.adapters.system_clock import read_raw_lead_ns
from protocol.clock_filter import ClockFilter, Verdict
from protocol.keyring import Keyring
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, TimeSource

log = logging.getLogger("edge.time")

WATCH_S: Final = 5.0
"""How often the sources are compared, and keys and sound looked at; a third of what `shared_clock` asks for."""
TOLD_NS: Final = NS_PER_MS
"""A smaller change is the filter's daily work."""
HOLDOVER_S: Final = 2.5 * IDLE_EVERY_S
"""So long without an answer, and the node goes by what it knew: two bursts were missed."""
DOUBLED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSurroundings:
    """What the clock must know of the node, and whom it tells; all on the loop's thread.

    `keyring` gives the keys in force, `is_sounding` whether the amplifier is powered; `wake` is called when shared time
    was set or has become known, `show` with each new record.
    """

    keyring: Callable[[], Keyring]
    is_sounding: Callable[[], bool]
    wake: Callable[[], None]
    show: Callable[[ClockRecord], None] = lambda _: None


class NodeClock:
    """See the module's text. Made before the loop runs; `start` and `stop` on the loop's thread."""

    def __init__(
        self,
        *,
        node: str,
        choice: SourceChoice,
        trusted: Callable[[], Now],
        make_link: Callable[[ClockFilter, Callable[[Learned], None]], TimeLink] | None,
        read_raw_lead: Callable[[], int] = read_raw_lead_ns,
        watch_s: float = WATCH_S,
    ) -> None:
        """`make_link` makes the connection for the time; None where nobody is to be asked."""
        self._node = node
        self._trusted = trusted
        self._read_raw_lead = read_raw_lead
        self._watch_s = watch_s
        self._filter = None if make_link is None else ClockFilter()
        self._link = None if make_link is None or self._filter is None else make_link(self._filter, self._learned)
        self._shared = SharedClock(choice=choice, clock_filter=self._filter)
        self._shared.refresh(self._reading(), is_sounding=False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._surroundings: ClockSurroundings | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._verdict: Verdict | None = None
        self._told = ClockStatus(source=self._shared.status.source)
        self._holdover_told_ns: int | None = None

    def __call__(self) -> Now:
        """Both clocks; any thread."""
        return self._shared.read(self._reading())

    @property
    def refused(self) -> dict[str, int]:
        """Answers about the time that were refused, by reason."""
        return {} if self._link is None else self._link.refused

    def start(self, surroundings: ClockSurroundings) -> None:
        """Begin to ask, on the running loop."""
        self._loop, self._surroundings = asyncio.get_running_loop(), surroundings
        log.info("the time comes from: %s", _source_words(self._shared.status, self()))
        if self._link is not None:
            self._link.start()
        surroundings.show(self.record)
        self._watch()

    def stop(self) -> None:
        """Ask no more; waits some seconds at most. What was known goes on."""
        if self._timer is not None:
            self._timer.cancel()
        self._surroundings = None
        if self._link is not None:
            self._link.stop()

    def use_certificate(self, certificate_path: str, private_key_path: str) -> None:
        """Show another certificate from now on."""
        if self._link is not None:
            self._link.use_certificate(certificate_path, private_key_path)

    def set_herd_window_s(self, herd_window_s: float) -> None:
        """Spread the first reconnect after a loss over this many seconds."""
        if self._link is not None:
            self._link.set_herd_window_s(herd_window_s)

    @property
    def record(self) -> ClockRecord:
        """How the clock stands, for a person."""
        reading = self._reading()
        now = self._shared.read(reading)
        status, link = self._shared.status, self._link
        estimate = None if self._filter is None else self._filter.estimate(reading.raw_ns)
        answered_at_ns = None if link is None else link.answered_at_ns
        return ClockRecord(
            node=self._node,
            monotonic_ns=now.monotonic_ns,
            shared_ns=now.shared_ns,
            source=status.source,
            error_ms=now.error_ns / NS_PER_MS if now.is_time_known else None,
            system_error_ms=reading.system.error_ns / NS_PER_MS if reading.system.is_time_known else None,
            system_is_behind_ms=(now.shared_ns - reading.system.shared_ns) / NS_PER_MS if now.is_time_known else None,
            is_asked=link is not None,
            is_connected=link is not None and link.is_connected,
            is_refused=status.is_exchange_refused,
            asked=0 if link is None else link.asked,
            answered=0 if link is None else link.answered,
            answer_age_s=None if answered_at_ns is None else (reading.raw_ns - answered_at_ns) / NS_PER_S,
            round_trip_ms=None if link is None or link.round_trip_ns is None else link.round_trip_ns / NS_PER_MS,
            exchange_error_ms=None if estimate is None else estimate.error_ns / NS_PER_MS,
            drift_ppm=None if estimate is None else estimate.drift_ppb / 1_000,
            verdict=None if self._verdict is None else self._verdict.value,
            refused=self.refused,
        )

    def _reading(self) -> ClockReading:
        system = self._trusted()
        return ClockReading(raw_ns=MonotonicNs(system.monotonic_ns + self._read_raw_lead()), system=system)

    def _learned(self, learned: Learned) -> None:
        """A burst is over; called on the network's thread."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._compare, learned)
        except RuntimeError:
            log.debug("the loop has ended before the exchange")

    def look(self) -> None:
        """Take up which keys are in force and whether something sounds; on the loop's thread."""
        if self._link is not None and self._surroundings is not None:
            self._link.use_keys(self._surroundings.keyring())
            self._link.be_active(is_active=self._surroundings.is_sounding())

    def _watch(self) -> None:
        if self._loop is None or self._surroundings is None:
            return
        self.look()
        self._compare(None)
        self._timer = self._loop.call_later(self._watch_s, self._watch)

    def _compare(self, learned: Learned | None) -> None:
        """Have the sources compared, say what changed, wake the node if its time did."""
        surroundings = self._surroundings
        if surroundings is None:
            return
        before = self._told
        status = self._shared.refresh(self._reading(), is_sounding=surroundings.is_sounding())
        self._told = status
        if learned is not None:
            self._verdict = learned.verdict
            log.debug("a burst of %d answers: %s", learned.samples, learned.verdict.value)
        self._say(before, status)
        self._say_holdover(status)
        if status.source is not before.source or (status.change is Change.STEPPED and abs(status.moved_ns) >= TOLD_NS):
            surroundings.wake()
        if learned is not None or status.source is not before.source:
            surroundings.show(self.record)

    def _say(self, before: ClockStatus, status: ClockStatus) -> None:
        if status.source is not before.source:
            level = logging.WARNING if status.source is TimeSource.UNKNOWN else logging.INFO
            log.log(level, "the time comes from: %s", _source_words(status, self()))
        is_new = status.change is Change.STEPPED or status.change is not before.change
        if is_new and status.change is not Change.NONE and abs(status.moved_ns) >= TOLD_NS:
            log.info("shared time was %s by %+.1f ms", status.change.value, status.moved_ns / NS_PER_MS)
        if status.is_exchange_refused and not before.is_exchange_refused:
            log.error(
                "the controller's time is %+.0f s from this machine's, which something keeps: it is not believed; "
                "find out which of the two is wrong, or set clock.source",
                (status.disagreement_ns or 0) / NS_PER_S,
            )
        if before.is_exchange_refused and not status.is_exchange_refused:
            log.info("the controller's time fits this machine's again")

    def _say_holdover(self, status: ClockStatus) -> None:
        answered_at_ns = None if self._link is None else self._link.answered_at_ns
        if status.source is not TimeSource.EXCHANGE or answered_at_ns is None:
            return
        reading = self._reading()
        age_s, error_ns = (reading.raw_ns - answered_at_ns) / NS_PER_S, self._shared.read(reading).error_ns
        if age_s < HOLDOVER_S:
            if self._holdover_told_ns is not None:
                log.info("the controller tells the time again; the error is at most %.1f ms", error_ns / NS_PER_MS)
            self._holdover_told_ns = None
        elif self._holdover_told_ns is None or error_ns >= DOUBLED * self._holdover_told_ns:
            self._holdover_told_ns = error_ns
            log.warning(
                "no answer about the time for %.0f min: the last one goes on, wrong by %.1f ms at most by now",
                age_s / 60,
                error_ns / NS_PER_MS,
            )


def node_clock(config: EdgeConfig) -> NodeClock:
    """The clock of a node with this configuration; raises ConfigurationError."""
    choice = SourceChoice(config.clock.source)

    def make_link(clock_filter: ClockFilter, on_learned: Callable[[Learned], None]) -> TimeLink:
        return TimeLink(time_settings(config), node=config.node, clock_filter=clock_filter, on_learned=on_learned)

    return NodeClock(
        node=config.node,
        choice=choice,
        trusted=TrustedClock(believes_any=config.clock.believes == "any"),
        make_link=None if choice is SourceChoice.SYSTEM else make_link,
    )


def _source_words(status: ClockStatus, now: Now) -> str:
    words = {
        TimeSource.EXCHANGE: "the controller",
        TimeSource.SYSTEM: "this machine's clock",
        TimeSource.UNKNOWN: "nowhere: until somebody tells it, only emergencies sound",
    }
    if not now.is_time_known:
        return words[TimeSource.UNKNOWN]
    return f"{words[status.source]}; wrong by {now.error_ns / NS_PER_MS:.1f} ms at most"
