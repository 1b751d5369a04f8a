"""Speech by the real engine: texts become media, once; what cannot be spoken says why."""

from __future__ import annotations

import functools
import os
import time
import wave
from pathlib import Path

import pytest

from controller.adapters.media_import import import_media, media_path
from controller.adapters.speech import UNHEARD_S, EspeakVoice, SpokenMedia
from controller.errors import SpeechError
from controller.programmes.speech import SpeechConfig, Utterance, utterance_of

TEXT = "Kính mời bà con đến họp lúc 17h30 ngày 22/11/2026 tại nhà văn hóa thôn Đông."


def spoken_media(folder: Path, config: SpeechConfig | None = None) -> SpokenMedia:
    chosen = config or SpeechConfig()
    return SpokenMedia(
        voice=EspeakVoice(chosen.command),
        config=lambda: chosen,
        import_media=functools.partial(import_media, media_dir=folder),
        media_dir=folder,
    )


def test_a_text_is_spoken_once_and_found_again(tmp_path: Path) -> None:
    first = spoken_media(tmp_path).say(TEXT, "vi")
    assert 4_000 < first.duration_ms < 20_000
    assert media_path(tmp_path, first.sha256).stat().st_size == first.size_bytes
    silent = SpokenMedia(
        voice=Unable(), config=SpeechConfig, import_media=functools.partial(import_media, media_dir=tmp_path),
        media_dir=tmp_path,
    )  # fmt: skip
    assert silent.say(TEXT, "vi") == first
    media_path(tmp_path, first.sha256).unlink()
    with pytest.raises(SpeechError, match="was asked"):
        silent.say(TEXT, "vi")
    assert spoken_media(tmp_path).say(TEXT, "vi") == first


class Unable:
    """Knows its voices and cannot speak."""

    def languages(self) -> frozenset[str]:
        return frozenset({"vi"})

    def speak(self, utterance: Utterance, path: Path) -> None:
        raise SpeechError(f"was asked for {utterance.text[:10]} in {path.name}")


def test_voices_are_chosen_by_language_and_by_the_site() -> None:
    languages = EspeakVoice("espeak-ng").languages()
    assert {"vi", "vi-vn-x-south", "en-us"} <= languages
    chosen = SpeechConfig(voices={"vi": "vi-vn-x-south"})
    voices = [
        utterance_of("xin chào", language=language, config=config, languages=languages).voice
        for language, config in (("vi", SpeechConfig()), ("vi-VN", SpeechConfig()), ("vi-VN", chosen))
    ]
    assert voices == ["vi", "vi", "vi-vn-x-south"]
    with pytest.raises(SpeechError, match="no voice for the language 'hmn'"):
        utterance_of("x", language="hmn", config=SpeechConfig(), languages=languages)
    with pytest.raises(SpeechError, match=r"speech\.voices names 'nobody'"):
        utterance_of("x", language="vi", config=SpeechConfig(voices={"vi": "nobody"}), languages=languages)
    with pytest.raises(SpeechError, match="no word"):
        utterance_of("…***", language="vi", config=SpeechConfig(), languages=languages)


def test_the_text_is_never_an_option_of_the_engine(tmp_path: Path) -> None:
    hostile = Utterance(text="--version -w /tmp/x <audio src='/etc/passwd'/>", voice="en", words_a_minute=200)
    EspeakVoice("espeak-ng").speak(hostile, tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as made:
        assert made.getnframes() > made.getframerate()


def test_an_engine_that_fails_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(SpeechError, match="not installed"):
        EspeakVoice(str(tmp_path / "none")).languages()
    with pytest.raises(SpeechError, match="failed"):
        EspeakVoice("espeak-ng").speak(Utterance(text="x", voice="nobody", words_a_minute=150), path)
    with pytest.raises(SpeechError, match="made no sound"):
        EspeakVoice("true").speak(Utterance(text="x", voice="vi", words_a_minute=150), path)
    with pytest.raises(SpeechError, match="cannot be run"):
        EspeakVoice(str(tmp_path)).languages()
    assert not path.exists()


def test_sounds_that_nobody_needs_go_after_a_month(tmp_path: Path) -> None:
    studio = spoken_media(tmp_path)
    kept, listened, fresh = (studio.say(text, "vi") for text in ("Giữ lại", "Nghe thử", "Vừa nghe"))
    now_s = time.time()
    for note in (tmp_path / "spoken").glob("*.json"):
        if fresh.sha256 not in note.read_text():
            os.utime(note, (now_s - UNHEARD_S - 1, now_s - UNHEARD_S - 1))
    (tmp_path / "spoken" / "torn.json").write_text("{")
    os.utime(tmp_path / "spoken" / "torn.json", (0, 0))
    unheard = studio.unheard(now_s)
    assert sorted(unheard.values()) == sorted(["", kept.sha256, listened.sha256])
    studio.let_go({note: sha256 for note, sha256 in unheard.items() if sha256 != kept.sha256})
    there = {each.name for each in (tmp_path / "sha256").iterdir()}
    assert there == {kept.sha256, fresh.sha256}
    assert studio.say("Nghe thử", "vi") == listened, "it is spoken anew"
    assert studio.say("Giữ lại", "vi") == kept
    assert studio.unheard(now_s) == {}, "who asks for a text keeps it"
