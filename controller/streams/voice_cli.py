"""`loaxa-controller speak`: a live voice from a microphone, a pipe or a file to the loudspeakers of an area."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config, read_token

DONE: Final = 0
FAILED: Final = 1
GOOD_ENDS: Final = frozenset({"hung up"})
_EPILOG: Final = """examples:
  arecord -q -t raw -f S16_LE -r 48000 -c 1 | \\
    loaxa-controller speak controller.yaml --area xa-binh-minh --title 'Thông báo'
  loaxa-controller speak controller.yaml --area xa-binh-minh --title 'Thông báo' --file thong-bao.wav
"""


def add_voice_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its subparsers to itself
    """Add the verb."""
    text = "speak to an area: sound from standard input or a file (int16, mono, 48000 Hz, WAV or raw)"
    speak = verbs.add_parser(
        "speak", help=text, description=text, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    speak.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    speak.add_argument("--area", required=True, help="the area's id; everything in it sounds")
    speak.add_argument("--title", required=True, help="what screens and records call it")
    speak.add_argument("--file", default="-", metavar="PATH", help="a file, or - for standard input (the default)")
    speak.add_argument("--minutes", type=int, default=15, help="ends by itself after so long (default 15)")
    speak.add_argument(
        "--class",
        dest="broadcast_class",
        choices=("routine", "priority", "emergency"),
        default="routine",
        help="message class; emergency needs the right to raise one",
    )
    speak.add_argument("--chime", action="store_true", help="call attention first")
    speak.add_argument("--duck", action="store_true", help="speak over a programme that goes on, much quieter")
    speak.add_argument("--drill", action="store_true", help="an exercise: signed as one")
    speak.set_defaults(command=_speak)


def _speak(options: argparse.Namespace) -> int:
    from controller.adapters.voice_client import open_sound, speak  # noqa: PLC0415 - other verbs must not load it

    console = read_config(options.config).http.console
    client = ApiClient(console, read_token(Path(console.token_file)))
    question = {
        "area": options.area,
        "title": options.title,
        "minutes": str(options.minutes),
        "broadcast_class": options.broadcast_class,
        "reality": "drill" if options.drill else "real",
        "chime": "true" if options.chime else "false",
        "over": "duck" if options.duck else "replace",
    }
    with open_sound(options.file, sys.stdin.buffer) as sound:
        spoken = asyncio.run(speak(client, question, sound, say=lambda text: print(text, flush=True)))
    if not spoken.was_on_air:
        print(f"không phát gì / nothing was heard: {spoken.reason}", file=sys.stderr)
        return FAILED
    print(f"kết thúc / ended: {spoken.reason}")
    return DONE if spoken.reason in GOOD_ENDS else FAILED
