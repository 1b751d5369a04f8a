"""A signing key in a hardware module, by PKCS#11 (EDDSA, `CKM_EDDSA` of version 3.0).

The key never leaves the module; what is here is a session that is opened again when the module was pulled out or
restarted. `python-pkcs11` is an extra of its own and imported only where a key asks for it.

Rules kept: every exception of the library becomes the port's error; the key found must be the one that the keyset
names (`signing` compares the public halves).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from controller.errors import KeyFileError, SigningError
from protocol.envelope import PUBLIC_KEY_BYTES

_POINT_HEAD: Final = b"\x04\x20"
"""An Ed25519 point as PKCS#11 gives it: an OCTET STRING of 32 bytes; some modules give the bytes alone."""


class HardwareKey:
    """One key in one token; used from any thread. Raises KeyFileError when it cannot be opened at all."""

    def __init__(self, *, module: str, token: str, label: str, read_pin: Callable[[], bytes]) -> None:
        self._module, self._token, self._label = module, token, label
        self._read_pin = read_pin
        self._lock = threading.Lock()
        self._library = _library()
        self._session: Any = None
        self._key: Any = None
        try:
            self._open()
            self.public_key: Final = self._public_key()
        except (self._library.PKCS11Error, RuntimeError) as error:
            raise KeyFileError(f"{self._where}: {_name(error)}") from error

    def sign(self, data: bytes) -> bytes:
        """A signature (64 bytes); raises SigningError."""
        with self._lock:
            for is_last in (self._key is None, True):
                try:
                    if self._key is None:
                        self._open()
                    return bytes(self._key.sign(data, mechanism=self._library.Mechanism.EDDSA))
                except (self._library.PKCS11Error, RuntimeError, KeyFileError) as error:
                    self._close()
                    if is_last:
                        raise SigningError(f"{self._where} does not sign: {_name(error)}") from error
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """End the session."""
        with self._lock:
            self._close()

    def _open(self) -> None:
        """Find the key; whoever has logged in to the token before in this process has logged in for all of it."""
        library = self._library
        token = library.lib(self._module).get_token(token_label=self._token)
        self._session = token.open()
        try:
            self._key = self._private_key()
        except library.NoSuchKey:
            self._close()
            self._session = token.open(user_pin=self._read_pin().decode().strip())
            self._key = self._private_key()

    def _private_key(self) -> Any:  # noqa: ANN401 - the library's own object
        library = self._library
        return self._session.get_key(
            object_class=library.ObjectClass.PRIVATE_KEY, key_type=library.KeyType.EC_EDWARDS, label=self._label
        )

    def _public_key(self) -> bytes:
        library = self._library
        key = self._session.get_key(
            object_class=library.ObjectClass.PUBLIC_KEY, key_type=library.KeyType.EC_EDWARDS, label=self._label
        )
        point = bytes(key[library.Attribute.EC_POINT]).removeprefix(_POINT_HEAD)
        if len(point) != PUBLIC_KEY_BYTES:
            raise KeyFileError(f"{self._where} is no Ed25519 key")
        return point

    def _close(self) -> None:
        session, self._session, self._key = self._session, None, None
        if session is not None:
            try:
                session.close()
            except (self._library.PKCS11Error, RuntimeError):
                return  # it is gone: that is what was wanted

    @property
    def _where(self) -> str:
        return f"the key {self._label!r} in the token {self._token!r} of {self._module}"


def _library() -> Any:  # noqa: ANN401 - the library is not installed everywhere
    try:
        import pkcs11  # noqa: PLC0415 - an extra, for those who have a module
    except ImportError as error:
        raise KeyFileError(
            "keys in a hardware module need the package python-pkcs11; pip install loaxa[hsm]"
        ) from error
    return pkcs11


def _name(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
