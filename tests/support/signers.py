"""Benches for everything that can sign: a key in this process, a signer process of its own, a hardware module.

Each bench makes an operational key, says its public half, and opens it by the product's one way. The module is
SoftHSM, which Debian carries; without it and python-pkcs11 that bench does not exist.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import yaml

from controller.adapters.keys.signing_keys import open_signer
from controller.keys.key_config import Pkcs11Config, SigningKeyConfig
from controller.keys.scopes import SIGNABLE_TYPES
from protocol.envelope import Signer
from tests.support.ceremony import Table, phrase_of
from tests.support.waiting import until_blocking

KEY = "op-1"
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
READY_S_MAX = 20.0


class SignerBench(Protocol):
    """A place where a key is."""

    public_key: bytes

    def open(self) -> Signer: ...


class FileBench:
    """A sealed file that this process opens."""

    def __init__(self, folder: Path) -> None:
        self.public_key = bytes.fromhex(Table().make_key(folder / "op-1.key", KEY))
        private(folder / "op-1.phrase", phrase_of(KEY))
        self.key = SigningKeyConfig(
            key_id=KEY, path=str(folder / "op-1.key"), passphrase_file=str(folder / "op-1.phrase")
        )

    def open(self) -> Signer:
        return open_signer(self.key, self.public_key)[0]


class ProcessBench:
    """The signer's own program, started as systemd would."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder = folder
        self.public_key = bytes.fromhex(Table().make_key(folder / "op-1.key", KEY))
        private(folder / "op-1.phrase", phrase_of(KEY))
        plain = {
            "socket": "signer.sock",
            "log_dir": "log",
            "keys": [
                {
                    "key_id": KEY,
                    "path": "op-1.key",
                    "passphrase_file": "op-1.phrase",
                    "areas": ["*"],
                    "classes": ["routine", "priority", "emergency"],
                    "realities": ["real"],
                    "document_types": list(SIGNABLE_TYPES),
                }
            ],
        }
        self.config = folder / "signer.yaml"
        self.config.write_text(yaml.safe_dump({**plain, **changes}))
        self.socket = folder / "signer.sock"
        self.come_back()

    def open(self) -> Signer:
        return open_signer(SigningKeyConfig(key_id=KEY, signer=str(self.socket)), self.public_key)[0]

    def go_away(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(READY_S_MAX)

    def come_back(self) -> None:
        command = [sys.executable, "-m", "controller.cli", "signer", str(self.config)]
        with (self.folder / "signer.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until_blocking(self._answers, seconds=READY_S_MAX, what="the signer's socket")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            return trial.connect_ex(str(self.socket)) == 0

    @property
    def record(self) -> str:
        return (self.folder / "log" / "signed.jsonl").read_text()


class ModuleBench:
    """SoftHSM as a hardware module."""

    def __init__(self, folder: Path) -> None:
        tokens = folder / "tokens"
        tokens.mkdir()
        settings = folder / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(settings)  # the library reads it once, when it is first loaded
        command = ["softhsm2-util", "--init-token", "--free", "--label", "loaxa", "--so-pin", "12345678"]
        subprocess.run([*command, "--pin", "7531"], check=True, capture_output=True)
        private(folder / "pin", "7531")
        self.public_key = _key_in_module()
        self.module = Pkcs11Config(module=str(SOFTHSM), token="loaxa", label=KEY, pin_file=str(folder / "pin"))

    def open(self) -> Signer:
        return open_signer(SigningKeyConfig(key_id=KEY, pkcs11=self.module), self.public_key)[0]


def has_module() -> bool:
    """Whether this machine has what the module's bench needs."""
    return SOFTHSM.exists() and importlib.util.find_spec("pkcs11") is not None


@contextmanager
def bench_of(kind: str, folder: Path) -> Iterator[SignerBench]:
    """The bench of a kind; taken down afterwards."""
    match kind:
        case "file":
            yield FileBench(folder)
        case "process":
            bench = ProcessBench(folder)
            try:
                yield bench
            finally:
                bench.process.kill()
                bench.process.wait(READY_S_MAX)
        case _:
            yield ModuleBench(folder)


def private(path: Path, text: str) -> None:
    """A file that nobody else may read."""
    path.write_text(text)
    path.chmod(0o600)


def _key_in_module() -> bytes:
    import pkcs11  # noqa: PLC0415 - not on every machine
    from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415 - as above

    library = pkcs11.lib(str(SOFTHSM))
    library.reinitialize()
    with library.get_token(token_label="loaxa").open(rw=True, user_pin="7531") as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
        mechanism = pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
        public, _ = parameters.generate_keypair(mechanism=mechanism, store=True, label=KEY)
        return bytes(public[pkcs11.Attribute.EC_POINT])[-32:]
