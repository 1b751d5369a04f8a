"""The socket by which a self-test is asked for: one line, one answer, only for the node's own user."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from edge.adapters.control_socket import FILE, ControlSocket, ask_for_self_test
from edge.adapters.self_test_verb import WORDS, lines_of
from edge.effects import AnswerSelfTest
from edge.errors import HearingError
from edge.events import SelfTestAsked
from protocol.messages import Heard, HeardBy, SelfTestRecord, SelfTestVerdict

RECORD = SelfTestRecord(
    at_ms=1,
    verdict=SelfTestVerdict.WEAK,
    detail="9 dB weaker",
    heard=Heard(by=HeardBy.MICROPHONE, is_heard=True, level_dbfs=-41.5, likeness=0.8, delay_ms=180.0),
    noise_dbfs=-60.0,
    level_change_db=-9.0,
    bands_change_db=(-9.0, -8.0),
)


async def test_a_question_becomes_an_event_and_its_answer_comes_back(tmp_path: Path) -> None:
    asked: list[SelfTestAsked] = []

    def post(event: SelfTestAsked) -> None:
        asked.append(event)
        control.answer(AnswerSelfTest(ticket=event.ticket + 7, record=RECORD))
        control.answer(AnswerSelfTest(ticket=event.ticket, record=RECORD))
        control.answer(AnswerSelfTest(ticket=event.ticket, record=RECORD))

    control = ControlSocket(str(tmp_path), post=post)
    (tmp_path / FILE).write_text("left by a run that was cut off")
    await control.start()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    found = await asyncio.to_thread(ask_for_self_test, tmp_path, takes_reference=True)
    assert found == RECORD
    assert asked == [SelfTestAsked(ticket=1, takes_reference=True)]
    control.close()
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("line", [b"", b"[]\n", b'{"type":"reboot"}\n', b"x" * 9_000 + b"\n", b"\xff\xfe\n"])
async def test_what_is_no_question_gets_no_answer_and_the_next_one_does(tmp_path: Path, line: bytes) -> None:
    control = ControlSocket(
        str(tmp_path), post=lambda event: control.answer(AnswerSelfTest(ticket=event.ticket, record=RECORD))
    )
    await control.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / FILE)
    writer.write(line)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert await asyncio.to_thread(ask_for_self_test, tmp_path, takes_reference=False) == RECORD
    control.close()


async def test_a_node_that_does_not_run_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(HearingError, match="start it first"):
        ask_for_self_test(tmp_path, takes_reference=False)


async def test_a_folder_that_takes_no_socket_keeps_no_node_from_running(tmp_path: Path) -> None:
    control = ControlSocket(str(tmp_path / "nowhere"), post=lambda _: None)
    await control.start()
    control.close()


def test_a_record_is_told_in_words_and_every_verdict_has_some() -> None:
    assert set(WORDS) == set(SelfTestVerdict)
    text = "\n".join(lines_of(RECORD))
    assert "loa kêu yếu / weak: 9 dB weaker" in text
    assert "-41.5 dBFS" in text
    assert "-9 -8 dB" in text
