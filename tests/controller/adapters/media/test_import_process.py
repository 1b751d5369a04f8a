"""A recording is decoded in another process: the same outcome, and whatever that process does, an answer."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from controller.adapters.media.import_process import COMMAND, ImportProcess
from controller.adapters.media_import import ImportSettings, import_media, media_path, take_in
from controller.errors import MediaError
from controller.media.refusal import RefusalCode
from tests.support.recordings import noise, tone, write_wav
from tests.support.waiting import until_blocking

SETTINGS = ImportSettings()


def process(folder: Path, program: str = "", *, work_s_max: float = 60.0) -> ImportProcess:
    command = (sys.executable, "-c", program) if program else COMMAND
    return ImportProcess(media_dir=folder, settings=SETTINGS, command=command, work_s_max=work_s_max)


def refused(folder: Path, program: str, *, work_s_max: float = 60.0) -> MediaError:
    source = write_wav(folder / "tone.wav", tone(440, 1.0))
    with pytest.raises(MediaError) as found:
        process(folder, program, work_s_max=work_s_max).take_in(source)
    return found.value


def test_it_is_the_same_as_here_and_remembered_without_a_process(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "long.wav", tone(440, 12.0, -30.0))
    told: list[int] = []
    there = process(tmp_path / "there")
    made = there.take_in(source, told.append)
    assert made == take_in(source, media_dir=tmp_path / "here")
    assert told == [10_000]
    assert media_path(tmp_path / "there", made.reference.sha256).is_file()
    crashing = process(tmp_path / "there", "raise SystemExit(7)")
    assert crashing(source) == made.reference, "what was made before needs no process"
    crashing.use_settings(ImportSettings(loudness_lufs=-30.0))
    with pytest.raises(MediaError, match="exit code 7"):
        crashing(source)


def test_a_refusal_comes_through_whole(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "hiss.wav", noise(1.0, -70.0))
    with pytest.raises(MediaError) as found:
        process(tmp_path / "there").take_in(source)
    with pytest.raises(MediaError) as here:
        import_media(source, media_dir=tmp_path / "here")
    assert found.value.refusal == here.value.refusal
    assert str(source) in str(found.value)


@pytest.mark.parametrize(
    "program",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import sys; sys.exit(3)",
        "print('no JSON', flush=True); import time; time.sleep(60)",
        "print('{\"imported\": 7}', flush=True); import time; time.sleep(60)",
        "import sys; sys.stdout.write('x' * 200_000); sys.stdout.flush(); import time; time.sleep(60)",
        "import sys; sys.stderr.write('y' * 200_000)",
        "import sys; sys.stdin.close()",
    ],
)
def test_whatever_it_does_there_is_an_answer(tmp_path: Path, program: str) -> None:
    assert refused(tmp_path, program).refusal.code is RefusalCode.TOO_HARD


def test_what_never_ends_is_ended(tmp_path: Path) -> None:
    error = refused(tmp_path, "import time; time.sleep(60)", work_s_max=0.3)
    assert error.refusal.code is RefusalCode.TOO_HARD


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "tone.wav", tone(440, 1.0))
    nothing = ImportProcess(media_dir=tmp_path, settings=SETTINGS, command=("/no/such/program",))
    with pytest.raises(MediaError, match="/no/such/program"):
        nothing.take_in(source)
    with pytest.raises(MediaError, match="No such file"):
        nothing.take_in(tmp_path / "missing.wav")


def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "tone.wav", tone(440, 1.0))
    waiting = process(tmp_path, "import time; time.sleep(60)")
    found: list[RefusalCode] = []

    def work() -> None:
        try:
            waiting.take_in(source)
        except MediaError as error:
            found.append(error.refusal.code)

    thread = threading.Thread(target=work)
    thread.start()
    until_blocking(lambda: waiting._running)
    waiting.close()
    thread.join(10)
    assert found == [RefusalCode.TOO_HARD]
    with pytest.raises(MediaError, match="stopping"):
        waiting.take_in(source)
