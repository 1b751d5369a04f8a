"""Card and microphone for real: what PortAudio plays into a sound server is heard again from its monitor."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.adapters.ear import SensorEars
from edge.adapters.sound_card import CardSettings, PortAudioCard
from edge.config import HearingConfig
from edge.events import Event, SelfTestMeasured
from edge.player.ports import Frames
from edge.proof.sweep import TEST_MS, SweepSource
from protocol.messages import HeardBy
from protocol.units import NS_PER_MS, SharedNs, sample_of_shared_ns
from tests.support.card_bench import card_bench, read_now
from tests.support.waiting import until

pytestmark = pytest.mark.alone
BEFORE_MS = 3_000


@pytest.mark.slow
async def test_a_self_test_through_a_real_card_and_a_real_input(tmp_path: Path) -> None:
    if shutil.which("pulseaudio") is None:
        pytest.fail("pulseaudio is missing: install it, this test is needed")
    told: list[Event] = []
    async with card_bench("pulse", tmp_path):
        with (tmp_path / "asound.conf").open("a") as file:
            file.write(f'pcm.ears {{ type pulse server "unix:{tmp_path}/native" device "horn.monitor" }}\n')
        ears = SensorEars(HearingConfig(device="ears"), read_now=read_now, is_driven=lambda: True, post=told.append)
        begins_ns = SharedNs(read_now().shared_ns + BEFORE_MS * NS_PER_MS)
        source = SweepSource(starts_at=sample_of_shared_ns(begins_ns))

        def render(frames: int, at_ns: SharedNs) -> Frames:
            samples = source.read(sample_of_shared_ns(at_ns), frames)
            rendered = np.rint(samples * 32_767).astype(np.int16).reshape(-1, 1)
            ears.sent(rendered, at_ns)
            return rendered

        card = PortAudioCard(
            CardSettings(device="horn"),
            render=render,
            read_now=read_now,
            on_event=lambda _: None,
            loop=asyncio.get_running_loop(),
        )
        try:
            card.start()
            ears.start()
            over_ns = begins_ns + (TEST_MS + 500) * NS_PER_MS
            await until(lambda: read_now().shared_ns > over_ns, seconds=20, what="the test is over")
            ears.measure(sample_of_shared_ns(begins_ns))
            await until(lambda: bool(told), seconds=5, what="the ears answer")
        finally:
            ears.close()
            card.close()
            await until(lambda: not card.is_thread_alive, seconds=10, what="the card's thread ends")
    (answer,) = told
    assert isinstance(answer, SelfTestMeasured)
    assert answer.swept.sent_share > 0.99
    (measure,) = answer.swept.measures
    assert measure.by is HeardBy.MICROPHONE
    assert measure.is_heard
    assert measure.level_dbfs == pytest.approx(-20.5, abs=1.5)
    assert -200 < measure.delay_ms < 1_000
    assert max(measure.bands_db) - min(measure.bands_db) < 3.0
