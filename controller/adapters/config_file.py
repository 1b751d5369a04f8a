"""Reads a controller's configuration file and the API's token."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from controller.configuration.config import Config
from controller.configuration.parsing import parse_config
from controller.errors import ApiError, ConfigError
from protocol.configuration import SETTINGS_BYTES_MAX

TOKEN_CHARACTERS_MIN: Final = 16
_TOKEN_BYTES: Final = 24
_TOKEN_FILE_BYTES_MAX: Final = 1024


def read_config(path: Path) -> Config:
    """The checked configuration with absolute paths; raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(SETTINGS_BYTES_MAX + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse_config(text, folder=path.absolute().parent, name=str(path))


def make_token(path: Path) -> str:
    """The API's token; made at the first start, readable by its owner only. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _checked(path)
    except OSError as error:
        raise ConfigError(f"http.console.token_file: {path} cannot be made: {error.strerror or error}") from error
    with os.fdopen(descriptor, "w") as file:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    return token


def read_token(path: Path) -> str:
    """The token as a command reads it; raises ApiError that says what to do."""
    try:
        return _checked(path)
    except FileNotFoundError as error:
        message = (
            f"không có tệp khoá · {path} does not exist; the controller makes its own at its first start "
            "(loaxa-controller run CONFIG), a person's comes from loaxa-controller people token add CONFIG NAME"
        )
        raise ApiError(message) from error
    except ConfigError as error:
        raise ApiError(f"{error}; run this command as the controller's user, or with sudo") from error


def _checked(path: Path) -> str:
    try:
        with path.open() as file:
            token = file.read(_TOKEN_FILE_BYTES_MAX).strip()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"http.console.token_file: {path} cannot be read: {error}") from error
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise ConfigError(
            f"http.console.token_file: {path} holds {len(token)} characters, at least {TOKEN_CHARACTERS_MIN} are "
            "needed; remove it, and the controller makes a new one"
        )
    return token
