"""Opens a signing key wherever its configuration says it is: one port, `protocol.envelope.Signer`, four places.

A sealed file or PEM, a systemd credential, a signer process, a hardware module. What is opened in this process must be
the key that is expected; of a signer process that is known at the first signature (`signer_client`).
"""

from __future__ import annotations

import functools
from pathlib import Path

from controller.adapters.keys.hardware_key import HardwareKey
from controller.adapters.keys.key_files import open_key
from controller.adapters.keys.passphrases import credential, passphrase_of_file, read_secret
from controller.adapters.keys.signer_client import client_of
from controller.errors import KeyFileError
from controller.keys.key_config import Pkcs11Config, SigningKeyConfig
from controller.keys.passphrase import normal
from controller.keys.sealed_key import SealedKey
from protocol.envelope import Signer, signer_from_private_key


def open_signer(key: SigningKeyConfig, public_key: bytes | None) -> tuple[Signer, bytes | None]:
    """What signs with a key, and its public half; raises KeyFileError.

    `public_key` is the one expected, None where nobody says (a signer process believes its own configuration).
    """
    if key.signer:
        if public_key is None:
            raise KeyFileError(f"{key.key_id}: a signer cannot ask another signer; say where the key itself is")
        sign = client_of(key.signer).signer_of(key.key_id, public_key)
        return Signer(key_id=key.key_id, sign=sign), public_key
    if key.pkcs11 is not None:
        module = key.pkcs11
        hardware = HardwareKey(
            module=module.module,
            token=module.token,
            label=module.label,
            read_pin=functools.partial(_pin, module),
        )
        signer, found = Signer(key_id=key.key_id, sign=hardware.sign), hardware.public_key
    else:
        private_key = open_key(_data(key), functools.partial(_passphrase, key), name=_name(key))
        signer = signer_from_private_key(key.key_id, private_key)
        found = private_key.public_key().public_bytes_raw()
    if public_key is not None and found != public_key:
        raise KeyFileError(f"{_name(key)} is another key than the keyset names {key.key_id}")
    return signer, found


def _name(key: SigningKeyConfig) -> str:
    if key.pkcs11 is not None:
        return f"the key {key.pkcs11.label} in the token {key.pkcs11.token}"
    return key.path or f"the credential {key.credential}"


def _data(key: SigningKeyConfig) -> bytes:
    return read_secret(Path(key.path)) if key.path else credential(key.credential)


def _passphrase(key: SigningKeyConfig, sealed: SealedKey) -> bytes:
    if key.passphrase_file:
        return passphrase_of_file(Path(key.passphrase_file))
    if key.passphrase_credential:
        return normal(credential(key.passphrase_credential).decode(errors="replace"))
    raise KeyFileError(
        f"{_name(key)} is sealed ({sealed.key_id}): say where its passphrase is, by passphrase_credential or "
        "passphrase_file"
    )


def _pin(module: Pkcs11Config) -> bytes:
    return read_secret(Path(module.pin_file)) if module.pin_file else credential(module.pin_credential)
