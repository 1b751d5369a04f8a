"""Development keys for tests, made by the product's own tool, and signers over them.

Making a folder takes part of a second, so one is made for each test session (`pki` in conftest); tests that change
keys make their own with `make_pki`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.development_pki import ROOT_KEYS, make_development_pki
from protocol.adapters.mqtt_settings import MqttSettings
from protocol.envelope import Signer, signer_from_private_key
from protocol.keyring import Keyring, RootKeys, open_keyset, parse_root_keys
from protocol.messages import Keyset
from protocol.topics import TopicName, topic

CONTROLLER = "controller1"
NODES = ("N001", "N002", "N003")


@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopmentKeys:
    """A folder of keys and certificates; see `development-pki`."""

    folder: Path

    def mqtt_settings(self, name: str, port: int, **changes: object) -> MqttSettings:
        """Settings of a link to a local broker as a node, or as the controller; `changes` replace fields."""
        stem = self.folder / "controller" if name == CONTROLLER else self.folder / "nodes" / name / "node"
        fields: dict[str, object] = {
            "host": "localhost",
            "port": port,
            "client_id": name,
            "ca_path": self.folder / "ca.pem",
            "certificate_path": stem.with_suffix(".pem"),
            "private_key_path": stem.with_suffix(".key"),
            "herd_window_s": 0.2,
        }
        return MqttSettings(**{**fields, **changes})  # type: ignore[arg-type] # a test's own choice of fields

    def signer(self, key_id: str) -> Signer:
        """A signer over an operational or root key of the folder."""
        return signer_from_private_key(key_id, self._ed25519(self.folder / f"{key_id}.key"))

    def report_signer(self, node: str) -> Signer:
        """The node's own signer, with which it signs its reports."""
        return signer_from_private_key(node, self._ed25519(self.folder / "nodes" / node / "report.key"))

    def report_public_key(self, node: str) -> bytes:
        """What the controller's configuration names the node's reports by."""
        return self._ed25519(self.folder / "nodes" / node / "report.key").public_key().public_bytes_raw()

    def root_signers(self, count: int = 2) -> list[Signer]:
        """The first `count` of the three root keys."""
        return [self.signer(key_id) for key_id in ROOT_KEYS[:count]]

    @property
    def root(self) -> RootKeys:
        """The pinned root."""
        return parse_root_keys((self.folder / "root_keys.json").read_bytes())

    @property
    def keyset_bytes(self) -> bytes:
        """The signed keyset as it travels."""
        return (self.folder / "keyset.cose").read_bytes()

    @property
    def keyset(self) -> Keyset:
        """The keyset, verified."""
        return open_keyset(self.keyset_bytes, topic=topic(TopicName.KEYSET), root=self.root)

    @property
    def keyring(self) -> Keyring:
        """The keyring of the keyset."""
        return Keyring.from_keyset(self.keyset)

    @staticmethod
    def _ed25519(path: Path) -> Ed25519PrivateKey:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path} is no Ed25519 key")
        return key


def make_pki(folder: Path, *, nodes: tuple[str, ...] = NODES, controller: str = CONTROLLER) -> DevelopmentKeys:
    """Make a folder of development keys."""
    make_development_pki(folder, controller=controller, nodes=nodes)
    return DevelopmentKeys(folder=folder)
