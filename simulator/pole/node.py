"""One pole's life: what happens to its machine from outside.

Power cut and boot, a killed program, a clock that is set happen here. What it is made of is in `parts`;
what its program does about all this is the product's own affair (`process`). A boot takes time, and the clock
starts from whatever the machine has: a clock chip, the hour that was saved last, or 1970.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from edge.config import EdgeConfig
from edge.effects import LogDecision
from edge.errors import StoreError
from protocol.adapters.asyncio_loop import CLOCK_WATCH_S
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.clock import BUILD_DATE_NS
from simulator.pole.disk import Disk
from simulator.pole.enclosure import Enclosure
from simulator.pole.parts import NodeTrust, PoleParts, PoleSettings, Rtc, Surroundings
from simulator.pole.process import NodeProcess
from simulator.pole.sound_card import SimulatedCard
from simulator.world import Timer, World

DECISIONS_KEPT: Final = 2_048
"""Decisions of one agent remembered, newest last."""
RESTART_NS: Final = 2 * NS_PER_S
"""RestartSec of the unit, and the start of Python on a Raspberry Pi."""
SILENCE_NS: Final = 500 * NS_PER_MS
"""How soon after a program's end `loaxa-edge silence` has switched the amplifier off."""
NTP_AGAIN_NS: Final = 64 * NS_PER_S
_HOUR_NS: Final = 3_600 * NS_PER_S


class Pole(PoleParts):
    """One machine and its life."""

    def __init__(
        self,
        world: World,
        surroundings: Surroundings,
        *,
        config: EdgeConfig,
        trust: NodeTrust,
        settings: PoleSettings,
        unit: str | None = None,
        disk: Disk | None = None,
    ) -> None:
        super().__init__(world, surroundings, config=config, trust=trust, settings=settings, unit=unit, disk=disk)
        self.clock.on_set = self.clock_was_set
        self.enclosure: Final = Enclosure(
            world, self.name, settings.enclosure, mains=self.mains, relay=self.relay, on_empty=self._go_dark
        )
        self.decisions: deque[tuple[int, LogDecision]] = deque(maxlen=DECISIONS_KEPT)
        self.on_decision: list[Callable[[Pole, LogDecision], None]] = []
        self.process: NodeProcess | None = None
        self._is_unplugged = self._is_rtc_dead = False
        self._boot_timer: Timer | None = None
        self._chance = world.chance(f"pole/{self.name}")

    @property
    def is_on(self) -> bool:
        """Whether the machine has power."""
        return self.host.is_on

    @property
    def clock_error_ns(self) -> int:
        """How far its system clock is from true time; 0 while it goes by the controller's, which is its own doing."""
        process = self.process
        is_told = process is not None and process.time is not None and process.time.is_told
        return 0 if is_told else self.clock.shared_error_ns

    def start(self) -> None:
        """The world begins with this machine up: its program starts now."""
        self._start_process()

    def cut_power(self) -> None:
        """Somebody pulls the plug inside the box: no battery helps."""
        self._is_unplugged = True
        self._go_dark()

    def lose_mains(self) -> None:
        """The grid fails: a battery takes over until it is empty; without one only the amplifier is dead."""
        self.enclosure.switch_grid(on=False)
        if self.is_on:
            self.enclosure.switch_computer(on=True)

    def regain_mains(self) -> None:
        """The grid is back."""
        self.enclosure.switch_grid(on=True)
        if self.is_on:
            self.enclosure.switch_computer(on=True)
        elif not self._is_unplugged:
            self.restore_power()

    def _go_dark(self) -> None:
        if not self.is_on:
            return
        self.world.record(self.name, "power_cut")
        self.relay.release()
        self.enclosure.switch_computer(on=False)
        self.off_since_ns = self.world.now_ns
        self.world.cancel(self._boot_timer)
        process, self.process = self.process, None
        if process is not None:
            process.lose_power()
        self.surroundings.network.power_off(self.name)
        self.disk.lose_power()

    def restore_power(self, *, rtc_is_dead: bool = False) -> None:
        """The plug is in again: the machine boots, unless its battery is empty and the grid away.

        With `rtc_is_dead` its clock chip, or what it had saved of the time, did not outlast this.
        """
        self._is_rtc_dead = rtc_is_dead
        self._is_unplugged = False
        if self.is_on or (self.enclosure.battery is not None and not self.enclosure.is_fed):
            return
        self.world.record(self.name, "power_back")
        self.enclosure.switch_computer(on=True)
        self.host.is_on = True
        self._boot_timer = self.world.after(self.settings.boot.boot_ns, self._boot)

    def cut_power_for(self, duration_ns: int) -> None:
        """A short failure."""
        self.cut_power()
        self.world.after(duration_ns, self.restore_power)

    def kill_process(self) -> None:
        """The program dies (a bug, the kernel, `kill -9`) and is started again by systemd."""
        process, self.process = self.process, None
        if process is None:
            return
        self.world.record(self.name, "process_killed")
        process.kill()
        self.world.after(SILENCE_NS, self._silence)
        self._boot_timer = self.world.after(RESTART_NS, self._start_process)

    def restart_process(self) -> None:
        """`systemctl restart`: a clean end and a new start."""
        self.stop_process()
        self._boot_timer = self.world.after(RESTART_NS, self._start_process)

    def stop_process(self) -> None:
        """`systemctl stop`: nothing runs until `start`."""
        process, self.process = self.process, None
        if process is not None:
            self.world.record(self.name, "process_stopped")
            process.stop()
            self.relay.close()

    def set_card_drift(self, drift_ppb: int) -> None:
        """The sound card's crystal runs at another rate from here on, through restarts too; a quiet card has none."""
        self.card_drift_ppb = drift_ppb
        card = None if self.process is None else self.process.card
        if isinstance(card, SimulatedCard):
            card.set_drift(drift_ppb)

    def step_clock(self, by_ns: int) -> None:
        """Somebody or something sets the system clock."""
        self.clock.step(by_ns)

    def clock_was_set(self) -> None:
        """The rim of the program will notice; the clock says this by itself."""
        self.world.after(int(CLOCK_WATCH_S * NS_PER_S), self._wake, self.process)

    def decided(self, decision: LogDecision) -> None:
        """Its agent has decided something."""
        self.decisions.append((self.world.now_ns, decision))
        for tell in self.on_decision:
            tell(self, decision)

    def _boot(self) -> None:
        boot = self.settings.boot
        saved_ns = max(BUILD_DATE_NS, self.off_since_ns // _HOUR_NS * _HOUR_NS)
        rtc = Rtc.DEAD if self._is_rtc_dead else boot.rtc
        rtc_ns = {Rtc.CHIP: None, Rtc.SAVED_HOUR: saved_ns, Rtc.DEAD: BUILD_DATE_NS}[rtc]
        self.clock.reboot(rtc_ns=rtc_ns)
        if boot.ntp_after_ns is not None:
            self.world.after(boot.ntp_after_ns, self._synchronise, self.world.now_ns)
        self._start_process()

    def _synchronise(self, booted_at_ns: int) -> None:
        """The time server answers, unless the network is away or the machine has gone again meanwhile."""
        if not self.is_on or self.off_since_ns > booted_at_ns:
            return
        if not self.host.is_reachable:
            self.world.after(NTP_AGAIN_NS, self._synchronise, booted_at_ns)
            return
        bound_ns = self.settings.boot.ntp_error_ns
        self.clock.synchronise(error_ns=self._chance.within(-bound_ns, bound_ns))

    def _wake(self, process: NodeProcess | None) -> None:
        if process is not None and process is self.process:
            process.wake()

    def _silence(self) -> None:
        if self.process is None:
            self.relay.close()

    def _start_process(self) -> None:
        """A program whose store cannot be made ends, and is started again."""
        self.world.record(self.name, "process_started")
        process = NodeProcess(self, decided=self.decided)
        try:
            process.start()
        except StoreError as error:
            self.world.record(self.name, "process_failed", why=str(error))
            process.kill()
            self._boot_timer = self.world.after(RESTART_NS, self._start_process)
            return
        self.process = process
