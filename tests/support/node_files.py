"""A node's configuration on disk for tests: a real key folder, mock pins with a trace, sound into a file.

The sound path is ALSA's `type file` over `type null`: PortAudio runs for real and every frame can be read
afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEVICE = "loaxa_test"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFiles:
    """Where the files of one node are."""

    folder: Path

    @property
    def config(self) -> Path:
        """The YAML."""
        return self.folder / "edge.yaml"

    @property
    def trace(self) -> Path:
        """Changes of the amplifier's pin."""
        return self.folder / "pins.jsonl"

    @property
    def sound(self) -> Path:
        """Raw S16_LE mono 48 kHz, everything that the card was given."""
        return self.folder / "sound.raw"

    @property
    def environment(self) -> dict[str, str]:
        """What ALSA must know."""
        return {"ALSA_CONFIG_PATH": str(self.folder / "alsa.conf"), "JACK_NO_START_SERVER": "1"}


def write_node_files(folder: Path, pki: Path, *, port: int = 1, media_url: str = "", **changes: Any) -> NodeFiles:
    """Write a configuration of N001; `changes` replace whole sections."""
    folder.mkdir(parents=True, exist_ok=True)
    files = NodeFiles(folder=folder)
    own = pki / "nodes" / "N001"
    settings: dict[str, Any] = {
        "node": "N001",
        "broker": {"host": "localhost", "port": port},
        "media": {"url": media_url or "https://localhost:1", "free_bytes_min": 0},
        "trust": {
            "root_keys": str(own / "root_keys.json"),
            "ca": str(own / "ca.pem"),
            "certificate": str(own / "node.pem"),
            "private_key": str(own / "node.key"),
            "report_key": str(own / "report.key"),
        },
        "state_dir": "state",
        "sound": {"device": DEVICE, "paced": "clock"},
        "amplifier": {"pin_factory": "mock", "trace": "pins.jsonl"},
        "telemetry": {"idle_interval_s": 1, "on_air_interval_s": 1},
        "clock": {"source": "system", "believes": "any"},
    }
    files.config.write_text(yaml.safe_dump({**settings, **changes}))
    (folder / "alsa.conf").write_text(
        f'pcm.{DEVICE} {{ type plug slave {{ pcm {{ type file slave.pcm {{ type null }} file "{files.sound}" '
        "format raw } format S16_LE rate 48000 channels 1 } }\npcm.!default { type null }\n"
    )
    return files
