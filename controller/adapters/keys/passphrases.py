"""Where passphrases come from: a person at a terminal, a private file, a descriptor, a systemd credential.

Never the command line or the environment: both can be read by others. Passphrases that are given are used up in the
order in which keys ask for them; none is asked for at a terminal then.
"""

from __future__ import annotations

import getpass
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from controller.errors import KeyFileError
from controller.keys.passphrase import checked, normal

_BYTES_MAX: Final = 8_192
"""Eight passphrases of the longest kind; a larger file is another file."""
CREDENTIALS_DIRECTORY: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what LoadCredential names (systemd.exec(5))."""


class Passphrases:
    """The passphrases of one command. `prompt` asks a person without showing what is typed."""

    def __init__(
        self,
        *,
        files: Sequence[Path] = (),
        descriptor: int | None = None,
        prompt: Callable[[str], str] | None = None,
    ) -> None:
        self._given = bool(files) or descriptor is not None
        self._waiting = [_first_line(path) for path in files]
        if descriptor is not None:
            self._waiting += _lines_of(descriptor)
        self._prompt = prompt or _ask_a_person

    def known(self, what: str) -> bytes:
        """The passphrase of a key that is there; raises KeyFileError."""
        return normal(self._next(what) if self._given else self._prompt(f"cụm mật khẩu / passphrase, {what}: "))

    def new(self, what: str, *, names: Iterable[str]) -> bytes:
        """A passphrase for a new key, typed twice by a person; raises KeyFileError when it may not be used."""
        if self._given:
            return checked(self._next(what), names=names)
        first = checked(self._prompt(f"cụm mật khẩu mới / new passphrase, {what}: "), names=names)
        if normal(self._prompt("gõ lại / once more: ")) != first:
            raise KeyFileError(f"{what}: hai lần gõ khác nhau / the two differ; nothing was written, begin again")
        return first

    def _next(self, what: str) -> str:
        if not self._waiting:
            raise KeyFileError(f"no passphrase was given for {what}; give one for each key, in this order")
        return self._waiting.pop(0)


def passphrase_of_file(path: Path) -> bytes:
    """The passphrase in a private file; raises KeyFileError."""
    return normal(_first_line(path))


def credential(name: str) -> bytes:
    """What systemd was told to load under a name; raises KeyFileError that says how."""
    folder = os.environ.get(CREDENTIALS_DIRECTORY)
    if not folder:
        raise KeyFileError(
            f"the credential {name}: ${CREDENTIALS_DIRECTORY} is not set; start the service by systemd with "
            f"LoadCredentialEncrypted={name}:/etc/loaxa/{name}.cred"
        )
    if not name or "/" in name or name.startswith("."):
        raise KeyFileError(f"{name!r} is no name of a credential")
    return read_secret(Path(folder) / name)


def read_secret(path: Path) -> bytes:
    """A small file that nobody else may read; raises KeyFileError. Pipes and the like have no mode to look at."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > _BYTES_MAX:
        raise KeyFileError(f"{path} is larger than {_BYTES_MAX} bytes; is it the right file?")
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"others may read {path}; chmod 600 it, and replace what it guards if they might have")
    return data


def _first_line(path: Path) -> str:
    return _text(read_secret(path), str(path)).split("\n", 1)[0]


def _lines_of(descriptor: int) -> list[str]:
    try:
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileError(f"--passphrase-fd {descriptor} cannot be read: {error.strerror or error}") from error
    return _text(data[:_BYTES_MAX], f"--passphrase-fd {descriptor}").splitlines()


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{name} is not UTF-8 text; a passphrase is") from error


def _ask_a_person(prompt: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (getpass.GetPassWarning, EOFError) as error:
            raise KeyFileError(
                "there is no terminal to type a passphrase at; give --passphrase-file or --passphrase-fd"
            ) from error
