"""Reads the configuration's file, and other small files that it names, of bounded size.

Apart from the rest of `preflight`, because `loaxa-edge silence` must work where keys and libraries are broken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge.config import EdgeConfig, parse_config
from edge.errors import ConfigurationError

FILE_BYTES_MAX: Final = 1024 * 1024
"""No file that a node reads at its start is larger."""


def read_config(path: Path) -> EdgeConfig:
    """The configuration in a file; raises ConfigurationError."""
    data = read_bounded(path, "the configuration")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(str(path), [f"not UTF-8 text: {error}"]) from error
    return parse_config(text, name=str(path), folder=path.resolve().parent)


def read_bounded(path: Path, key: str) -> bytes:
    """The bytes of a file; raises ConfigurationError that names the key which names the file."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(str(path), [f"{key}: {path} cannot be read: {error.strerror}"]) from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigurationError(str(path), [f"{key}: {path} is larger than {FILE_BYTES_MAX} bytes"])
    return data
