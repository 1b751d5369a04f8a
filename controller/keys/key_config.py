"""Where a signing key is: in a sealed file, in a systemd credential, with a signer process, in a hardware module.

One mapping of YAML, the same for the controller (`trust.signing_keys`) and for the signer process (`keys`). Secrets
stand in files of their own, by path or by the name of a credential.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from protocol.identity import KeyId

CredentialName = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_.-]{0,64}\Z", description="below $CREDENTIALS_DIRECTORY")]


class Pkcs11Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key in a hardware module: the vendor's library, the token, the key's label there, and where the PIN is."""

    module: Annotated[str, Meta(min_length=1)]
    token: Annotated[str, Meta(min_length=1, max_length=64)]
    label: Annotated[str, Meta(min_length=1, max_length=64)]
    pin_file: str = ""
    pin_credential: CredentialName = ""

    def __post_init__(self) -> None:
        """Refuse a module whose PIN nobody knows."""
        if bool(self.pin_file) == bool(self.pin_credential):
            raise ValueError("give either pin_file or pin_credential")


class SigningKeyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operational key: its id in the keyset, and where it is."""

    key_id: KeyId
    path: str = ""
    credential: CredentialName = ""
    passphrase_file: str = ""
    passphrase_credential: CredentialName = ""
    signer: str = ""
    pkcs11: Pkcs11Config | None = None

    def __post_init__(self) -> None:
        """Refuse a key that is nowhere, or in two places."""
        places = [bool(self.path), bool(self.credential), bool(self.signer), self.pkcs11 is not None]
        if sum(places) != 1:
            raise ValueError(f"the key {self.key_id} needs exactly one of path, credential, signer, pkcs11")
        if self.passphrase_file and self.passphrase_credential:
            raise ValueError(f"the key {self.key_id} has one passphrase: passphrase_file or passphrase_credential")
        if (self.passphrase_file or self.passphrase_credential) and not (self.path or self.credential):
            raise ValueError(f"the key {self.key_id} needs no passphrase here: it is opened where it is")


KeyConfigT = TypeVar("KeyConfigT", bound=SigningKeyConfig)


def at_folder(key: KeyConfigT, folder: Path) -> KeyConfigT:
    """The same with absolute paths."""

    def at(path: str) -> str:
        return str(folder / path) if path else ""

    pkcs11 = key.pkcs11
    if pkcs11 is not None:
        pkcs11 = msgspec.structs.replace(pkcs11, pin_file=at(pkcs11.pin_file))
    return msgspec.structs.replace(
        key,
        path=at(key.path),
        passphrase_file=at(key.passphrase_file),
        signer=at(key.signer),
        pkcs11=pkcs11,
    )
