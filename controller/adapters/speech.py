"""Speech by espeak-ng: the voice that is always there, offline, in a process of its own.

Rules kept: the text goes in by standard input and is never an option or markup of the engine; the time is bounded; the
file is there whole or not at all. `SpokenMedia` keeps what was spoken: a text that was rendered once is found again by
what it says, as long as its sound is in the media store.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from controller.adapters.media_import import media_path
from controller.errors import SpeechError
from controller.ports import ImportMedia
from controller.programmes.speech import SpeechConfig, Utterance, Voice, utterance_of
from protocol.adapters.durable_file import write_durably
from protocol.messages import MediaReference

SPEAK_S_MAX: Final = 120
"""The engine makes a minute of speech in less than a second; the longest text, on a busy machine."""
LIST_S_MAX: Final = 20
UNHEARD_S: Final = 30 * 24 * 3600
"""Drafts that somebody listened to, and texts that were changed since: their sounds stay so long."""
_VOICE_COLUMN: Final = 1


class EspeakVoice:
    """`speech.Voice` by the espeak-ng command."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._languages: frozenset[str] | None = None

    def languages(self) -> frozenset[str]:
        """Asked once; raises SpeechError where the engine is not installed."""
        if self._languages is None:
            listed = self._run(["--voices"], text="", s_max=LIST_S_MAX).stdout.decode(errors="replace")
            rows = [line.split() for line in listed.splitlines()[1:]]
            self._languages = frozenset(row[_VOICE_COLUMN].lower() for row in rows if len(row) > _VOICE_COLUMN)
        return self._languages

    def speak(self, utterance: Utterance, path: Path) -> None:
        """A WAV file; raises SpeechError."""
        pace = str(utterance.words_a_minute)
        options = ["-v", utterance.voice, "-s", pace, "-b", "1", "--stdin", "-w", str(path)]
        try:
            self._run(options, text=utterance.text, s_max=SPEAK_S_MAX)
        except SpeechError:
            path.unlink(missing_ok=True)
            raise
        if not path.is_file() or not path.stat().st_size:
            path.unlink(missing_ok=True)
            raise SpeechError(f"{self._command} made no sound of this text; see that the disk is not full")

    def _run(self, options: list[str], *, text: str, s_max: int) -> subprocess.CompletedProcess[bytes]:
        try:
            done = subprocess.run(  # noqa: S603 - the command is the configuration's, the options are ours
                [self._command, *options], input=text.encode(), capture_output=True, timeout=s_max, check=False
            )
        except FileNotFoundError as error:
            what = f"{self._command} is not installed; install it (apt install espeak-ng), or write speech.command"
            raise SpeechError(what) from error
        except subprocess.TimeoutExpired as error:
            raise SpeechError(f"{self._command} did not finish within {s_max} s; shorten the text") from error
        except OSError as error:
            raise SpeechError(f"{self._command} cannot be run: {error.strerror or error}") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise SpeechError(f"{self._command} failed: {(said or ['it gives no reason'])[-1][:200]}")
        return done


class SpokenMedia:
    """Texts as media of the store. Blocks: call it in a thread."""

    def __init__(
        self,
        *,
        voice: Voice,
        config: Callable[[], SpeechConfig],
        import_media: ImportMedia,
        media_dir: Path,
    ) -> None:
        self._voice = voice
        self._config = config
        self._import_media = import_media
        self._media_dir = media_dir
        self._notes = media_dir / "spoken"

    def say(self, text: str, language: str) -> MediaReference:
        """The text's sound, levelled and in the store; quick where it was said before. Raises MediaError."""
        utterance = utterance_of(text, language=language, config=self._config(), languages=self._voice.languages())
        note = self._notes / f"{utterance.key}.json"
        known = self._recall(note)
        if known is not None:
            os.utime(note)
            return known
        try:
            with tempfile.TemporaryDirectory(prefix="speech-") as folder:
                path = Path(folder) / "speech.wav"
                self._voice.speak(utterance, path)
                made = self._import_media(path)
            self._notes.mkdir(parents=True, exist_ok=True)
            write_durably(note, msgspec.json.encode(made), mode=0o644)
        except OSError as error:
            raise SpeechError(f"the spoken text cannot be kept: {error.strerror or error}") from error
        return made

    def unheard(self, now_s: float) -> dict[Path, str]:
        """What nobody has asked for in UNHEARD_S: notes, and the sound of each, "" where it is gone. Blocks."""
        found = {}
        for note in sorted(self._notes.glob("*.json")):
            if now_s - note.stat().st_mtime > UNHEARD_S:
                known = self._recall(note)
                found[note] = "" if known is None else known.sha256
        return found

    def let_go(self, unheard: Mapping[Path, str]) -> None:
        """These are not needed. Blocks; raises OSError."""
        for note, sha256 in unheard.items():
            if sha256:
                self.path_of(sha256).unlink(missing_ok=True)
            note.unlink(missing_ok=True)

    def path_of(self, sha256: str) -> Path:
        """Where the store keeps a sound; it may be gone."""
        return media_path(self._media_dir, sha256)

    def _recall(self, note: Path) -> MediaReference | None:
        try:
            known = msgspec.json.decode(note.read_bytes(), type=MediaReference)
            if media_path(self._media_dir, known.sha256).stat().st_size == known.size_bytes:
                return known
        except (OSError, msgspec.DecodeError):
            return None
        return None
