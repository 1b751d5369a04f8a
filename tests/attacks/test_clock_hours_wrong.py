"""A pole whose own clock is five hours wrong, as real processes: what its controller tells makes it sound in step.

Beside it a pole whose clock is right. Relay and emergency begin on both at once; then the time service is gone, and
lies come in its place: what sounds goes on, the time does not move, and both poles count.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from protocol.units import NS_PER_MS, SharedNs
from simulator.demo import evidence
from simulator.demo.site import COMMUNE
from tests.support import forgery as forged
from tests.support.attacks_in_silence import time_replies
from tests.support.besieged import NODE, OTHER, RUNNING, Besieged

pytestmark = [pytest.mark.alone, pytest.mark.slow]

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
WRONG_S = 5 * 3_600
TOGETHER_MS_MAX = 100.0
"""What a reader on a busy machine can tell; to the sample it is measured by benchmarks/sync_real.py."""
ASTRAY_MS_MAX = 2_500
"""A status goes out each second or two; five hours are 18,000,000."""


class WithoutTime(Besieged):
    """The commune, of which `OTHER` has a clock that is wrong, and believes none but the controller's."""

    def start_node(self, name: str) -> None:
        """See `Besieged.start_node`."""
        path = self.site.node_folder(name) / "edge.yaml"
        settings = yaml.safe_load(path.read_text())
        settings["clock"] = {"source": "exchange"}
        settings["recorder"] = {"bytes_max": 0}  # libfaketime leaves its lock's time limit alone, which then never ends
        path.write_text(yaml.safe_dump(settings))
        environment = dict(self.site.node_environment())
        if name == OTHER:
            environment |= {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": f"+{WRONG_S}s"}
        self.children.start(name, self.site.node_command(name), environment, self.site.node_folder(name))

    def is_right(self, node: str) -> bool:
        """Whether its newest status is of now."""
        return abs(self._said_at_ms(node) - self.now_ms) < ASTRAY_MS_MAX

    def has_refused(self, node: str, count: int) -> bool:
        """Whether it has counted so many refusals."""
        return self.refused(node).total() >= count


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithoutTime]:
    if not LIBRARIES:
        pytest.fail("libfaketime is missing: apt-get install faketime")
    made = WithoutTime(tmp_path_factory.mktemp("without-time"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def first_sounds(ground: WithoutTime, after_ns: int) -> dict[str, int]:
    found = {}
    for name in RUNNING:
        first_ns = evidence.first_sound_ns(
            ground.listener.capture(name), after_ns=SharedNs(after_ns), before_ns=SharedNs(time.time_ns())
        )
        assert first_ns is not None, f"{name} was not heard"
        found[name] = int(first_ns)
    return found


def test_both_say_the_same_time_and_who_told_them(ground: WithoutTime) -> None:
    for name in RUNNING:
        ground.until(partial(ground.is_right, name), what=f"{name} knows the time")
        status = ground.intruder.telemetry[name]
        assert status["clock_source"] == "exchange"
        assert status["clock_error_ms"] < 1_000


def test_an_emergency_begins_on_both_at_once(ground: WithoutTime) -> None:
    began_ns = time.time_ns()
    raised = ground.console.start_emergency(area=COMMUNE, clip="flood", minutes=5)
    ground.until(lambda: all(ground.sounds(name) for name in RUNNING), what="both sound", seconds=20)
    ground.during(0.5)
    ground.console.all_clear(raised, reason="xong")
    ground.until_silent()
    first = first_sounds(ground, began_ns)
    assert abs(first[NODE] - first[OTHER]) / NS_PER_MS < TOGETHER_MS_MAX


def test_a_relay_begins_on_both_at_once_and_no_lie_about_the_time_breaks_it_off(ground: WithoutTime) -> None:
    began_ns = time.time_ns()
    stream = ground.console.start_relay(area=COMMUNE, feed="tone", minutes=10)
    ground.until(lambda: all(ground.sounds(name) for name in RUNNING), what="the relay sounds", seconds=20)
    ground.during(0.5)
    first = first_sounds(ground, began_ns)
    assert abs(first[NODE] - first[OTHER]) / NS_PER_MS < TOGETHER_MS_MAX
    wanted = {name: ground.refused(name).total() + len(forged.TIME_SHIFTS_MS) for name in RUNNING}
    since_ns = time.time_ns()
    time_replies(ground)
    time_replies(ground, OTHER)
    for name in RUNNING:
        ground.until(partial(ground.has_refused, name, wanted[name]), what=f"{name} counts the lies")
        assert ground.intruder.telemetry[name]["sounding"]["source_id"] == stream
        assert ground.is_right(name)
    assert ground.foreign_samples(since_ns) == 0
    assert all(ground.sounds(name) and ground.is_powered(name) for name in RUNNING)
    ground.console.stop_relays()
    ground.until_silent()
