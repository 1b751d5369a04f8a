"""The real sensors: PortAudio's input in its own process, the converter's files, a thread that holds nobody up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.adapters.ear import SensorEars, sensors_of
from edge.config import HearingConfig
from edge.events import Event, SelfTestMeasured
from protocol.adapters.system_clock import read_now
from protocol.messages import HeardBy
from protocol.units import SAMPLE_RATE_HZ, Now, TimeSource, sample_of_shared_ns
from tests.support.waiting import until

PROCESS = [sys.executable, "-m", "edge.adapters.microphone_process"]
SOUND = (0.3 * np.sin(np.arange(4_800) / 7) * 32_767).astype(np.int16).reshape(-1, 1)


def now() -> Now:
    """This machine's clock, believed."""
    found = read_now()
    return Now(monotonic_ns=found.monotonic_ns, shared_ns=found.shared_ns, error_ns=0, source=TimeSource.SYSTEM)


def ears(config: HearingConfig, told: list[Event], *, is_driven: Callable[[], bool] = lambda: True) -> SensorEars:
    """Real ears whose events are kept."""
    return SensorEars(config, read_now=now, is_driven=is_driven, post=told.append)


def alsa(folder: Path, samples: NDArray[np.generic]) -> dict[str, str]:
    """An ALSA whose input is a file."""
    samples.astype(np.int16).tofile(folder / "in.raw")
    configuration = folder / "asound.conf"
    configuration.write_text(
        f'pcm.horn_mic {{ type file slave.pcm {{ type null }} file "/dev/null" infile "{folder}/in.raw" format raw }}\n'
        "pcm.default { type null }\n"
    )
    return {**os.environ, "ALSA_CONFIG_PATH": str(configuration), "JACK_NO_START_SERVER": "1"}


def test_the_process_gives_what_the_input_gives_until_nobody_reads(tmp_path: Path) -> None:
    environment = alsa(tmp_path, np.tile(np.arange(4_800), 20))
    with subprocess.Popen([*PROCESS, "horn_mic", "1"], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        samples = np.frombuffer(process.stdout.read(2 * 9_600), np.int16)
        process.stdout.close()
        assert process.wait(10) == 0
    assert [int(each) for each in samples[4_798:4_802]] == [4_798, 4_799, 0, 1]


def test_an_input_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    environment = alsa(tmp_path, np.zeros(4_800))
    done = subprocess.run([*PROCESS, "USB", "1"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "horn_mic" in done.stderr
    assert "hearing.device" in done.stderr
    assert not done.stdout


@pytest.mark.alone
async def test_the_current_alone_tells_that_the_amplifier_was_driven(tmp_path: Path) -> None:
    raw = tmp_path / "in_current0_raw"
    raw.write_text("150")
    told: list[Event] = []
    found = ears(HearingConfig(current=str(raw)), told)
    found.start()
    first = sample_of_shared_ns(now().shared_ns)
    try:
        for is_loud in (False, True):
            written = tmp_path / "new"
            written.write_text("900" if is_loud else "150")
            written.rename(raw)  # a reader sees one or the other
            for _ in range(12):
                frames = SOUND if is_loud else np.zeros_like(SOUND)
                found.sent(frames, now().shared_ns)
                await asyncio.sleep(0.1)  # the converter is read ten times a second
        heard = found.heard(first + 12 * 4_800, sample_of_shared_ns(now().shared_ns) - first, {})
    finally:
        found.close()
    assert heard is not None
    assert (heard.by, heard.is_heard) == (HeardBy.CURRENT, True)
    assert heard.amperes is not None
    assert 0.4 < heard.amperes < 0.8, "at its edges a reading or two are of the other"


async def test_an_input_that_fails_is_logged_and_the_self_test_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Event] = []
    found = ears(HearingConfig(device="no such device", current=str(tmp_path / "nothing_raw")), told)
    assert found.sensors == (HeardBy.MICROPHONE, HeardBy.CURRENT)
    found.start()
    try:
        found.sent(SOUND, now().shared_ns)
        await until(lambda: "the sound input has ended" in caplog.text, seconds=20, what="the log says so")
        await until(lambda: "driver loaded" in caplog.text, seconds=5, what="the converter is told of")
        found.measure(0)
        await until(lambda: bool(told), seconds=5, what="the answer")
    finally:
        found.close()
    assert isinstance(told[0], SelfTestMeasured)
    assert told[0].swept.measures == ()


def test_without_sensors_there_is_no_thread_and_nothing_is_kept() -> None:
    before = threading.active_count()
    told: list[Event] = []
    found = ears(HearingConfig(), told)
    assert sensors_of(HearingConfig()) == ()
    found.start()
    found.sent(SOUND, now().shared_ns)
    found.measure(0)
    found.stop()
    found.close()
    assert threading.active_count() == before
    assert found.heard(0, SAMPLE_RATE_HZ, {}) is None
    assert [type(each) for each in told] == [SelfTestMeasured]


def test_orders_come_and_go_without_waiting() -> None:
    found = ears(HearingConfig(current="/nowhere/in_current0_raw"), [])
    began = time.process_time()
    for _ in range(50):
        found.start()
        found.stop()
    found.close()
    assert time.process_time() - began < 2.0
