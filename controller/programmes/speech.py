"""Text to speech as the controller sees it: what is spoken, by which voice, and the port behind which it is made.

An `Utterance` is what a voice is given, already readable (`speech_text`); its `key` names the sound that comes of it,
so that one text is rendered once, in a bulletin, in a programme and when somebody listens before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from controller.errors import SpeechError
from controller.programmes.speech_text import VIETNAMESE, spoken

_FORMAT: Final = 1
"""Rises when the same text would be read otherwise."""


class SpeechConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which voices read, how fast, and what a site writes short.

    `voices` by language (`vi: vi-vn-x-south`); a language without one gets the engine's voice of its name.
    """

    command: Annotated[str, Meta(min_length=1, max_length=4096)] = "espeak-ng"
    voices: Annotated[dict[str, str], Meta(max_length=50)] = msgspec.field(default_factory=dict)
    words_a_minute: Annotated[int, Meta(ge=80, le=300)] = 150
    words: Annotated[dict[str, str], Meta(max_length=500)] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A readable text for one voice."""

    text: str
    voice: str
    words_a_minute: int

    @property
    def key(self) -> str:
        """Names the sound: the same for the same text, voice and pace."""
        return hashlib.sha256(msgspec.json.encode([_FORMAT, self.voice, self.words_a_minute, self.text])).hexdigest()


class Voice(Protocol):
    """An engine that speaks. Blocks: call it in a thread."""

    def languages(self) -> frozenset[str]:
        """The names of its voices, in lower case; raises SpeechError."""

    def speak(self, utterance: Utterance, path: Path) -> None:
        """Write a sound file; raises SpeechError, and leaves no file then."""


def utterance_of(text: str, *, language: str, config: SpeechConfig, languages: frozenset[str]) -> Utterance:
    """What is given to the engine; raises SpeechError where there is no voice or nothing to say."""
    readable = spoken(text, language=language, words=config.words)
    if not readable:
        raise SpeechError("không có chữ nào để đọc / there is no word in this text to be read")
    wanted = language.lower()
    voice = config.voices.get(language) or config.voices.get(wanted.partition("-")[0])
    if voice is None:
        voice = next((each for each in (wanted, wanted.partition("-")[0]) if each in languages), None)
    if voice is None or voice.lower() not in languages:
        named = (
            f"speech.voices names {voice!r}, which the engine has not" if voice else "the engine has no voice for it"
        )
        raise SpeechError(
            f"không có giọng đọc cho ngôn ngữ {language!r}, hãy thu âm và gửi tệp âm thanh / no voice for the language "
            f"{language!r} ({named}): record it and give the audio, or write another voice below speech.voices"
        )
    return Utterance(text=readable, voice=voice, words_a_minute=config.words_a_minute)


def language_or_default(language: str | None) -> str:
    """Vietnamese where nothing is said."""
    return language or VIETNAMESE
